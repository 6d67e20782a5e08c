//! Typed records over the store: tables, histories, logs, their age, and subscriptions to single records. Imports the store.

pub(in crate::storage) mod history;
pub(in crate::storage) mod log;
pub(in crate::storage) mod records;
pub(in crate::storage) mod retention;
pub(in crate::storage) mod subscribe;
