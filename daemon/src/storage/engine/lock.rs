//! One data directory, one daemon: a file lock that ends with the process.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::private::FILE_MODE;
use crate::storage::error::Error;

/// Holds a directory until it is dropped.
#[derive(Debug)]
pub(in crate::storage) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock file of `directory`; the error names the process that holds it.
    pub(in crate::storage) fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("lock");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path);
        let mut file = opened.map_err(|error| Error::io("open", &path, error))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::io("lock", &path, error.into()));
            }
            let mut process = String::new();
            let known = file.read_to_string(&mut process).is_ok() && !process.trim().is_empty();
            let holder =
                if known { format!(" (process {})", process.trim()) } else { String::new() };
            return Err(Error::Locked { directory: directory.to_owned(), holder });
        }
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        named.map_err(|error| Error::io("write", &path, error))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
