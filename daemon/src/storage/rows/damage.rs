//! A row that cannot be read becomes an error that names its place.

use super::codec::DecodeError;
use super::keys;
use crate::storage::error::Error;

/// What is wrong with the value of a key.
pub(in crate::storage) fn damaged(key: &[u8], error: DecodeError) -> Error {
    Error::Corrupt { place: keys::place(key), why: error.to_string() }
}
