//! Free space on the disks of the store: new obligations stop before writes have to.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::storage::error::Error;

/// A disk with less free space than the margin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowSpace {
    /// A directory on it.
    pub directory: PathBuf,
    /// What is free, in MiB.
    pub free_mib: u64,
    /// What should be free, in MiB.
    pub min_free_mib: u64,
}

impl std::fmt::Display for LowSpace {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            text,
            "the disk of {} has {} MiB free, less than storage.min_free_mib = {}: no new channels and payments until \
             there is space",
            self.directory.display(),
            self.free_mib,
            self.min_free_mib
        )
    }
}

/// Checks the free space on the disks of the store.
#[derive(Debug)]
pub(in crate::storage) struct SpaceWatch {
    directories: Vec<PathBuf>,
    min_free_mib: u64,
    low: watch::Sender<Option<LowSpace>>,
    /// Bytes free on the fullest disk at the last check; `u64::MAX` while unknown.
    free_bytes: AtomicU64,
}

impl SpaceWatch {
    /// Watches the disks of some directories.
    pub(in crate::storage) fn new(directories: Vec<PathBuf>, min_free_mib: u64) -> Self {
        Self {
            directories,
            min_free_mib,
            low: watch::Sender::new(None),
            free_bytes: AtomicU64::new(u64::MAX),
        }
    }

    pub(in crate::storage) fn low(&self) -> watch::Receiver<Option<LowSpace>> {
        self.low.subscribe()
    }

    /// Bytes free on the fullest disk at the last check.
    pub(in crate::storage) fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != u64::MAX)
    }

    /// Whether so much more fits on the disk of a directory with the margin left free.
    pub(in crate::storage) fn check_room(&self, directory: &Path, bytes: u64) -> Result<(), Error> {
        let needed_mib = (bytes >> 20).saturating_add(self.min_free_mib);
        match free_on(directory).map(|(_, free_bytes)| free_bytes >> 20) {
            Some(free_mib) if free_mib < needed_mib => {
                Err(Error::NoRoom { directory: directory.to_owned(), needed_mib, free_mib })
            }
            _ => Ok(()),
        }
    }

    /// Checks now; logs a change.
    pub(in crate::storage) fn look(&self) {
        let free = self.directories.iter().filter_map(|directory| free_on(directory));
        let fullest = free.min_by_key(|(_, free_bytes)| *free_bytes);
        let free_bytes = fullest.map_or(u64::MAX, |(_, free_bytes)| free_bytes);
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        let free_mib = free_bytes >> 20;
        let found =
            fullest.filter(|_| is_low(free_mib, self.min_free_mib)).map(|(directory, _)| {
                let (directory, min_free_mib) = (directory.to_owned(), self.min_free_mib);
                LowSpace { directory, free_mib, min_free_mib }
            });
        self.low.send_if_modified(|low| {
            let changed = low.is_some() != found.is_some();
            match (&found, changed) {
                (Some(found), true) => tracing::warn!("{found}"),
                (None, true) => tracing::info!("the disk has enough free space again"),
                (_, false) => (),
            }
            *low = found;
            changed
        });
    }
}

fn free_on(directory: &Path) -> Option<(&Path, u64)> {
    match rustix::fs::statvfs(directory) {
        Ok(disk) => Some((directory, disk.f_bavail.saturating_mul(disk.f_frsize))),
        Err(error) => {
            tracing::debug!(directory = %directory.display(), %error, "cannot tell the free space");
            None
        }
    }
}

fn is_low(free_mib: u64, min_free_mib: u64) -> bool {
    free_mib < min_free_mib
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_decides() {
        let directory = tempfile::tempdir().unwrap();
        for (min_free_mib, low) in [(0, false), (u64::MAX, true)] {
            let watch = SpaceWatch::new(vec![directory.path().to_owned()], min_free_mib);
            watch.look();
            assert_eq!(watch.low().borrow().is_some(), low);
            assert_eq!(watch.check_room(directory.path(), 1).is_err(), low);
            assert!(watch.free_bytes().is_some_and(|bytes| bytes > 0));
        }
        let gone = SpaceWatch::new(vec![directory.path().join("gone")], u64::MAX);
        gone.look();
        assert_eq!((gone.low().borrow().clone(), gone.free_bytes()), (None, None));
    }
}
