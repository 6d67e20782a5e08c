//! Streams that follow the journal: a slow reader misses nothing and costs nothing.

use std::collections::VecDeque;

use tokio::sync::watch;
use tonic::Status;

use crate::api::status::internal;
use crate::api::stream::Steps;
use crate::journal::{Journal, Numbered};

/// Entries that are read from the store at once.
const READ_AT_ONCE: usize = 256;

/// What a subscriber makes of an entry: any number of messages.
pub trait Reader: Send + 'static {
    /// A message.
    type Item: Send + 'static;

    /// Returns the messages of an entry, in order.
    ///
    /// # Errors
    /// When the records that the entry names cannot be read; it ends the stream.
    fn read(&mut self, entry: Numbered) -> Result<Vec<Self::Item>, Status>;
}

/// A subscriber's position in the journal, with messages that are ready.
pub struct JournalFollower<R: Reader> {
    journal: Journal,
    /// The last entry that was read.
    seen: u64,
    head: watch::Receiver<u64>,
    entries: VecDeque<Numbered>,
    ready: VecDeque<R::Item>,
    reader: R,
}

impl<R: Reader> JournalFollower<R> {
    /// Sends `ready`, then what `reader` makes of entries above `after`.
    pub fn new(journal: &Journal, after: u64, ready: Vec<R::Item>, reader: R) -> Self {
        let head = journal.watch();
        let journal = journal.clone();
        Self { journal, seen: after, head, entries: VecDeque::new(), ready: ready.into(), reader }
    }
}

impl<R: Reader> Steps for JournalFollower<R> {
    type Item = R::Item;

    async fn next(&mut self) -> Result<Option<R::Item>, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if let Some(entry) = self.entries.pop_front() {
                self.seen = entry.sequence;
                self.ready = self.reader.read(entry)?.into();
                continue;
            }
            // Marked as seen before reading: an entry that comes meanwhile wakes us again.
            self.head.borrow_and_update();
            let read = self.journal.read(self.seen, READ_AT_ONCE);
            self.entries = read.map_err(|error| internal(&error))?.into();
            if self.entries.is_empty() && self.head.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}
