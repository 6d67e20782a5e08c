//! File operations beyond reading and writing: syncing directories, dropping cached pages, waiting.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Advice, fadvise};

use crate::storage::error::Error;

/// Makes the names in a directory durable.
pub(in crate::storage) fn sync_directory(directory: &Path) -> Result<(), Error> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let synced = File::open(directory).and_then(|names| names.sync_all());
    synced.map_err(|error| Error::io("sync", directory, error))
}

/// Drops a file's cached pages, so that the next read comes from the disk. After a failed write-back Linux may keep pages
/// that the disk does not have and mark them clean; only the disk shows what a power cut would leave.
pub(in crate::storage) fn forget_cached(file: &Path) -> Result<(), Error> {
    match File::open(file) {
        Ok(open) => fadvise(&open, 0, None, Advice::DontNeed)
            .map_err(|error| Error::io("read from the disk", file, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("open", file, error)),
    }
}

/// Blocks a thread of the store that waits for a file, or that yields the disk to others.
#[expect(
    clippy::disallowed_methods,
    reason = "threads of the store wait for files, of which nothing can notify them"
)]
pub(in crate::storage) fn pause(time: Duration) {
    std::thread::sleep(time);
}
