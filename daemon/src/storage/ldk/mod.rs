//! LDK's key-value store over ours.
//!
//! Imports `store` and what is below it.

pub(in crate::storage) mod kv_store;
pub(in crate::storage) mod kv_write;
