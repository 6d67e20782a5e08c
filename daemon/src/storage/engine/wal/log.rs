//! The write-ahead log: batches as numbered frames in two files that take turns.
//!
//! A frame begins on a page of its own, so that no write touches acknowledged bytes. A file is overwritten in place when
//! its turn comes again: the file system then has no metadata to write, and one fdatasync is one flush of the drive.
//!
//! Each frame is durable before the next is written. An unreadable frame is therefore either the last one, which was
//! never acknowledged, or damaged; it is damaged if a later frame can be read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frame;
use super::frame::{Frames, FramesIn, holds_frames};
use crate::storage::engine::backend::Write;
use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::id;
use crate::storage::engine::patience::patiently;
use crate::storage::engine::private::FILE_MODE;
use crate::storage::error::Error;

/// A file grows by this much at once, so that most frames leave its length as it is.
const GROW_BYTES: u64 = 1 << 20;
/// Memory kept for encoding frames.
const FRAME_BYTES_KEPT: usize = 8 << 20;

/// The two files of a log.
pub(in crate::storage) const NAMES: [&str; 2] = ["wal.0", "wal.1"];

/// The two files of a log, with the position of the next frame.
#[derive(Debug)]
pub(in crate::storage) struct Wal {
    files: [LogFile; 2],
    /// The file that frames are written to.
    turn: usize,
    /// The length at which its turn ends.
    turn_bytes: u64,
    /// Distinguishes the frames of this log from those of others.
    id: u64,
    /// The number of the next frame.
    next: u64,
    /// The frame being encoded; kept for its memory.
    frame: Vec<u8>,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    path: PathBuf,
    length: u64,
    /// Where the next frame goes.
    end: u64,
    /// The last frame written to it since the log was opened.
    last: u64,
}

impl Wal {
    /// Creates the files of a new log; returns the log with its id.
    ///
    /// # Errors
    ///
    /// Refuses files that hold batches: the database that they belong to is not the one beside them.
    pub(in crate::storage) fn create(
        directory: &Path,
        turn_bytes: u64,
    ) -> Result<(Self, u64), Error> {
        let id = id::fresh(directory)?;
        let wal = Self::over(directory, id, turn_bytes, true)?;
        for LogFile { file, path, .. } in &wal.files {
            if holds_frames(&read(path)?) {
                let why = "it holds batches, and the database beside it knows of no log: it is older, or was lost";
                return Err(damaged(directory, why.to_owned()));
            }
            file.sync_all().map_err(|error| Error::io("sync", path, error))?;
        }
        sync_directory(directory)?;
        Ok((wal, id))
    }

    /// Opens a log with the frames that it holds after frame `after`.
    pub(in crate::storage) fn open(
        directory: &Path,
        id: u64,
        after: u64,
        turn_bytes: u64,
    ) -> Result<(Self, Frames), Error> {
        let wal = Self::over(directory, id, turn_bytes, false)?;
        let mut frames = Frames::new();
        for LogFile { path, .. } in &wal.files {
            for (number, batch) in FramesIn::new(&read(path)?, id).after(after) {
                let before = frames.insert(number, batch);
                if before.is_some_and(|before| before != frames[&number]) {
                    return Err(damaged(directory, format!("it has two batches {number}")));
                }
            }
        }
        Ok((wal, frames))
    }

    fn over(directory: &Path, id: u64, turn_bytes: u64, create: bool) -> Result<Self, Error> {
        let open = |name: &str| {
            let path = directory.join(name);
            let mut options = OpenOptions::new();
            let opened = options
                .read(true)
                .write(true)
                .create(create)
                .truncate(false)
                .mode(FILE_MODE)
                .open(&path);
            let file = opened.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    let why =
                        format!("{name} is missing, and acknowledged writes may be nowhere else");
                    damaged(directory, why)
                }
                _ => Error::io("open", &path, error),
            })?;
            let length = file.metadata().map_err(|error| Error::io("read", &path, error))?.len();
            Ok::<_, Error>(LogFile { file, path, length, end: 0, last: 0 })
        };
        let files = [open(NAMES[0])?, open(NAMES[1])?];
        Ok(Self { files, turn: 0, turn_bytes, id, next: 1, frame: Vec::new() })
    }

    /// Starts over after frame `last`: earlier frames are no longer needed.
    pub(in crate::storage) fn begin_after(&mut self, last: u64) {
        self.next = last + 1;
    }

    /// Says when the other file's turn has come: frames up to the returned one must no longer be needed before it starts.
    pub(in crate::storage) fn due(&self) -> Option<u64> {
        (self.files[self.turn].end >= self.turn_bytes).then(|| self.files[1 - self.turn].last)
    }

    /// Gives the other file its turn.
    pub(in crate::storage) fn take_turns(&mut self) {
        self.turn = 1 - self.turn;
        self.files[self.turn].end = 0;
        self.frame.shrink_to(FRAME_BYTES_KEPT);
    }

    /// Appends a batch durably; returns its number.
    pub(in crate::storage) fn append(&mut self, batch: &[Write<'_>]) -> Result<u64, Error> {
        let number = self.next;
        frame::encode(self.id, number, batch, &mut self.frame);
        let log = &mut self.files[self.turn];
        // Written again as a whole, since a failed sync may have dropped what was written before.
        patiently(|| {
            log.write(&self.frame).map_err(|error| Error::io("write", &log.path, error))?;
            log.file.sync_data().map_err(|error| Error::io("sync", &log.path, error))
        })?;
        log.end += self.frame.len() as u64;
        log.last = number;
        self.next += 1;
        Ok(number)
    }
}

impl LogFile {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let end = self.end + frame.len() as u64;
        if end > self.length {
            let length = end.next_multiple_of(GROW_BYTES);
            self.file.write_all_at(&vec![0; (length - end) as usize], end)?;
            self.length = length;
        }
        self.file.write_all_at(frame, self.end)
    }
}

/// How much space a log takes, in bytes.
pub(in crate::storage) fn disk_bytes(directory: &Path) -> Result<u64, Error> {
    NAMES.iter().try_fold(0, |bytes, name| {
        let path = directory.join(name);
        let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
        Ok(bytes + metadata.len())
    })
}

/// The error for a damaged log in a directory.
pub(in crate::storage) fn damaged(directory: &Path, why: String) -> Error {
    Error::Corrupt { place: format!("the write-ahead log in {}", directory.display()), why }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::io("read", path, error))
}
