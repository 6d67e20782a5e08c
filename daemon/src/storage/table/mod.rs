//! Typed records over the store: tables, histories, logs, retention, and subscriptions to single records.
//!
//! Imports `store` and what is below it.

pub(in crate::storage) mod history;
pub(in crate::storage) mod log;
pub(in crate::storage) mod records;
pub(in crate::storage) mod retention;
mod seek;
pub(in crate::storage) mod subscribe;
mod walk;
