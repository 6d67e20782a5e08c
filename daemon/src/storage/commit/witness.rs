//! The rollback witness: the number of the last commit, in a small file beside the store.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::storage::error::Error;

const SLOT_BYTES: usize = 512;
const MAGIC: [u8; 8] = *b"fulmwit1";

/// Two slots written in turn, so that one is whole whenever the power goes.
#[derive(Debug)]
pub(in crate::storage) struct Witness {
    file: File,
    path: PathBuf,
    last: u64,
    turn: u64,
}

impl Witness {
    /// Opens the file, or creates one that has seen no commit.
    pub(in crate::storage) fn open(path: &Path) -> Result<Self, Error> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| Error::io("open", path, error))?;
        let last = [0, 1].map(|slot| read_slot(&file, slot));
        let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
        if length >= 2 * SLOT_BYTES as u64 && matches!(last, [Ok(None), Ok(None)]) {
            let why = "neither of its slots is whole".to_owned();
            return Err(Error::Corrupt { place: path.display().to_string(), why });
        }
        let (mut newest, mut turn) = (0, 0);
        for (slot, seen) in (0..).zip(last) {
            let seen = seen.map_err(|error| Error::io("read", path, error))?;
            if let Some(seen) = seen
                && seen >= newest
            {
                (newest, turn) = (seen, slot + 1);
            }
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        let synced = file.sync_all().and_then(|()| File::open(directory)?.sync_all());
        synced.map_err(|error| Error::io("sync", path, error))?;
        Ok(Self { file, path: path.to_owned(), last: newest, turn })
    }

    /// The last commit that it has seen.
    pub(in crate::storage) fn last(&self) -> u64 {
        self.last
    }

    /// Notes that `commit` is durable in the store.
    pub(in crate::storage) fn note(&mut self, commit: u64) -> Result<(), Error> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&MAGIC);
        slot[8..16].copy_from_slice(&commit.to_be_bytes());
        let sum = crc32c::crc32c(&slot[..16]);
        slot[16..20].copy_from_slice(&sum.to_be_bytes());
        let offset = (self.turn % 2) * SLOT_BYTES as u64;
        let written = self.file.write_all_at(&slot, offset).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::io("write", &self.path, error))?;
        self.turn += 1;
        self.last = commit;
        Ok(())
    }
}

fn read_slot(file: &File, slot: u64) -> io::Result<Option<u64>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64) {
        Ok(()) => (),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let sum = crc32c::crc32c(&bytes[..16]).to_be_bytes();
    if bytes[..8] != MAGIC || bytes[16..20] != sum {
        return Ok(None);
    }
    Ok(bytes[8..16].try_into().ok().map(u64::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let mut witness = Witness::open(&path).unwrap();
        assert_eq!(witness.last(), 0);
        for commit in [3, 4, 9] {
            witness.note(commit).unwrap();
            assert_eq!(Witness::open(&path).unwrap().last(), commit);
        }
        // The slot written last is torn.
        witness.file.write_all_at(&[0xff; 20], 0).unwrap();
        let mut witness = Witness::open(&path).unwrap();
        assert_eq!(witness.last(), 4);
        // The next write goes to the torn slot, not over the whole one.
        witness.note(10).unwrap();
        witness.file.write_all_at(&[0xff; 20], 0).unwrap();
        assert_eq!(Witness::open(&path).unwrap().last(), 4);
    }
}
