//! Writes on their way into a backend, which readers must already see.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::backend::{Backend, Direction, Span, Visit};
use crate::storage::error::Error;

/// A stored value, shared by the queue and by readers.
pub(in crate::storage) type Value = Arc<Vec<u8>>;

/// One enqueued write; `number` tells the newest of a key.
#[derive(Debug)]
pub(in crate::storage) struct Enqueued {
    pub(in crate::storage) key: Vec<u8>,
    pub(in crate::storage) value: Option<Value>,
    pub(in crate::storage) number: u64,
}

/// The newest value of each key that is on its way; none is a removal.
#[derive(Debug, Default)]
pub(in crate::storage) struct Overlay(BTreeMap<Vec<u8>, (u64, Option<Value>)>);

impl Overlay {
    pub(in crate::storage) fn put(&mut self, write: &Enqueued) {
        self.0.insert(write.key.clone(), (write.number, write.value.clone()));
    }

    /// Forgets writes that the backend now holds, unless a newer one of their key is on its way.
    pub(in crate::storage) fn settle(&mut self, writes: Vec<Enqueued>) {
        for write in writes {
            if let Entry::Occupied(entry) = self.0.entry(write.key)
                && entry.get().0 == write.number
            {
                entry.remove();
            }
        }
    }

    /// The value of a key that is on its way; the outer none means that the backend's value holds.
    pub(in crate::storage) fn get(&self, key: &[u8]) -> Option<Option<Value>> {
        self.0.get(key).map(|(_, value)| value.clone())
    }

    /// The writes in a span, in the order of a scan.
    pub(in crate::storage) fn within(
        &self,
        span: &Span,
        direction: Direction,
    ) -> Vec<(Vec<u8>, Option<Value>)> {
        if span.is_empty() {
            return Vec::new();
        }
        let range = self.0.range::<[u8], _>(span.bounds());
        let copy =
            |(key, (_, value)): (&Vec<u8>, &(u64, Option<Value>))| (key.clone(), value.clone());
        match direction {
            Direction::Forward => range.map(copy).collect(),
            Direction::Backward => range.rev().map(copy).collect(),
        }
    }
}

/// Visits the rows of a span of `base` as they will be once it has the new ones, which are in the scan's order.
///
/// Take the new ones first: what settles meanwhile is then seen here, or there, or equal in both.
pub(in crate::storage) fn scan(
    new: &[(Vec<u8>, Option<Value>)],
    base: &dyn Backend,
    span: &Span,
    direction: Direction,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let mut rows = new.iter().peekable();
    let comes_before = |one: &[u8], other: &[u8]| match direction {
        Direction::Forward => one < other,
        Direction::Backward => one > other,
    };
    let mut broke = false;
    base.scan(span, direction, &mut |key, stored| {
        while let Some((new, value)) = rows.next_if(|(new, _)| comes_before(new, key)) {
            if value.as_ref().is_some_and(|value| visit(new, value).is_break()) {
                broke = true;
                return ControlFlow::Break(());
            }
        }
        let shown = match rows.next_if(|(new, _)| new == key) {
            Some((_, Some(value))) => visit(key, value),
            Some((_, None)) => ControlFlow::Continue(()),
            None => visit(key, stored),
        };
        broke = shown.is_break();
        shown
    })?;
    if !broke {
        for (new, value) in rows {
            if value.as_ref().is_some_and(|value| visit(new, value).is_break()) {
                break;
            }
        }
    }
    Ok(())
}
