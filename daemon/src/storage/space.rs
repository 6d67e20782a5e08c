//! How much space the disk still has, so that obligations end before acknowledgements do.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

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

/// Looks at the disks of the store now and then.
#[derive(Debug)]
pub(super) struct SpaceWatch {
    directories: Vec<PathBuf>,
    min_free_mib: u64,
    low: watch::Sender<Option<LowSpace>>,
}

impl SpaceWatch {
    /// Watches the disks of some directories.
    pub(super) fn new(directories: Vec<PathBuf>, min_free_mib: u64) -> Self {
        Self { directories, min_free_mib, low: watch::Sender::new(None) }
    }

    pub(super) fn low(&self) -> watch::Receiver<Option<LowSpace>> {
        self.low.subscribe()
    }

    /// Looks now; says so when the answer changes.
    pub(super) fn look(&self) {
        let found = self.directories.iter().find_map(|directory| self.low_on(directory));
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

    fn low_on(&self, directory: &Path) -> Option<LowSpace> {
        let free_mib = match rustix::fs::statvfs(directory) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) >> 20,
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "cannot tell the free space");
                return None;
            }
        };
        is_low(free_mib, self.min_free_mib).then(|| LowSpace {
            directory: directory.to_owned(),
            free_mib,
            min_free_mib: self.min_free_mib,
        })
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
        }
        let gone = SpaceWatch::new(vec![directory.path().join("gone")], u64::MAX);
        gone.look();
        assert_eq!(*gone.low().borrow(), None);
    }
}
