//! Writes that become durable together or not at all.

use std::sync::Arc;

use crate::storage::engine::overlay::Value;

/// Writes that belong together; nothing happens before [`Store::commit`](crate::storage::Store::commit).
#[derive(Debug, Default)]
#[must_use = "a batch does nothing before it is committed"]
pub struct Batch {
    ops: Vec<Op>,
    lazy: bool,
}

#[derive(Debug)]
pub(in crate::storage) enum Op {
    Put(Vec<u8>, Value),
    Delete(Vec<u8>),
    /// Puts under the next number of a log, which is given out when the batch is enqueued.
    Append(Vec<u8>, Value),
}

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds the writes of another batch after its own.
    pub fn extend(&mut self, other: Batch) {
        self.ops.extend(other.ops);
    }

    /// Lets the batch wait for a later one, since losing it does no harm.
    pub(in crate::storage) fn lazy(mut self) -> Self {
        self.lazy = true;
        self
    }

    pub(in crate::storage) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.ops.push(Op::Put(key, Arc::new(value)));
    }

    pub(in crate::storage) fn delete(&mut self, key: Vec<u8>) {
        self.ops.push(Op::Delete(key));
    }

    pub(in crate::storage) fn append(&mut self, log: Vec<u8>, value: Vec<u8>) {
        self.ops.push(Op::Append(log, Arc::new(value)));
    }

    /// Whether it puts a value under `key`.
    pub(in crate::storage) fn puts(&self, key: &[u8]) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Put(put, _) if put == key))
    }

    pub(in crate::storage) fn is_lazy(&self) -> bool {
        self.lazy
    }

    pub(in crate::storage) fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}
