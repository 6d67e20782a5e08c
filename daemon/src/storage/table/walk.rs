//! Histories walked by position, either way, as callers that count records need it.

use std::ops::ControlFlow;

use super::history::History;
use super::seek::position;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::Record;
use crate::storage::store::Store;

impl<R: Record> History<R> {
    /// Returns at most `limit` records with positions above `after` that pass the filter, oldest first, each with its
    /// position; the first record ever inserted has 1.
    pub fn after(
        &self,
        store: &Store,
        after: u64,
        limit: usize,
        filter: impl Fn(&R) -> bool,
    ) -> Result<Vec<(u64, R)>, Error> {
        let start = [&self.index()[..], &after.saturating_add(1).to_be_bytes()].concat();
        let span = Span { start, end: Span::prefix(&self.index()).end };
        self.walk(store, &span, Direction::Forward, limit, filter)
    }

    /// Returns at most `limit` records with positions below `before` (none: all) that pass the filter, newest first, each
    /// with its position.
    pub fn before(
        &self,
        store: &Store,
        before: Option<u64>,
        limit: usize,
        filter: impl Fn(&R) -> bool,
    ) -> Result<Vec<(u64, R)>, Error> {
        let mut span = Span::prefix(&self.index());
        if let Some(before) = before {
            span.end = Some([&self.index()[..], &before.to_be_bytes()].concat());
        }
        self.walk(store, &span, Direction::Backward, limit, filter)
    }

    fn walk(
        &self,
        store: &Store,
        span: &Span,
        direction: Direction,
        limit: usize,
        filter: impl Fn(&R) -> bool,
    ) -> Result<Vec<(u64, R)>, Error> {
        let index = self.index();
        let (mut found, mut read) = (Vec::new(), Ok(()));
        store.scan(span, direction, |key, id| {
            if found.len() >= limit {
                return ControlFlow::Break(());
            }
            match (self.indexed(store, key, id), position(&key[index.len()..])) {
                (Ok(Some((_, record))), Some(at)) if filter(&record) => found.push((at, record)),
                (Ok(_), _) => (),
                (Err(error), _) => {
                    read = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        read.map(|()| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::commit::batch::Batch;
    use crate::storage::rows::codec::tests::Note;

    const NOTES: History<Note> = History::new("notes");

    fn filled(count: u32) -> Store {
        let store = Store::temporary();
        for id in 0..count {
            let mut batch = Batch::new();
            let note = Note { text: id.to_string(), done: id % 2 == 0 };
            NOTES.insert(&store, &mut batch, &id.to_be_bytes(), &note).unwrap();
            drop(store.commit(batch));
        }
        store
    }

    #[test]
    fn positions_count_from_one_and_bound_a_walk_either_way() {
        let store = filled(5);
        let at =
            |found: Vec<(u64, Note)>| -> Vec<u64> { found.iter().map(|(at, _)| *at).collect() };
        assert_eq!(at(NOTES.after(&store, 0, 9, |_| true).unwrap()), [1, 2, 3, 4, 5]);
        assert_eq!(at(NOTES.after(&store, 2, 2, |_| true).unwrap()), [3, 4]);
        assert_eq!(at(NOTES.after(&store, 0, 9, |note| note.done).unwrap()), [1, 3, 5]);
        assert_eq!(at(NOTES.after(&store, u64::MAX, 9, |_| true).unwrap()), [0; 0]);
        assert_eq!(at(NOTES.before(&store, None, 2, |_| true).unwrap()), [5, 4]);
        assert_eq!(at(NOTES.before(&store, Some(4), 2, |_| true).unwrap()), [3, 2]);
    }
}
