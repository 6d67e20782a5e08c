//! Observers of committed batches: exports that copy the store while it runs.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::storage::engine::backend::Write;

/// The receivers of each durable batch.
#[derive(Debug, Default)]
pub(in crate::storage) struct Observers(Mutex<Vec<Sender<Vec<Write<'static>>>>>);

impl Observers {
    /// Returns a receiver of every batch whose commit begins from now on.
    pub(in crate::storage) fn subscribe(&self) -> Receiver<Vec<Write<'static>>> {
        let (show, shown) = channel();
        self.0.lock().expect("nobody panics while holding it").push(show);
        shown
    }

    /// Sends a durable batch to all receivers; dropped ones are removed.
    pub(in crate::storage) fn notify(&self, writes: &[Write<'_>]) {
        let mut observers = self.0.lock().expect("nobody panics while holding it");
        observers.retain(|observer| observer.send(writes.iter().map(owned).collect()).is_ok());
    }
}

fn owned(write: &Write<'_>) -> Write<'static> {
    Write {
        key: Cow::Owned(write.key.to_vec()),
        value: write.value.as_ref().map(|value| Cow::Owned(value.to_vec())),
    }
}
