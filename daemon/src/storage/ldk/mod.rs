//! LDK's key-value store over ours. Imports the store.

pub(in crate::storage) mod kv_store;
pub(in crate::storage) mod kv_write;
