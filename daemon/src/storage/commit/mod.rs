//! Group commit: batches become durable in the order in which they were enqueued.
//!
//! Imports `rows` and `engine`.

pub(in crate::storage) mod batch;
pub(in crate::storage) mod committer;
pub(in crate::storage) mod group;
pub(in crate::storage) mod observer;
pub(in crate::storage) mod queue;
pub(in crate::storage) mod second_witness;
pub(in crate::storage) mod space;
pub(in crate::storage) mod times;
pub(in crate::storage) mod witness;
