//! Long reads of the store on threads of their own, with reports of their progress.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::storage::care::check::{CheckReport, LdkValue};
use crate::storage::care::compact::CompactReport;
use crate::storage::care::export::ExportReport;
use crate::storage::engine::progress::{OnProgress, Progress};
use crate::storage::error::Error;
use crate::storage::store::Store;

/// Updates buffered for a listener; one that is slow misses progress, never the result.
const STEPS_KEPT: usize = 16;

/// An update on a job: progress any number of times, then its result once.
#[derive(Clone, Debug)]
pub enum JobUpdate<R> {
    /// The job is still running.
    Progress(Progress),
    /// The job has ended.
    Done(Result<R, Error>),
}

impl Store {
    /// [`Store::check`] on a thread of its own; dropping the receiver cancels it.
    pub fn start_check(
        &self,
        decode: fn(LdkValue<'_>) -> Result<(), String>,
    ) -> mpsc::Receiver<JobUpdate<CheckReport>> {
        let store = self.clone();
        spawn(self, "check", move |on_progress| store.check(&decode, on_progress))
    }

    /// [`Store::export`] on a thread of its own; dropping the receiver cancels it.
    pub fn start_export(&self, file: PathBuf) -> mpsc::Receiver<JobUpdate<ExportReport>> {
        let store = self.clone();
        spawn(self, "export", move |on_progress| store.export(&file, on_progress))
    }

    /// [`Store::compact`] on a thread of its own; dropping the receiver cancels it.
    pub fn start_compact(&self) -> mpsc::Receiver<JobUpdate<CompactReport>> {
        let store = self.clone();
        spawn(self, "compaction", move |on_progress| store.compact(on_progress))
    }

    /// [`Store::stats`] on a thread of its own.
    ///
    /// # Errors
    /// As [`Store::stats`].
    pub async fn stats_off_worker(&self) -> Result<super::StatsReport, Error> {
        let store = self.clone();
        let measured =
            tokio::task::spawn_blocking(move || store.guard("measuring", || store.stats())).await;
        // The thread ends early only when the daemon does.
        measured.unwrap_or(Err(Error::Closed))
    }
}

fn spawn<R: Send + 'static>(
    store: &Store,
    job: &'static str,
    work: impl FnOnce(&OnProgress<'_>) -> Result<R, Error> + Send + 'static,
) -> mpsc::Receiver<JobUpdate<R>> {
    let (tell, told) = mpsc::channel(STEPS_KEPT);
    let store = store.clone();
    drop(tokio::task::spawn_blocking(move || {
        let on_progress = |step| match tell.try_send(JobUpdate::Progress(step)) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => ControlFlow::Continue(()),
            Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Break(()),
        };
        let ended = store.guard(job, || work(&on_progress));
        // The listener is gone: nothing is lost.
        let _ = tell.blocking_send(JobUpdate::Done(ended));
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
        let mut told = store.start_check(|_| Ok(()));
        let mut last = Progress::default();
        let report = loop {
            match told.recv().await.expect("it ends") {
                JobUpdate::Progress(step) => {
                    assert!(step.rows > last.rows && step.bytes > last.bytes);
                    last = step;
                }
                JobUpdate::Done(report) => break report.unwrap(),
            }
        };
        assert!(last.rows > 0 && report.rows >= 30_000 && report.is_sound(), "{report:?}");
        assert!(told.recv().await.is_none());
        assert!(store.stats_off_worker().await.unwrap().live_bytes > 0);
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_the_store_with_words() {
        let store = filled(1);
        let mut told = store.start_check(|_| Ok(()));
        while told.recv().await.is_some() {}
        assert!(store.failed().borrow().is_none());
        let mut told = spawn::<()>(&store, "check", |_| panic!("two and two are five"));
        let Some(JobUpdate::Done(Err(error))) = told.recv().await else { panic!("it never ended") };
        assert_eq!(error.to_string(), "the store's check panicked: two and two are five");
        assert!(matches!(*store.failed().borrow(), Some(Error::Panicked { .. })));
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let store = filled(30_000);
        let stopped = store.check(&|_| Ok(()), &|_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("export");
        let stopped = store.export(&file, &|_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
        assert!(!file.exists());
    }
}
