//! A backend that writes ahead: a batch is durable in the log at once and reaches the database behind it later.
//!
//! The database syncs each of its batches in several steps that wait for one another; the log needs one. Batches that
//! wait are read from memory, and go into the database together, the newest write of each key alone. What had not got
//! there at a crash is written to it before anybody reads.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::checkpointer::{APPLIED, Applier, applied_row, read_applied};
use super::frame::Frames;
use super::log::{self, Wal};
use super::swap::{Copying, Seat};
use crate::storage::engine::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::engine::disk::forget_cached;
use crate::storage::engine::overlay;
use crate::storage::engine::sled::Sled;
use crate::storage::error::Error;

/// How a database follows its log.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Pace {
    /// How long batches wait for company.
    pub(in crate::storage) rest: Duration,
    /// How long one of the log's files is when the other's turn comes.
    pub(in crate::storage) turn_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rest: Duration::from_millis(200), turn_bytes: 8 << 20 }
    }
}

/// A database with its log.
pub(in crate::storage) struct Ahead<B: Backend> {
    applier: Arc<Applier<B>>,
    thread: Option<JoinHandle<()>>,
    wal: Mutex<Wal>,
    /// Held by the compaction that is under way.
    compacting: Mutex<()>,
    directory: PathBuf,
}

impl Ahead<Sled> {
    /// Opens the database in `directory` with its log, making empty ones where there are none.
    ///
    /// Both are read from the disk, not from the system's memory of what an earlier process could not get there. sled
    /// comes first: its own lock keeps out whoever else would touch the log.
    pub(in crate::storage) fn open(directory: &Path, cache_mib: u64) -> Result<Self, Error> {
        forget_cached(&Sled::file(directory))?;
        let sled = Sled::open(directory, cache_mib)?;
        for name in log::NAMES {
            forget_cached(&directory.join(name))?;
        }
        Self::with(sled, directory, Pace::default())
    }
}

impl<B: Backend> Ahead<B> {
    /// Opens the log of a database in `directory`, and gives the database what it lacks.
    pub(in crate::storage) fn with(base: B, directory: &Path, pace: Pace) -> Result<Self, Error> {
        let (wal, id, applied, frames) = match read_applied(&base)? {
            Some((id, applied)) => {
                let (wal, mut frames) = Wal::open(directory, id, pace.turn_bytes)?;
                (wal, id, applied, frames.split_off(&(applied + 1)))
            }
            None => {
                let (wal, id) = Wal::create(directory, pace.turn_bytes)?;
                base.commit(&[applied_row(id, 0)])?;
                (wal, id, 0, Frames::new())
            }
        };
        refuse_gap(directory, applied, &frames)?;
        let directory = directory.to_owned();
        let applier = Arc::new(Applier::new(base, directory.clone(), id, applied, pace.rest));
        let runs = applier.clone();
        let thread = crate::tasks::thread("applier", move || runs.run())
            .map_err(|error| Error::io("start the applier of", &directory, error))?;
        let (wal, compacting) = (Mutex::new(wal), Mutex::default());
        let ahead = Self { applier, thread: Some(thread), wal, compacting, directory };
        ahead.catch_up(applied, frames)?;
        Ok(ahead)
    }

    /// Where the database and its log are.
    pub(in crate::storage) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The place of the database.
    pub(in crate::storage) fn seat(&self) -> &Seat<B> {
        &self.applier.base
    }

    /// What the compaction that is under way holds.
    pub(in crate::storage) fn compacting(&self) -> &Mutex<()> {
        &self.compacting
    }

    /// The copy that is being made; the database stays as it is while this is held.
    pub(in crate::storage) fn copying(&self) -> MutexGuard<'_, Copying<B>> {
        self.applier.copying()
    }

    /// Gives the database what only the log has, and begins the log anew.
    fn catch_up(&self, applied: u64, frames: Frames) -> Result<(), Error> {
        let newest = frames.last_key_value().map_or(applied, |(newest, _)| *newest);
        if newest > applied {
            tracing::info!(batches = newest - applied, "the database takes what only the log has");
        }
        for (number, batch) in frames {
            self.applier.take_in(number, &batch);
        }
        self.applier.wait_for(newest)?;
        self.wal().begin_after(newest);
        Ok(())
    }

    fn wal(&self) -> MutexGuard<'_, Wal> {
        self.wal.lock().expect("nobody panics while holding it")
    }
}

impl<B: Backend> Backend for Ahead<B> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        let mut wal = self.wal();
        self.applier.health()?;
        if let Some(needed) = wal.due() {
            self.applier.wait_for(needed)?;
            wal.take_turns();
        }
        // Whether a batch whose append fails is there after a crash, nobody knows: none may follow it.
        let number = wal.append(writes).inspect_err(|error| self.applier.fail(error.clone()))?;
        self.applier.take_in(number, writes);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // Before the database: what is applied meanwhile is then seen here, or there.
        match self.applier.get(key) {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => self.seat().get()?.get(key),
        }
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        let waiting = self.applier.read_waiting(|waiting| waiting.within(span, direction));
        let base = self.seat().get()?;
        overlay::scan(&waiting, &*base, span, direction, &mut |key, value| {
            if key == APPLIED { ControlFlow::Continue(()) } else { visit(key, value) }
        })
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(self.seat().get()?.disk_bytes()? + log::disk_bytes(&self.directory)?)
    }

    fn health(&self) -> Result<(), Error> {
        self.applier.health()
    }
}

impl<B: Backend> Drop for Ahead<B> {
    fn drop(&mut self) {
        self.applier.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the applier panicked; the log has what the database lacks");
        }
    }
}

/// Refuses a log of which a batch is missing that the database lacks.
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
