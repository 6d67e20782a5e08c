//! Random ids of stores and logs.

use std::path::Path;

use crate::storage::error::Error;

/// Draws an id for a store or log in `directory`.
pub(in crate::storage) fn fresh(directory: &Path) -> Result<u64, Error> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|error| {
        let why = std::io::Error::other(error.to_string());
        Error::io("draw a random number for", directory, why)
    })?;
    Ok(u64::from_be_bytes(id))
}
