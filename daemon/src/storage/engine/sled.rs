//! The sled backend: its own fdatasync, since sled's flush does not reach the drive.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::backend::{Backend, Direction, Span, Visit, Write};
use super::disk::pause;
use super::private::{create_directory, narrow_files};
use crate::storage::error::Error;

/// Small segments are reused soon, and so keep the file short; [`super::piece`] says what else they demand.
const SEGMENT_BYTES: usize = 1 << 20;
/// Of databases made by release 0.1, until they are compacted.
const OLD_SEGMENT_BYTES: usize = 16 << 20;
/// sled puts longer values, those above a quarter of a segment, into files of their own, which it never syncs.
const LONGEST_VALUE: usize = SEGMENT_BYTES / 16;
/// With so many bytes a read, what is read beyond the cache's capacity stays below 16 MiB.
const BYTES_A_READ: usize = 1 << 10;
/// How long an earlier handle of this process may take to release the file.
const RELEASE_WAIT: Duration = Duration::from_secs(2);
/// How often to look whether it has.
const RELEASE_POLL: Duration = Duration::from_millis(2);

/// One sled database.
pub struct Sled {
    db: sled::Db,
    /// Our own descriptor of sled's log, to sync it.
    log: File,
    directory: PathBuf,
    cache_mib: u64,
}

impl Sled {
    /// Opens the database in `directory`, making an empty one where there is none.
    ///
    /// Whatever sled does about a damaged database, panics included, becomes an error. The caller holds the lock of the
    /// data directory, so a lock on the database is one that an earlier handle of this process has not released yet.
    pub fn open(directory: &Path, cache_mib: u64) -> Result<Self, Error> {
        create_directory(directory)?;
        delete_torn_snapshots(directory)?;
        wait_for_release(&Self::file(directory))?;
        let opened = match open_sled(directory, cache_mib, SEGMENT_BYTES) {
            Err(Refused::Segments) => open_sled(directory, cache_mib, OLD_SEGMENT_BYTES),
            opened => opened,
        };
        let unopenable = |why| Error::Unopenable { directory: directory.to_owned(), why };
        let db = opened.map_err(|refused| match refused {
            Refused::Segments => unopenable("its segments have an unknown size".to_owned()),
            Refused::Io(error) => {
                let why = error.to_string();
                match Error::io("open", directory, error) {
                    Error::Io { .. } => unopenable(why),
                    known => known,
                }
            }
            Refused::Other(why) => unopenable(why),
        })?;
        let path = Self::file(directory);
        let log = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        // The files' names must survive too.
        log.sync_all().map_err(|error| Error::io("sync", &path, error))?;
        let names = File::open(directory).map_err(|error| Error::io("open", directory, error))?;
        names.sync_all().map_err(|error| Error::io("sync", directory, error))?;
        refuse_blobs(directory)?;
        narrow_files(directory)?;
        Ok(Self { db, log, directory: directory.to_owned(), cache_mib })
    }

    /// The file that a database in `directory` is in.
    pub(in crate::storage) fn file(directory: &Path) -> PathBuf {
        directory.join("db")
    }

    /// Opens an empty database in `directory`, which is to take the place of this one; its errors name this one's.
    pub(in crate::storage) fn beside(&self, directory: &Path) -> Result<Self, Error> {
        let beside = Self::open(directory, self.cache_mib)?;
        Ok(Self { directory: self.directory.clone(), ..beside })
    }

    /// Makes sled count a read by its bytes: its cache gives pages up only after 64 reads in each of its 256 parts, and a
    /// scan of long values, one read each, would have all of them in memory by then whatever the cache's capacity.
    fn count(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        for _ in 0..value.len() / BYTES_A_READ {
            self.db.get(key).map_err(|error| self.refused("read", error))?;
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, why: impl ToString) -> Error {
        Error::Backend { directory: self.directory.clone(), what, why: why.to_string() }
    }

    fn refused(&self, what: &'static str, error: sled::Error) -> Error {
        match error {
            sled::Error::Io(error) => Error::io(what, &self.directory, error),
            sled::Error::Corruption { at, .. } => Error::Corrupt {
                place: format!("{}/db at {at:?}", self.directory.display()),
                why: "sled finds it corrupt".to_owned(),
            },
            error => self.failed(what, error),
        }
    }

    /// sled panics on some damage; a panic is an error of the store, not of its caller.
    fn guarded<T>(
        &self,
        what: &'static str,
        deed: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(deed))
            .unwrap_or_else(|panic| Err(self.failed(what, crate::tasks::panic_text(&*panic))))
    }
}

impl Sled {
    /// Hands a batch to the operating system.
    pub(in crate::storage) fn write(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        self.guarded("write", || {
            let mut batch = sled::Batch::default();
            for Write { key, value } in writes {
                match value {
                    Some(value) if value.len() > LONGEST_VALUE => {
                        return Err(
                            self.failed("write to", format!("a value of {} bytes", value.len()))
                        );
                    }
                    Some(value) => batch.insert(&**key, &**value),
                    None => batch.remove(&**key),
                }
            }
            self.db.apply_batch(batch).map_err(|error| self.refused("write to", error))?;
            self.db.flush().map_err(|error| self.refused("flush", error))?;
            Ok(())
        })
    }

    /// Makes durable what was written.
    pub(in crate::storage) fn sync(&self) -> Result<(), Error> {
        let synced = self.log.sync_data();
        synced.map_err(|error| Error::io("sync", &Self::file(&self.directory), error))
    }
}

