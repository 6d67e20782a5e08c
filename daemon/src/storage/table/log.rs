//! Logs: records under consecutive numbers, given out in the order in which they become durable.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use tokio::sync::watch;

use crate::storage::commit::batch::Batch;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::Record;
use crate::storage::rows::damage::damaged;
use crate::storage::rows::{codec, keys};
use crate::storage::store::Store;

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
        self.visit(store, after + 1, last, |number, record| {
            records.push((number, record));
            if records.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(records)
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
        self.visit(store, 0, last, |number, record| {
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
        mut visit: impl FnMut(u64, R) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = self.prefix();
        let key = |number: u64| [&prefix[..], &number.to_be_bytes()].concat();
        let span = Span { start: key(first), end: Some([&key(last)[..], &[0]].concat()) };
        let mut read = Ok(());
        store.scan(&span, Direction::Forward, |key, value| {
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
