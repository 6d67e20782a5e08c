//! Logs: records under consecutive numbers, given out in the order in which they become durable.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use tokio::sync::watch;

use super::seek;
use crate::storage::commit::batch::Batch;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::Record;
use crate::storage::rows::damage::damaged;
use crate::storage::rows::{codec, keys};
use crate::storage::store::Store;

/// Records that a follower reads at once.
const READ_AT_ONCE: usize = 256;

/// A named log; a constant.
#[derive(Debug)]
pub struct Log<R> {
    name: &'static str,
    records: PhantomData<fn() -> R>,
}

impl<R: Record> Log<R> {
    /// Names a log; it shares no name with another log or history.
    pub const fn new(name: &'static str) -> Self {
        Self { name, records: PhantomData }
    }

    /// Adds a record under the next number, which is given out when the batch is committed.
    pub fn append(&self, batch: &mut Batch, record: &R) {
        batch.append(self.prefix(), codec::encode(record));
    }

    /// Follows the number of the last durable record; 0 while there is none.
    pub fn head(&self, store: &Store) -> Result<watch::Receiver<u64>, Error> {
        store.log_head(&self.prefix())
    }

    /// Returns at most `limit` records with numbers above `after` and up to `last`, in order.
    pub fn read(
        &self,
        store: &Store,
        after: u64,
        last: u64,
        limit: usize,
    ) -> Result<Vec<(u64, R)>, Error> {
        let mut records = Vec::new();
        if after >= last || limit == 0 {
            return Ok(records);
        }
        self.visit(store, after + 1, last, Direction::Forward, |number, record| {
            records.push((number, record));
            if records.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(records)
    }

    /// Follows the log: its records after the number `after`, then new ones as they become durable, up to `last` if one is
    /// given.
    pub fn follow(
        &self,
        store: &Store,
        after: u64,
        last: Option<u64>,
    ) -> Result<LogFollower<R>, Error> {
        let log = Self { name: self.name, records: PhantomData };
        let head = self.head(store)?;
        Ok(LogFollower {
            store: store.clone(),
            log,
            seen: after,
            last,
            head,
            read: VecDeque::new(),
        })
    }

    /// Visits durable records from the number `newest` downwards, until the visitor breaks off.
    pub fn visit_back(
        &self,
        store: &Store,
        newest: u64,
        visit: impl FnMut(u64, R) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit(store, 0, newest, Direction::Backward, visit)
    }

    /// Returns a number below which all records are older than `moment`, and at most a day older where clocks were
    /// corrected; none where all records are. `at` is a record's time in seconds since 1970.
    pub fn first_not_before(
        &self,
        store: &Store,
        moment: u64,
        at: impl Fn(&R) -> u64,
    ) -> Result<Option<u64>, Error> {
        seek::first_not_before(store, &self.prefix(), moment, |key, value| {
            let record = codec::decode(value).map_err(|error| damaged(key, error))?;
            Ok(Some(at(&record)))
        })
    }

    /// Removes up to `limit` records below the number `keep_from` that `may_go`, oldest first; returns how many.
    ///
    /// Numbers are never given out again as long as the newest record is kept.
    pub fn prune(
        &self,
        store: &Store,
        batch: &mut Batch,
        keep_from: u64,
        limit: usize,
        may_go: impl Fn(&R) -> bool,
    ) -> Result<usize, Error> {
        let prefix = self.prefix();
        let mut gone = 0;
        let Some(last) = keep_from.checked_sub(1) else { return Ok(0) };
        self.visit(store, 0, last, Direction::Forward, |number, record| {
            if gone >= limit || !may_go(&record) {
                return ControlFlow::Break(());
            }
            batch.delete([&prefix[..], &number.to_be_bytes()].concat());
            gone += 1;
            ControlFlow::Continue(())
        })?;
        Ok(gone)
    }

    fn visit(
        &self,
        store: &Store,
        first: u64,
        last: u64,
        direction: Direction,
        mut visit: impl FnMut(u64, R) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = self.prefix();
        let end = [&seek::key(&prefix, last)[..], &[0]].concat();
        let span = Span { start: seek::key(&prefix, first), end: Some(end) };
        let mut read = Ok(());
        store.scan(&span, direction, |key, value| {
            let number = key[prefix.len()..].try_into().map(u64::from_be_bytes);
            match (number, codec::decode(value)) {
                (Ok(number), Ok(record)) => visit(number, record),
                (Err(_), _) => ControlFlow::Continue(()),
                (_, Err(error)) => {
                    read = Err(damaged(key, error));
                    ControlFlow::Break(())
                }
            }
        })?;
        read
    }

    fn prefix(&self) -> Vec<u8> {
        keys::index(self.name)
    }
}

/// A position in a log that moves on with it.
pub struct LogFollower<R> {
    store: Store,
    log: Log<R>,
    /// The number of the last record that was returned.
    seen: u64,
    last: Option<u64>,
    head: watch::Receiver<u64>,
    read: VecDeque<(u64, R)>,
}

impl<R: Record> LogFollower<R> {
    /// Returns the next record with its number, durable; none after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<(u64, R)>, Error> {
        loop {
            if let Some((number, record)) = self.read.pop_front() {
                if self.last.is_some_and(|last| number > last) {
                    return Ok(None);
                }
                self.seen = number;
                return Ok(Some((number, record)));
            }
            if self.last.is_some_and(|last| self.seen >= last) {
                return Ok(None);
            }
            // Marked as seen before reading: a record that comes meanwhile wakes us again.
            let head = *self.head.borrow_and_update();
            self.read = self.log.read(&self.store, self.seen, head, READ_AT_ONCE)?.into();
            if self.read.is_empty() && (self.last.is_some() || self.head.changed().await.is_err()) {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::rows::codec::tests::Note;

    const NOTES: Log<Note> = Log::new("followed");

    async fn append(store: &Store, text: &str) {
        let mut batch = Batch::new();
        NOTES.append(&mut batch, &Note::new(text));
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn a_follower_goes_on_where_it_stopped_and_waits_for_more() {
        let store = Store::temporary();
        for text in ["1", "2", "3"] {
            append(&store, text).await;
        }
        let mut follower = NOTES.follow(&store, 1, None).unwrap();
        for expected in [2, 3] {
            let (number, note) = follower.next().await.unwrap().expect("there are more");
            assert_eq!((number, note.text), (expected, expected.to_string()));
        }
        let late = async { append(&store, "4").await };
        let (next, ()) = tokio::join!(follower.next(), late);
        assert_eq!(next.unwrap().map(|(number, _)| number), Some(4));
        let mut bounded = NOTES.follow(&store, 2, Some(3)).unwrap();
        assert_eq!(bounded.next().await.unwrap().map(|(number, _)| number), Some(3));
        assert!(bounded.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn records_are_visited_backwards_and_found_by_time() {
        let store = Store::temporary();
        for text in ["10", "20", "30"] {
            append(&store, text).await;
        }
        let mut seen = Vec::new();
        let visit = |number, note: Note| {
            seen.push((number, note.text));
            ControlFlow::Continue(())
        };
        NOTES.visit_back(&store, 2, visit).unwrap();
        assert_eq!(seen, [(2, "20".to_owned()), (1, "10".to_owned())]);
        let at = |note: &Note| note.text.parse().unwrap_or(0);
        assert_eq!(NOTES.first_not_before(&store, 20, at).unwrap(), Some(2));
        assert_eq!(NOTES.first_not_before(&store, 31, at).unwrap(), None);
    }
}