impl Backend for Sled {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        self.write(writes)?;
        self.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.guarded("read", || {
            let value = self.db.get(key).map_err(|error| self.refused("read", error))?;
            value.map(|value| self.count(key, &value).map(|()| value.to_vec())).transpose()
        })
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        if span.is_empty() {
            return Ok(());
        }
        self.guarded("read", || {
            let rows = self.db.range::<&[u8], _>(span.bounds());
            let mut show = |row: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = row.map_err(|error| self.refused("read", error))?;
                self.count(&key, &value)?;
                Ok(visit(&key, &value))
            };
            match direction {
                Direction::Forward => until_break(rows.map(&mut show)),
                Direction::Backward => until_break(rows.rev().map(&mut show)),
            }
        })
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        // sled's own measure reads its directory of blobs, for which it may lack a descriptor.
        let metadata = self.log.metadata();
        Ok(metadata.map_err(|error| Error::io("measure", &self.directory, error))?.len())
    }
}

/// Why sled does not open a database.
#[derive(Debug)]
enum Refused {
    /// Its segments have another size.
    Segments,
    Io(io::Error),
    /// What sled says, in a panic perhaps.
    Other(String),
}

fn open_sled(directory: &Path, cache_mib: u64, segment_bytes: usize) -> Result<sled::Db, Refused> {
    let config = sled::Config::new()
        .path(directory)
        .segment_size(segment_bytes)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(Some(500))
        .cache_capacity(cache_mib << 20);
    let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
    opened.map_err(|panic| Refused::Other(crate::tasks::panic_text(&*panic)))?.map_err(|error| {
        match error {
            sled::Error::Io(error) => Refused::Io(error),
            // Of all that it keeps in its configuration, this is what differs between our releases.
            sled::Error::Unsupported(_) => Refused::Segments,
            error => Refused::Other(error.to_string()),
        }
    })
}

fn until_break(shown: impl Iterator<Item = Result<ControlFlow<()>, Error>>) -> Result<(), Error> {
    for row in shown {
        if row?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Waits until no handle of a dropped database has its file any more: sled's threads keep the file, and its lock, until
/// they have written what was left, up to tens of milliseconds after the last handle was dropped.
fn wait_for_release(file: &Path) -> Result<(), Error> {
    let open = match File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", file, error)),
    };
    let since = Instant::now();
    // sled itself says why it cannot open a file whose lock is held for longer.
    while since.elapsed() < RELEASE_WAIT {
        match flock(&open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) => pause(RELEASE_POLL),
            Err(error) => return Err(Error::io("lock", file, error.into())),
        }
    }
    Ok(())
}

/// Refuses a database with values in files of their own: sled never syncs them.
fn refuse_blobs(directory: &Path) -> Result<(), Error> {
    let blobs = directory.join("blobs");
    match fs::read_dir(&blobs).map(|mut files| files.next().is_some()) {
        Ok(true) => Err(Error::Backend {
            directory: directory.to_owned(),
            what: "stay within its log",
            why: format!("{} is not empty", blobs.display()),
        }),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("read", &blobs, error)),
    }
}

/// A snapshot torn by a power cut makes sled's open fail; without it sled replays its log.
fn delete_torn_snapshots(directory: &Path) -> Result<(), Error> {
    let files = fs::read_dir(directory).map_err(|error| Error::io("read", directory, error))?;
    for file in files {
        let path = file.map_err(|error| Error::io("read", directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            tracing::warn!(path = %path.display(), "deleting a torn snapshot");
            fs::remove_file(&path).map_err(|error| Error::io("delete", &path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_open_again_right_after_it_was_dropped() {
        let directory = tempfile::tempdir().unwrap();
        // So much is still being written behind when the last handle goes.
        let value = vec![7; 8 << 10];
        for round in 0..30u32 {
            let sled = Sled::open(directory.path(), 16).unwrap();
            let key = |row: u32| [round.to_be_bytes(), row.to_be_bytes()].concat();
            let put = |row| Write { key: key(row).into(), value: Some((&value[..]).into()) };
            sled.commit(&(0..512).map(put).collect::<Vec<_>>()).unwrap();
        }
    }

    #[test]
    fn a_database_with_segments_of_release_0_1_is_read_and_written() {
        let directory = tempfile::tempdir().unwrap();
        drop(open_sled(directory.path(), 16, OLD_SEGMENT_BYTES).unwrap());
        for round in 0..3u8 {
            let sled = Sled::open(directory.path(), 16).unwrap();
            let put = Write { key: vec![round].into(), value: Some(vec![round].into()) };
            sled.commit(&[put]).unwrap();
            assert_eq!(sled.get(&[0]).unwrap(), Some(vec![0]));
        }
        assert!(open_sled(directory.path(), 16, SEGMENT_BYTES).is_err());
        let long = vec![0; LONGEST_VALUE + 1];
        let sled = Sled::open(directory.path(), 16).unwrap();
        let refused = sled.commit(&[Write { key: vec![9].into(), value: Some(long.into()) }]);
        assert!(refused.unwrap_err().to_string().contains("65537 bytes"));
    }

    #[test]
    fn a_database_that_somebody_else_has_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _sled = Sled::open(directory.path(), 16).unwrap();
        let began = Instant::now();
        let refused = Sled::open(directory.path(), 16).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("lock"), "{refused}");
        assert!(began.elapsed() >= RELEASE_WAIT);
    }
}
