//! Ordered bytes on disk: the contract of a backend, sled, and the write-ahead log before it.
//!
//! Imports `error` only.

pub(in crate::storage) mod backend;
pub(in crate::storage) mod disk;
pub(in crate::storage) mod id;
pub(in crate::storage) mod lock;
#[cfg(test)]
pub(in crate::storage) mod memory;
pub(in crate::storage) mod overlay;
pub(in crate::storage) mod page;
pub(in crate::storage) mod patience;
pub(in crate::storage) mod piece;
pub(in crate::storage) mod private;
pub(in crate::storage) mod progress;
pub(in crate::storage) mod sled;
pub(in crate::storage) mod wal;
pub(in crate::storage) mod writes;
