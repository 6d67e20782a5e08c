//! The write-ahead log: batches as numbered frames in two files that are written in turn.
//!
//! A frame begins on a page of its own, so that no write touches what was acknowledged before. A file whose turn comes
//! again is written over in place: the disk then has no metadata to write, and one fdatasync is one flush of the drive.
//!
//! One frame is durable before the next is written. So a frame that cannot be read is either the last one, which nobody
//! was told of, or damaged: it is the latter if any later one can be read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::backend::Write;
use super::disk::sync_directory;
use super::{Error, id, writes};

const PAGE_BYTES: usize = 4096;
/// A file grows by this much at once, so that most frames leave its length as it is.
const GROW_BYTES: u64 = 1 << 20;
/// How much memory is kept for frames to be made in.
const FRAME_BYTES_KEPT: usize = 8 << 20;

/// The two files of a log.
pub(super) const NAMES: [&str; 2] = ["wal.0", "wal.1"];

/// Two files, and the place in them where the next frame goes.
#[derive(Debug)]
pub(super) struct Wal {
    files: [LogFile; 2],
    /// Which of both has its turn.
    turn: usize,
    /// How long it is when its turn ends.
    turn_bytes: u64,
    /// Distinguishes this log's frames from anybody's bytes.
    id: u64,
    /// The number of the next frame.
    next: u64,
    /// The frame that is being made; kept for its memory.
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

/// The batches of a log by their numbers.
pub(super) type Frames = BTreeMap<u64, Vec<Write<'static>>>;

impl Wal {
    /// Makes the files of a new log; returns its id too.
    ///
    /// # Errors
    ///
    /// Refuses files that hold batches: the database that they belong to is not the one beside them.
    pub(super) fn create(directory: &Path, turn_bytes: u64) -> Result<(Self, u64), Error> {
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

    /// Opens a log with the frames that it holds.
    pub(super) fn open(
        directory: &Path,
        id: u64,
        turn_bytes: u64,
    ) -> Result<(Self, Frames), Error> {
        let wal = Self::over(directory, id, turn_bytes, false)?;
        let mut frames = Frames::new();
        for LogFile { path, .. } in &wal.files {
            for (number, batch) in (FramesIn { rest: &read(path)?, id }) {
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
            let opened = options.read(true).write(true).create(create).truncate(false).open(&path);
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

    /// Begins anew after frame `last`: no frame so far is needed any longer.
    pub(super) fn begin_after(&mut self, last: u64) {
        self.next = last + 1;
    }

    /// Whether the other file's turn has come; no frame up to the returned one may be needed any longer then.
    pub(super) fn due(&self) -> Option<u64> {
        (self.files[self.turn].end >= self.turn_bytes).then(|| self.files[1 - self.turn].last)
    }

    /// Gives the other file its turn.
    pub(super) fn take_turns(&mut self) {
        self.turn = 1 - self.turn;
        self.files[self.turn].end = 0;
        self.frame.shrink_to(FRAME_BYTES_KEPT);
    }

    /// Appends a batch durably; returns its number.
    pub(super) fn append(&mut self, batch: &[Write<'_>]) -> Result<u64, Error> {
        let number = self.next;
        encode(self.id, number, batch, &mut self.frame);
        let log = &mut self.files[self.turn];
        log.write(&self.frame).map_err(|error| Error::io("write", &log.path, error))?;
        log.file.sync_data().map_err(|error| Error::io("sync", &log.path, error))?;
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
pub(super) fn disk_bytes(directory: &Path) -> Result<u64, Error> {
    NAMES.iter().try_fold(0, |bytes, name| {
        let path = directory.join(name);
        let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
        Ok(bytes + metadata.len())
    })
}

/// What is wrong with the log in a directory.
pub(super) fn damaged(directory: &Path, why: String) -> Error {
    Error::Corrupt { place: format!("the write-ahead log in {}", directory.display()), why }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::io("read", path, error))
}

/// What comes before the writes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    id: u64,
    number: u64,
    body_bytes: u64,
    body_sum: u32,
}

const MAGIC: [u8; 8] = *b"fulmwal1";
const HEADER_BYTES: usize = 40;

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.id.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.body_bytes.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.body_sum.to_be_bytes());
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number =
            |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let sum =
            |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let whole = bytes[..8] == MAGIC && sum(36) == crc32c::crc32c(&bytes[..36]);
        whole.then(|| Self {
            id: number(8),
            number: number(16),
            body_bytes: number(24),
            body_sum: sum(32),
        })
    }
}

/// Makes a frame of whole pages.
fn encode(id: u64, number: u64, batch: &[Write<'_>], frame: &mut Vec<u8>) {
    frame.clear();
    frame.reserve(HEADER_BYTES + batch.iter().map(writes::encoded_len).sum::<usize>() + PAGE_BYTES);
    frame.resize(HEADER_BYTES, 0);
    for write in batch {
        writes::encode(write, frame);
    }
    let body = &frame[HEADER_BYTES..];
    let (body_bytes, body_sum) = (body.len() as u64, crc32c::crc32c(body));
    frame[..HEADER_BYTES].copy_from_slice(&Header { id, number, body_bytes, body_sum }.encode());
    frame.resize(frame.len().next_multiple_of(PAGE_BYTES), 0);
}

/// Whether a file holds frames of any log.
fn holds_frames(bytes: &[u8]) -> bool {
    let mut pages = bytes.chunks(PAGE_BYTES).filter_map(<[u8]>::first_chunk);
    pages.any(|page| Header::decode(page).is_some())
}

/// All frames of a log in a file that can be read, wherever they begin: what is torn or damaged lies between them.
struct FramesIn<'a> {
    rest: &'a [u8],
    id: u64,
}

impl Iterator for FramesIn<'_> {
    type Item = (u64, Vec<Write<'static>>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let header = self.rest.first_chunk()?;
            let found = Header::decode(header).filter(|header| header.id == self.id);
            let read = found.and_then(|header| Some((header, body(header, self.rest)?)));
            let bytes = read.as_ref().map_or(1, |(header, _)| {
                HEADER_BYTES + usize::try_from(header.body_bytes).expect("it was read")
            });
            let pages = bytes.next_multiple_of(PAGE_BYTES).min(self.rest.len());
            self.rest = &self.rest[pages..];
            if let Some((header, batch)) = read {
                return Some((header.number, batch));
            }
        }
    }
}

/// The writes of a frame; none if they are not what the header says.
fn body(header: Header, frame: &[u8]) -> Option<Vec<Write<'static>>> {
    let bytes = usize::try_from(header.body_bytes).ok()?;
    let mut body = frame[HEADER_BYTES..].get(..bytes)?;
    if crc32c::crc32c(body) != header.body_sum {
        return None;
    }
    let mut batch = Vec::new();
    while let Some((op, mut rest)) = body.split_first() {
        let at_most = rest.len() as u64;
        batch.push(writes::decode(*op, &mut rest, at_most).ok()??);
        body = rest;
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What schema 2 writes; it must be read for ever.
    #[test]
    fn a_stored_frame_is_read_for_ever() {
        let put = Write { key: b"k"[..].into(), value: Some(b"vw"[..].into()) };
        let batch = [put, Write { key: b"d"[..].into(), value: None }];
        let mut stored = Vec::new();
        stored.extend(b"fulmwal1");
        stored.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 22]);
        stored.extend([92, 208, 132, 118, 70, 97, 68, 136]);
        stored.extend([1, 0, 0, 0, 1, 0, 0, 0, 2, b'k', b'v', b'w']);
        stored.extend([2, 0, 0, 0, 1, 0, 0, 0, 0, b'd']);
        stored.resize(PAGE_BYTES, 0);
        let mut frame = Vec::new();
        encode(7, 9, &batch, &mut frame);
        assert!(frame == stored, "{:?}", &frame[..70]);
        let read: Vec<_> = FramesIn { rest: &stored, id: 7 }.collect();
        assert_eq!(read, [(9, batch.to_vec())]);
        assert_eq!(FramesIn { rest: &stored, id: 8 }.count(), 0);
    }
}
