//! Compaction: the live rows are copied into a fresh database beside the old one, which it then replaces, all while the
//! store is in use.
//!
//! Rounds of the checkpointer go into both databases meanwhile. A kill leaves one or the other under the name, each whole
//! and with the log: the log's files are linked into both directories before these exchange their names in one step.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::storage::engine::backend::{Backend, Span, Write};
use crate::storage::engine::disk::{pause, sync_directory};
use crate::storage::engine::page::page;
use crate::storage::engine::progress::{OnProgress, Progress};
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::log::NAMES;
use crate::storage::engine::wal::logged::Logged;
use crate::storage::engine::wal::swap::Copying;
use crate::storage::error::Error;

/// How long to wait for a moment without readers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Poll interval for such a moment.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The cache of the copy while it is filled.
const COPY_CACHE_MIB: u64 = 16;

/// The sizes before and after a compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Bytes on disk before.
    pub before_bytes: u64,
    /// Bytes on disk after.
    pub after_bytes: u64,
}

/// The directory of the copy; the remains of an interrupted attempt there can be deleted.
pub(in crate::storage) fn place_of_copy(database: &Path) -> PathBuf {
    database.with_added_extension("compacting")
}

/// Deletes a copy that never replaced its database, or a database that was replaced.
pub(in crate::storage) fn delete_copy(database: &Path) -> Result<(), Error> {
    let place = place_of_copy(database);
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("delete", &place, error))
        }
        _ => Ok(()),
    }
}

impl Logged<Sled> {
    /// Rewrites the database without the space of old values, while it is in use.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when it is being compacted, or read by somebody for a minute without a pause;
    /// [`Error::Cancelled`] when `on_progress` breaks off. Whatever the error, the database is in use as before.
    pub(in crate::storage) fn compact(
        &self,
        on_progress: &OnProgress<'_>,
    ) -> Result<CompactReport, Error> {
        let busy = |why: &'static str| Error::Busy { directory: self.directory().to_owned(), why };
        let Ok(_alone) = self.compacting().try_lock() else {
            return Err(busy("it is being compacted already"));
        };
        delete_copy(self.directory())?;
        let before_bytes = self.disk_bytes()?;
        let copy = Sled::open(&place_of_copy(self.directory()), COPY_CACHE_MIB)?;
        *self.copying() = Some(Ok(copy));
        let exchanged = self.fill(on_progress).map(|()| self.exchange());
        *self.copying() = None;
        match exchanged {
            Ok(Ok(true)) => {
                delete_copy(self.directory())?;
                Ok(CompactReport { before_bytes, after_bytes: self.disk_bytes()? })
            }
            Ok(Ok(false)) => {
                delete_copy(self.directory())?;
                Err(busy("it is read without a pause"))
            }
            // The next attempt or start deletes the remains, once it knows that the database is sound.
            Ok(Err(failed)) => Err(failed),
            Err(broken_off) => {
                delete_copy(self.directory())?;
                Err(broken_off)
            }
        }
    }

    /// Copies page by page; between two pages the checkpointer writes its rounds to both databases.
    fn fill(&self, on_progress: &OnProgress<'_>) -> Result<(), Error> {
        let (mut rest, mut step) = (Span::prefix(&[]), Progress::default());
        loop {
            let began = Instant::now();
            let copying = self.copying();
            let (rows, next) = page(&*self.database().get()?, &rest)?;
            step.rows += rows.len() as u64;
            step.bytes +=
                rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
            let put = |(key, value): (Vec<u8>, Vec<u8>)| Write {
                key: key.into(),
                value: Some(value.into()),
            };
            copy(&copying)?.commit(&rows.into_iter().map(put).collect::<Vec<_>>())?;
            drop(copying);
            if on_progress(step).is_break() {
                return Err(Error::Cancelled);
            }
            match next {
                Some(next) => rest.start = next,
                None => return Ok(()),
            }
            // Half of the time is left to the node.
            pause(began.elapsed());
        }
    }

    /// Replaces the database by the copy at the first moment without readers; false if there was none.
    fn exchange(&self) -> Result<bool, Error> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if self.try_swap()? {
                return Ok(true);
            }
            pause(LOOK_EVERY);
        }
        Ok(false)
    }

    fn try_swap(&self) -> Result<bool, Error> {
        // No round is written while this is held.
        let mut copying = self.copying();
        copy(&copying)?;
        let (here, there) = (self.directory(), place_of_copy(self.directory()));
        let mut refused = None;
        let exchanged = self.database().try_swap(|base| {
            // Both are closed while their names change.
            *copying = None;
            let cache_mib = base.cache_mib();
            drop(base);
            let compacted = take_place(here, &there).and_then(|()| {
                Sled::open(here, cache_mib).or_else(|error| {
                    exchange_names(here, &there)?;
                    Err(error)
                })
            });
            compacted.or_else(|error| {
                refused = Some(error);
                Sled::open(here, cache_mib)
            })
        })?;
        refused.map_or(Ok(exchanged), Err)
    }
}

/// Gives the copy the log and the name of the database; if that fails, the database keeps both.
fn take_place(database: &Path, copy: &Path) -> Result<(), Error> {
    for name in NAMES {
        let linked = fs::hard_link(database.join(name), copy.join(name));
        linked.map_err(|error| Error::io("link into", copy, error))?;
    }
    sync_directory(copy)?;
    exchange_names(database, copy)
}

fn copy<'a>(copying: &'a MutexGuard<'_, Copying<Sled>>) -> Result<&'a Sled, Error> {
    match &**copying {
        Some(copy) => copy.as_ref().map_err(Error::clone),
        None => Err(Error::Cancelled),
    }
}

/// Exchanges two directories, durably or not at all.
fn exchange_names(one: &Path, other: &Path) -> Result<(), Error> {
    let exchange = || renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
    exchange().map_err(|error| Error::io("exchange", other, error.into()))?;
    sync_directory(one.parent().unwrap_or(Path::new("."))).inspect_err(|_| {
        // The disk is failing: there is nothing better to do.
        let _ = exchange();
    })
}
