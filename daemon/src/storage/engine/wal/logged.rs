//! A write-ahead-logged backend: a batch is durable in the log at once and reaches the database behind it later.
//!
//! The database syncs each of its batches in several dependent steps; the log needs one. Waiting batches are read from
//! memory and go into the database together, only the newest write of each key. After a crash the log is replayed before
//! anything is read.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::checkpointer::{APPLIED, Checkpointer, applied_row, read_applied};
use super::frame::Frames;
use super::log::{self, Wal};
use super::swap::{Copying, Swappable};
use crate::storage::engine::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::engine::disk::forget_cached;
use crate::storage::engine::overlay;
use crate::storage::engine::sled::Sled;
use crate::storage::error::Error;

/// How a database follows its log.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Pace {
    /// The pause before a round of the checkpointer.
    pub(in crate::storage) rest: Duration,
    /// The length at which one of the log's files gives way to the other.
    pub(in crate::storage) turn_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        // LDK writes the same rows many times a second; the database gets each once.
        Self { rest: Duration::from_secs(1), turn_bytes: 8 << 20 }
    }
}

/// Whether a database is being compacted.
#[derive(Default)]
pub(in crate::storage) struct Compacting {
    /// Held until it ends.
    pub(in crate::storage) lock: Mutex<()>,
    /// Nobody asked for it.
    pub(in crate::storage) unasked: AtomicBool,
}

/// A database with its log.
pub(in crate::storage) struct Logged<B: Backend> {
    checkpointer: Arc<Checkpointer<B>>,
    thread: Option<JoinHandle<()>>,
    wal: Mutex<Wal>,
    compacting: Compacting,
    directory: PathBuf,
}

impl Logged<Sled> {
    /// Opens the database in `directory` with its log, making empty ones where there are none.
    ///
    /// Both are read from the disk, not from pages of the page cache that an earlier process failed to write back. sled is
    /// opened first: its lock keeps other processes away from the log too.
    pub(in crate::storage) fn open(directory: &Path, cache_mib: u64) -> Result<Self, Error> {
        forget_cached(&Sled::file(directory))?;
        let sled = Sled::open(directory, cache_mib)?;
        for name in log::NAMES {
            forget_cached(&directory.join(name))?;
        }
        Self::with(sled, directory, Pace::default())
    }
}

impl<B: Backend> Logged<B> {
    /// Opens the log of a database in `directory` and replays the batches that the database lacks.
    pub(in crate::storage) fn with(base: B, directory: &Path, pace: Pace) -> Result<Self, Error> {
        let (wal, id, applied, frames) = match read_applied(&base)? {
            Some((id, applied)) => {
                let (wal, frames) = Wal::open(directory, id, applied, pace.turn_bytes)?;
                (wal, id, applied, frames)
            }
            None => {
                let (wal, id) = Wal::create(directory, pace.turn_bytes)?;
                base.commit(&[applied_row(id, 0)])?;
                (wal, id, 0, Frames::new())
            }
        };
        refuse_gap(directory, applied, &frames)?;
        let directory = directory.to_owned();
        let checkpointer =
            Arc::new(Checkpointer::new(base, directory.clone(), id, applied, pace.rest));
        let runs = checkpointer.clone();
        let thread = crate::tasks::thread("checkpointer", move || runs.run())
            .map_err(|error| Error::io("start the checkpointer of", &directory, error))?;
        let (wal, compacting) = (Mutex::new(wal), Compacting::default());
        let logged = Self { checkpointer, thread: Some(thread), wal, compacting, directory };
        logged.catch_up(applied, frames)?;
        Ok(logged)
    }

    /// Where the database and its log are.
    pub(in crate::storage) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The database behind the log.
    pub(in crate::storage) fn database(&self) -> &Swappable<B> {
        &self.checkpointer.base
    }

    /// Whether it is being compacted.
    pub(in crate::storage) fn compacting(&self) -> &Compacting {
        &self.compacting
    }

    /// The copy that compaction fills; the database does not change while the guard is held.
    pub(in crate::storage) fn copying(&self) -> MutexGuard<'_, Copying<B>> {
        self.checkpointer.copying()
    }

    /// Waits until the database has all that was committed before the call.
    pub(in crate::storage) fn wait_for_database(&self) -> Result<(), Error> {
        self.checkpointer.wait_for_all()
    }

    /// Refuses further batches.
    pub(in crate::storage) fn fail(&self, error: Error) {
        self.checkpointer.fail(error);
    }

    /// Replays the batches that only the log has, then starts the log over.
    fn catch_up(&self, applied: u64, frames: Frames) -> Result<(), Error> {
        let newest = frames.last_key_value().map_or(applied, |(newest, _)| *newest);
        if newest > applied {
            tracing::info!(
                batches = newest - applied,
                "replaying batches from the write-ahead log"
            );
        }
        for (number, batch) in frames {
            self.checkpointer.add(number, &batch);
        }
        self.checkpointer.wait_for(newest)?;
        self.wal().begin_after(newest);
        Ok(())
    }

    fn wal(&self) -> MutexGuard<'_, Wal> {
        self.wal.lock().expect("nobody panics while holding it")
    }
}

impl<B: Backend> Backend for Logged<B> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        let mut wal = self.wal();
        self.checkpointer.health()?;
        if let Some(needed) = wal.due() {
            self.checkpointer.wait_for(needed)?;
            wal.take_turns();
        }
        // A batch whose append failed may or may not survive a crash, so no other may follow it.
        let number =
            wal.append(writes).inspect_err(|error| self.checkpointer.fail(error.clone()))?;
        self.checkpointer.add(number, writes);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // Before the database: a write that moves there meanwhile is then found in one of both.
        match self.checkpointer.get(key) {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => self.database().get().get(key),
        }
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        let waiting = self.checkpointer.read_waiting(|waiting| waiting.within(span, direction));
        let base = self.database().get();
        overlay::scan(&waiting, &*base, span, direction, &mut |key, value| {
            if key == APPLIED { ControlFlow::Continue(()) } else { visit(key, value) }
        })
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(self.database().get().disk_bytes()? + log::disk_bytes(&self.directory)?)
    }

    fn health(&self) -> Result<(), Error> {
        self.checkpointer.health()
    }
}

impl<B: Backend> Drop for Logged<B> {
    fn drop(&mut self) {
        self.checkpointer.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the checkpointer panicked; the next start replays its batches from the log"
            );
        }
    }
}

/// Refuses a log that misses a batch which the database does not have either.
fn refuse_gap(directory: &Path, applied: u64, frames: &Frames) -> Result<(), Error> {
    let newest = frames.last_key_value().map_or(applied, |(newest, _)| *newest);
    let missing = (applied + 1..newest).find(|number| !frames.contains_key(number));
    missing.map_or(Ok(()), |missing| {
        Err(log::damaged(
            directory,
            format!(
                "batch {missing} is missing or cannot be read, the log goes on to {newest}, and the database ends at \
                 {applied}: it is an older copy, or a disk has lost what was acknowledged"
            ),
        ))
    })
}
