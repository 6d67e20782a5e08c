//! Shows committed batches to whoever copies the store while it runs.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::storage::engine::backend::Write;

/// Those who are shown each batch.
#[derive(Debug, Default)]
pub(in crate::storage) struct Taps(Mutex<Vec<Sender<Vec<Write<'static>>>>>);

impl Taps {
    /// Shows every batch that begins to be committed from now on, until the receiver is dropped.
    pub(in crate::storage) fn open(&self) -> Receiver<Vec<Write<'static>>> {
        let (show, shown) = channel();
        self.0.lock().expect("nobody panics while holding it").push(show);
        shown
    }

    /// Shows a batch that is durable.
    pub(in crate::storage) fn show(&self, writes: &[Write<'_>]) {
        let mut taps = self.0.lock().expect("nobody panics while holding it");
        taps.retain(|tap| tap.send(writes.iter().map(owned).collect()).is_ok());
    }
}

fn owned(write: &Write<'_>) -> Write<'static> {
    Write {
        key: Cow::Owned(write.key.to_vec()),
        value: write.value.as_ref().map(|value| Cow::Owned(value.to_vec())),
    }
}
