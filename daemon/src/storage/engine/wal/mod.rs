//! The write-ahead log: batches are durable here first and reach the database behind it in rounds.
//!
//! Imports the rest of `engine`.

pub(in crate::storage) mod checkpointer;
pub(in crate::storage) mod frame;
pub(in crate::storage) mod log;
pub(in crate::storage) mod logged;
pub(in crate::storage) mod swap;
