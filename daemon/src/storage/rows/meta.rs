//! The store's own numbers: its identity, and how many commits it has taken.

use super::damage::damaged;
use super::{codec, keys};
use crate::storage::engine::backend::{Backend, Write};
use crate::storage::error::Error;

/// The name of a store's identity, which its copies share.
pub(in crate::storage) const STORE_ID: &str = "store_id";
/// The name under which each commit keeps its number.
pub(in crate::storage) const COMMIT_SEQ: &str = "commit_seq";

/// The number of the last commit; 0 in an empty store.
pub(in crate::storage) fn last_commit(backend: &dyn Backend) -> Result<u64, Error> {
    Ok(read_number(backend, COMMIT_SEQ)?.unwrap_or(0))
}

/// What distinguishes a store from all others; its copies share it.
pub(in crate::storage) fn store_id(backend: &dyn Backend) -> Result<Option<u64>, Error> {
    read_number(backend, STORE_ID)
}

/// One of the store's own numbers.
pub(in crate::storage) fn read_number(
    backend: &dyn Backend,
    name: &str,
) -> Result<Option<u64>, Error> {
    let key = keys::meta(name);
    let Some(stored) = backend.get(&key)? else { return Ok(None) };
    codec::decode_number(&stored).map(Some).map_err(|error| damaged(&key, error))
}

/// The write of one of the store's own numbers.
pub(in crate::storage) fn number(key: Vec<u8>, number: u64) -> Write<'static> {
    Write { key: key.into(), value: Some(codec::encode_number(number).into()) }
}
