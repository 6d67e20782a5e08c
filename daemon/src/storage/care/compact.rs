//! Compaction: the live rows are copied into a fresh database beside the old one, which it then replaces, all while the
//! store is in use.
//!
//! Rounds of the checkpointer go into both databases meanwhile. A kill leaves one or the other under the name, each whole
//! and with the log: the log's files are linked into both directories before these exchange their names in one step.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::storage::engine::backend::{Backend, Span, Write};
use crate::storage::engine::disk::{pause, sync_directory};
use crate::storage::engine::page::page;
use crate::storage::engine::piece::pieces;
use crate::storage::engine::progress::{OnProgress, Progress};
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::log::NAMES;
use crate::storage::engine::wal::logged::Logged;
use crate::storage::engine::wal::swap::Copying;
use crate::storage::error::Error;

/// How often to look whether a compaction that nobody asked for has ended.
const AGAIN: Duration = Duration::from_millis(50);

/// The sizes before and after a compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Bytes on disk before.
    pub before_bytes: u64,
    /// Bytes on disk after.
    pub after_bytes: u64,
}

/// Counts the bytes of keys and values in a database that is in use.
///
/// # Errors
///
/// [`Error::Cancelled`] when `on_progress` breaks off.
pub(in crate::storage) fn live_bytes(
    database: &dyn Backend,
    on_progress: &OnProgress<'_>,
) -> Result<u64, Error> {
    let (mut rest, mut read) = (Span::prefix(&[]), Progress::default());
    loop {
        let began = Instant::now();
        let (rows, next) = page(database, &rest)?;
        read.add(&rows);
        if on_progress(read).is_break() {
            return Err(Error::Cancelled);
        }
        match next {
            Some(next) => rest.start = next,
            None => return Ok(read.bytes),
        }
        pause(began.elapsed());
    }
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
    /// Rewrites the database without the space of old values, while it is in use. Until it ends, two databases are open,
    /// each with its cache.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when it is being compacted; [`Error::Cancelled`] when `on_progress` breaks off. Whatever the error,
    /// the database is in use as before.
    pub(in crate::storage) fn compact(
        &self,
        on_progress: &OnProgress<'_>,
    ) -> Result<CompactReport, Error> {
        loop {
            match self.compacting().lock.try_lock() {
                Ok(_alone) => return self.rewrite(on_progress),
                Err(_) if self.compacting().unasked.load(Ordering::SeqCst) => pause(AGAIN),
                Err(_) => return Err(self.busy()),
            }
        }
    }

    /// [`Self::compact`] by the store itself: others wait for its end rather than being refused.
    pub(in crate::storage) fn compact_unasked(
        &self,
        on_progress: &OnProgress<'_>,
    ) -> Result<CompactReport, Error> {
        self.compacting().unasked.store(true, Ordering::SeqCst);
        let done = match self.compacting().lock.try_lock() {
            Ok(_alone) => self.rewrite(on_progress),
            Err(_) => Err(self.busy()),
        };
        self.compacting().unasked.store(false, Ordering::SeqCst);
        done
    }

    fn busy(&self) -> Error {
        let why = "it is being compacted already";
        Error::Busy { directory: self.directory().to_owned(), why }
    }

    fn rewrite(&self, on_progress: &OnProgress<'_>) -> Result<CompactReport, Error> {
        delete_copy(self.directory())?;
        // What waits in the log would replace rows of the copy soon, whose space would then be lost again.
        self.wait_for_database()?;
        let before_bytes = self.disk_bytes()?;
        let copy = Arc::new(self.database().get().beside(&place_of_copy(self.directory()))?);
        *self.copying() = Some(Ok(copy));
        let filled = self.fill(on_progress);
        let replaced = filled.as_ref().map_or(Ok(()), |()| self.replace());
        *self.copying() = None;
        // After a failed replacement the remains are left to the next attempt or start, which knows the database sound.
        replaced?;
        // The copy that was not filled, or the database that was replaced.
        delete_copy(self.directory())?;
        filled?;
        Ok(CompactReport { before_bytes, after_bytes: self.disk_bytes()? })
    }

    /// Copies page by page; between two pages the checkpointer writes its rounds to both databases.
    fn fill(&self, on_progress: &OnProgress<'_>) -> Result<(), Error> {
        let (mut rest, mut step) = (Span::prefix(&[]), Progress::default());
        loop {
            let began = Instant::now();
            let copying = self.copying();
            let (rows, next) = page(&*self.database().get(), &rest)?;
            step.add(&rows);
            let put = |(key, value): (Vec<u8>, Vec<u8>)| Write {
                key: key.into(),
                value: Some(value.into()),
            };
            let copy = copy(&copying)?;
            // sled splits a full leaf by writing both halves anew, and what it wrote before is garbage between what
            // lives. So it splits leaves of empty rows, which cost little, and the values then come in between.
            let empty =
                |key: &Vec<u8>| Write { key: key.clone().into(), value: Some(Vec::new().into()) };
            copy.write(&rows.keys().map(empty).collect::<Vec<_>>())?;
            // Not synced: the copy has to be durable only when it replaces the database. In pieces, because sled gives
            // segments away again only between two flushes.
            for piece in pieces(&rows.into_iter().map(put).collect::<Vec<_>>()) {
                copy.write(piece)?;
            }
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

    /// Replaces the database by the copy.
    ///
    /// Both stay open while their directories exchange names: sled opens files by name only when it is opened itself.
    fn replace(&self) -> Result<(), Error> {
        // No round is written while this is held, so that both have the same rows.
        let copying = self.copying();
        let copy = copy(&copying)?;
        copy.sync()?;
        let (database, beside) = (self.directory(), place_of_copy(self.directory()));
        for name in NAMES {
            let linked = fs::hard_link(database.join(name), beside.join(name));
            linked.map_err(|error| Error::io("link into", &beside, error))?;
        }
        sync_directory(&beside)?;
        let exchange = || {
            let exchanged = renameat_with(CWD, database, CWD, &beside, RenameFlags::EXCHANGE);
            exchanged.map_err(|error| Error::io("exchange", &beside, error.into()))
        };
        exchange()?;
        if let Err(error) = sync_directory(database.parent().unwrap_or(Path::new("."))) {
            // After a power cut either may have the name, with all rows of now. Without a way back there must be none
            // after them.
            exchange().inspect_err(|error| self.fail(error.clone()))?;
            return Err(error);
        }
        self.database().swap(copy.clone());
        Ok(())
    }
}

fn copy<'a>(copying: &'a MutexGuard<'_, Copying<Sled>>) -> Result<&'a Arc<Sled>, Error> {
    match &**copying {
        Some(copy) => copy.as_ref().map_err(Error::clone),
        None => Err(Error::Cancelled),
    }
}
