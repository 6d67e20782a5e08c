//! Long reads of the store beside the daemon's work, told of as they go on.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::engine::progress::{GoOn, Step};
use crate::storage::care::check::{CheckReport, LdkValue};
use crate::storage::care::compact::CompactReport;
use crate::storage::care::export::ExportReport;
use crate::storage::error::Error;
use crate::storage::store::Store;

/// A listener that is slow misses steps, never the end.
const STEPS_KEPT: usize = 16;

/// What is told of a long read: steps, and one end.
#[derive(Clone, Debug)]
pub enum Told<R> {
    /// It goes on.
    Step(Step),
    /// It has ended.
    End(Result<R, Error>),
}

impl Store {
    /// [`Store::check`] on a thread of its own; it is given up when the receiver is dropped.
    pub fn check_aside(
        &self,
        decode: fn(LdkValue<'_>) -> Result<(), String>,
    ) -> mpsc::Receiver<Told<CheckReport>> {
        let store = self.clone();
        aside(move |go_on| store.check(&decode, go_on))
    }

    /// [`Store::export`] on a thread of its own; it is given up when the receiver is dropped.
    pub fn export_aside(&self, file: PathBuf) -> mpsc::Receiver<Told<ExportReport>> {
        let store = self.clone();
        aside(move |go_on| store.export(&file, go_on))
    }

    /// [`Store::compact`] on a thread of its own; it is given up when the receiver is dropped.
    pub fn compact_aside(&self) -> mpsc::Receiver<Told<CompactReport>> {
        let store = self.clone();
        aside(move |go_on| store.compact(go_on))
    }

    /// [`Store::stats`] on a thread of its own.
    ///
    /// # Errors
    /// As [`Store::stats`].
    pub async fn stats_aside(&self) -> Result<super::StatsReport, Error> {
        let store = self.clone();
        let measured = tokio::task::spawn_blocking(move || store.stats()).await;
        // The thread ends early only when the daemon does.
        measured.unwrap_or(Err(Error::Closed))
    }
}

fn aside<R: Send + 'static>(
    work: impl FnOnce(&GoOn<'_>) -> Result<R, Error> + Send + 'static,
) -> mpsc::Receiver<Told<R>> {
    let (tell, told) = mpsc::channel(STEPS_KEPT);
    drop(tokio::task::spawn_blocking(move || {
        let go_on = |step| match tell.try_send(Told::Step(step)) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => ControlFlow::Continue(()),
            Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Break(()),
        };
        let ended = work(&go_on);
        // Nobody listens any more: nothing is lost.
        let _ = tell.blocking_send(Told::End(ended));
    }));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::rows::codec::tests::Note;
    use crate::storage::{Batch, Table};

    const NOTES: Table<Note> = Table::new("notes");

    fn filled(rows: u32) -> Store {
        let store = Store::temporary();
        let mut batch = Batch::new();
        for row in 0..rows {
            NOTES.put(&mut batch, &row.to_be_bytes(), &Note::new("note"));
        }
        store.commit(batch).wait().unwrap();
        store
    }

    #[tokio::test]
    async fn steps_come_before_the_one_end() {
        let store = filled(30_000);
        let mut told = store.check_aside(|_| Ok(()));
        let mut last = Step::default();
        let report = loop {
            match told.recv().await.expect("it ends") {
                Told::Step(step) => {
                    assert!(step.rows > last.rows && step.bytes > last.bytes);
                    last = step;
                }
                Told::End(report) => break report.unwrap(),
            }
        };
        assert!(last.rows > 0 && report.rows >= 30_000 && report.is_sound(), "{report:?}");
        assert!(told.recv().await.is_none());
        assert!(store.stats_aside().await.unwrap().live_bytes > 0);
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let store = filled(30_000);
        let stopped = store.check(&|_| Ok(()), &|_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::GivenUp)), "{stopped:?}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("export");
        let stopped = store.export(&file, &|_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::GivenUp)), "{stopped:?}");
        assert!(!file.exists());
    }
}
