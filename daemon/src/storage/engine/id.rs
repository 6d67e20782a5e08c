//! Numbers that name one store or one log, and nothing else.

use std::path::Path;

use crate::storage::error::Error;

/// A number that nobody has drawn before, for what is in `directory`.
pub(in crate::storage) fn fresh(directory: &Path) -> Result<u64, Error> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|error| {
        let why = std::io::Error::other(error.to_string());
        Error::io("draw a random number for", directory, why)
    })?;
    Ok(u64::from_be_bytes(id))
}
