//! The rollback witness: the number of the last commit, in a small file apart from the database.
//!
//! Beside the store it finds a database that lost its tail. On another disk (`storage.witness`) it also finds that the
//! whole data directory is an older copy.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::patience::patiently;
use crate::storage::engine::private::FILE_MODE;
use crate::storage::error::Error;

pub(in crate::storage) const SLOT_BYTES: usize = 512;
const MAGIC: [u8; 8] = *b"fulmwit1";
/// The magic and the commit.
const FIRST_BYTES: usize = 16;
/// These with their checksum, the time and the store's id, which release 0.1 neither writes nor reads.
const ALL_BYTES: usize = FIRST_BYTES + 4 + 16;

/// What a witness has seen of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct Seen {
    /// The number of the last commit.
    pub(in crate::storage) commit: u64,
    /// When it was noted, in Unix seconds, and the store's id; 0 where unknown.
    pub(in crate::storage) unix_secs: u64,
    pub(in crate::storage) store_id: u64,
}

impl Seen {
    /// How old the state is, in words for an operator; none where its time is unknown or ahead of `unix_secs`.
    pub(in crate::storage) fn age(&self, unix_secs: u64) -> Option<(Duration, String)> {
        let secs = unix_secs.checked_sub(self.unix_secs).filter(|_| self.unix_secs > 0)?;
        let words = match secs {
            0..120 => format!("{secs} s"),
            120..7_200 => format!("{} min", secs / 60),
            7_200..172_800 => format!("{} h", secs / 3_600),
            _ => format!("{} days", secs / 86_400),
        };
        Some((Duration::from_secs(secs), words))
    }
}

/// Two slots written in turn, so that one is whole whenever the power goes.
#[derive(Debug)]
pub(in crate::storage) struct Witness {
    file: File,
    path: PathBuf,
    seen: Seen,
    turn: u64,
}

impl Witness {
    /// Opens the file, or creates one that has seen no commit.
    pub(in crate::storage) fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(path).map_err(|error| Error::io("open", path, error))?;
        let slots = [0, 1].map(|slot| read_slot(&file, slot));
        let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
        if length >= 2 * SLOT_BYTES as u64 && matches!(slots, [Ok(None), Ok(None)]) {
            let why = "neither of its slots is whole".to_owned();
            return Err(Error::Corrupt { place: path.display().to_string(), why });
        }
        let (mut newest, mut turn) = (Seen::default(), 0);
        for (slot, seen) in (0..).zip(slots) {
            let seen = seen.map_err(|error| Error::io("read", path, error))?;
            if let Some(seen) = seen
                && seen.commit >= newest.commit
            {
                (newest, turn) = (seen, slot + 1);
            }
        }
        file.sync_all().map_err(|error| Error::io("sync", path, error))?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { file, path: path.to_owned(), seen: newest, turn })
    }

    /// The newest note.
    pub(in crate::storage) fn seen(&self) -> Seen {
        self.seen
    }

    /// Where the file is.
    pub(in crate::storage) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a commit is durable in the store.
    pub(in crate::storage) fn note(&mut self, seen: Seen) -> Result<(), Error> {
        let slot = encode(seen);
        let offset = (self.turn % 2) * SLOT_BYTES as u64;
        patiently(|| {
            let written = self.file.write_all_at(&slot, offset);
            let synced = written.and_then(|()| self.file.sync_data());
            synced.map_err(|error| Error::io("write", &self.path, error))
        })?;
        self.turn += 1;
        self.seen = seen;
        Ok(())
    }
}

pub(in crate::storage) fn encode(Seen { commit, unix_secs, store_id }: Seen) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&MAGIC);
    slot[8..FIRST_BYTES].copy_from_slice(&commit.to_be_bytes());
    let sum = crc32c::crc32c(&slot[..FIRST_BYTES]);
    slot[FIRST_BYTES..20].copy_from_slice(&sum.to_be_bytes());
    slot[20..ALL_BYTES].copy_from_slice([unix_secs, store_id].map(u64::to_be_bytes).as_flattened());
    let sum = crc32c::crc32c(&slot[..ALL_BYTES]);
    slot[ALL_BYTES..ALL_BYTES + 4].copy_from_slice(&sum.to_be_bytes());
    slot
}

pub(in crate::storage) fn decode(slot: &[u8; SLOT_BYTES]) -> Option<Seen> {
    let number = |at: usize| slot[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let is_whole = |end: usize| slot[end..end + 4] == crc32c::crc32c(&slot[..end]).to_be_bytes();
    if slot[..8] != MAGIC || !is_whole(FIRST_BYTES) {
        return None;
    }
    let (unix_secs, store_id) = if is_whole(ALL_BYTES) { (number(20), number(28)) } else { (0, 0) };
    Some(Seen { commit: number(8), unix_secs, store_id })
}

fn read_slot(file: &File, slot: u64) -> io::Result<Option<Seen>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64) {
        Ok(()) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(commit: u64) -> Seen {
        Seen { commit, unix_secs: 1_700_000_000 + commit, store_id: 77 }
    }

    /// Written by release 0.1; later releases must read it, and release 0.1 what they write.
    #[test]
    fn a_stored_slot_is_read_for_ever() {
        let mut stored = [0; SLOT_BYTES];
        stored[..20].copy_from_slice(b"fulmwit1\0\0\0\0\0\0\x01\x02\x84\x4a\x3c\x95");
        assert_eq!(decode(&stored), Some(Seen { commit: 258, unix_secs: 0, store_id: 0 }));
        assert_eq!(encode(Seen { commit: 258, ..seen(0) })[..20], stored[..20]);
        let whole = encode(seen(258));
        assert_eq!(decode(&whole), Some(seen(258)));
        for byte in 20..40 {
            let mut damaged = whole;
            damaged[byte] ^= 1;
            assert_eq!(decode(&damaged), Some(Seen { commit: 258, unix_secs: 0, store_id: 0 }));
        }
    }

    #[test]
    fn an_age_is_told_in_one_unit() {
        for (secs, words) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_300, "2 h"), (172_900, "2 days")]
        {
            let seen = seen(0);
            assert_eq!(seen.age(seen.unix_secs + secs).unwrap().1, words);
        }
        assert_eq!(seen(5).age(seen(4).unix_secs), None, "the clock was set back");
        assert_eq!(Seen::default().age(1_700_000_000), None, "release 0.1 notes no time");
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let mut witness = Witness::open(&path).unwrap();
        assert_eq!(witness.seen(), Seen::default());
        for commit in [3, 4, 9] {
            witness.note(seen(commit)).unwrap();
            assert_eq!(Witness::open(&path).unwrap().seen(), seen(commit));
        }
        // The slot written last is torn.
        witness.file.write_all_at(&[0xff; 20], 0).unwrap();
        let mut witness = Witness::open(&path).unwrap();
        assert_eq!(witness.seen(), seen(4));
        // The next write goes to the torn slot, not over the whole one.
        witness.note(seen(10)).unwrap();
        witness.file.write_all_at(&[0xff; 20], 0).unwrap();
        assert_eq!(Witness::open(&path).unwrap().seen(), seen(4));
    }
}
