//! What the operating system is asked of files beyond reading and writing them.

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

/// Lets the next read of a file come from the disk. After a failed write the system may hold pages that are not there
/// and take them for written; what is really there is what a power cut would leave.
pub(in crate::storage) fn forget_cached(file: &Path) -> Result<(), Error> {
    match File::open(file) {
        Ok(open) => fadvise(&open, 0, None, Advice::DontNeed)
            .map_err(|error| Error::io("read from the disk", file, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("open", file, error)),
    }
}

/// Blocks a thread that waits for the operating system, or that leaves others their time.
#[expect(
    clippy::disallowed_methods,
    reason = "threads of the store wait for files, of which nothing can notify them"
)]
pub(in crate::storage) fn pause(time: Duration) {
    std::thread::sleep(time);
}
