//! Progress of a long read, and the callback that may cancel it.

use std::ops::ControlFlow;

use super::page::Rows;

/// Progress of a long read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read.
    pub rows: u64,
    /// Bytes of keys and values in them.
    pub bytes: u64,
}

impl Progress {
    /// Adds a page.
    pub(in crate::storage) fn add(&mut self, rows: &Rows) {
        self.rows += rows.len() as u64;
        self.bytes += rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
    }
}

/// Receives the progress of a long read now and then; `Break` cancels the read.
pub type OnProgress<'a> = dyn Fn(Progress) -> ControlFlow<()> + 'a;

/// Never cancels: for callers that only want the result.
pub fn ignore_progress(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
