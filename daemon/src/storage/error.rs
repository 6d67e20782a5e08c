//! What can go wrong with the store, each with its place and its remedy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

/// Why the store cannot be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the directory.
    #[error(
        "another fulmend{holder} holds the data directory {}; stop it, or give this one its own directory",
        directory.display()
    )]
    Locked {
        /// The directory that is in use.
        directory: PathBuf,
        /// ` (process N)` where known.
        holder: String,
    },
    /// The operating system refused an operation on a file.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `open`.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The process or the system has run out of something that comes back: the disk is not at fault.
    #[error("cannot {what} {}: out of {resource} ({source}); the disk is not at fault", path.display())]
    Exhausted {
        /// What was tried, such as `open`.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// `file descriptors` or `memory`.
        resource: &'static str,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// Others than the owner can read the store, and that cannot be changed.
    #[error(
        "{} has mode {mode:o}, so that others can read channel states there, and cannot be made private: {why}; give \
         it to the user of fulmend, or mount its file system with umask=077",
        path.display()
    )]
    Exposed {
        /// The directory or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Why it cannot be changed.
        why: String,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk of {}: nothing more is acknowledged; free space there and start again",
        path.display()
    )]
    DiskFull {
        /// The directory on the full disk.
        path: PathBuf,
    },
    /// The backend refused or broke.
    #[error("the store in {} failed to {what}: {why}", directory.display())]
    Backend {
        /// The store's directory.
        directory: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// A thread of the store met a broken invariant.
    #[error("the store's {thread} panicked: {why}")]
    Panicked {
        /// The thread.
        thread: &'static str,
        /// The panic's message.
        why: String,
    },
    /// The store does not open.
    #[error(
        "the store in {} does not open: {why}; it is left as it is: check the disk, then restore the mirror or an \
         export, and never start on an empty store while channels are open",
        directory.display()
    )]
    Unopenable {
        /// The store's directory.
        directory: PathBuf,
        /// What the backend said.
        why: String,
    },
    /// The store lacks writes that were acknowledged.
    #[error(
        "the store in {} ends at commit {found}, but commit {witnessed} was acknowledged ({witness}): it is an older \
         copy or has lost its tail; going on could broadcast a revoked state and lose a channel's money; put the \
         newest store back, or restore the mirror",
        directory.display()
    )]
    Behind {
        /// The store's directory.
        directory: PathBuf,
        /// The last commit in the store.
        found: u64,
        /// The last commit known to have been acknowledged.
        witnessed: u64,
        /// Who knows of it.
        witness: String,
    },
    /// The witness on another disk cannot vouch for the store.
    #[error(
        "the witness {} (storage.witness) cannot be used: {why}; mount its disk or mend its path, or remove the option, \
         which gives up its protection against an older copy of the store",
        path.display()
    )]
    Witness {
        /// The witness's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The store was written by a newer release.
    #[error(
        "the store in {} has schema {found}, this fulmend knows up to {known}: use the release that wrote it, or a \
         newer one",
        directory.display()
    )]
    NewerSchema {
        /// The store's directory.
        directory: PathBuf,
        /// The schema in the store.
        found: u64,
        /// The newest schema known here.
        known: u64,
    },
    /// A stored value is not what was written.
    #[error("{place} in the store is damaged: {why}; restore the mirror or an export")]
    Corrupt {
        /// Table and key.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The second copy failed, and the configuration says that the daemon must not go on without it.
    #[error(
        "the mirror in {} failed: {why}; check its disk, or start with storage.stop_without_mirror = false",
        directory.display()
    )]
    Mirror {
        /// The mirror's directory.
        directory: PathBuf,
        /// What happened.
        why: String,
    },
    /// The store is in use in a way that excludes the operation.
    #[error("the store in {} is busy: {why}; try again later", directory.display())]
    Busy {
        /// The store's directory.
        directory: PathBuf,
        /// The other use.
        why: &'static str,
    },
    /// There is no room for a second copy of the database.
    #[error(
        "compacting the store in {} may take {needed_mib} MiB for a while and {free_mib} MiB are free: free space \
         there, or move it to a larger disk",
        directory.display()
    )]
    NoRoom {
        /// The store's directory.
        directory: PathBuf,
        /// What may be needed, with what should stay free.
        needed_mib: u64,
        /// What is free.
        free_mib: u64,
    },
    /// The directory already has a store.
    #[error("there is a store in {} already; move it away first", directory.display())]
    Exists {
        /// The data directory.
        directory: PathBuf,
    },
    /// The directory has no store.
    #[error("there is no store in {}", directory.display())]
    Missing {
        /// The data directory.
        directory: PathBuf,
    },
    /// A file is not an export, or a damaged one.
    #[error("{} is not a sound export: {why}", path.display())]
    BadExport {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The caller cancelled a long read.
    #[error("the caller has cancelled it")]
    Cancelled,
    /// The store was closed before.
    #[error("the store is closed")]
    Closed,
    /// A page token that no page gave out.
    #[error("the page token is not one that a page gave out")]
    BadToken,
}

impl Error {
    /// What an operator can do when the store has failed while the daemon ran.
    pub fn remedy(&self) -> &'static str {
        match self {
            // Its own words say it.
            Error::DiskFull { .. } | Error::Mirror { .. } => {
                "nothing that was acknowledged is lost"
            }
            Error::Exhausted { .. } => {
                "nothing that was acknowledged is lost: raise the limit on open files (LimitNOFILE= in the unit) or give \
                 the machine more memory, then start again"
            }
            Error::Panicked { .. } => {
                "nothing that was acknowledged is lost: start again, and report the panic with the log"
            }
            _ => {
                "nothing that was acknowledged is lost: check the disk, then start again; if the disk is failing, \
                 restore the mirror or an export on another one"
            }
        }
    }

    /// Whether the same operation may succeed later although nobody repairs anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Exhausted { .. } | Error::Busy { .. } => true,
            Error::Locked { .. }
            | Error::Io { .. }
            | Error::DiskFull { .. }
            | Error::Exposed { .. }
            | Error::Backend { .. }
            | Error::Panicked { .. }
            | Error::Unopenable { .. }
            | Error::Behind { .. }
            | Error::NewerSchema { .. }
            | Error::Witness { .. }
            | Error::Corrupt { .. }
            | Error::Mirror { .. }
            | Error::NoRoom { .. }
            | Error::Exists { .. }
            | Error::Missing { .. }
            | Error::BadExport { .. }
            | Error::Cancelled
            | Error::Closed
            | Error::BadToken => false,
        }
    }

    /// Wraps an operating-system error with what was tried on which path.
    pub(super) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        if let Some(resource) = exhausted(&source) {
            return Error::Exhausted {
                what,
                path: path.to_owned(),
                resource,
                source: Arc::new(source),
            };
        }
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Error::DiskFull { path: path.to_owned() };
        }
        Error::Io { what, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// What the process or the system has run out of, if that is what an error says.
fn exhausted(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE => Some("file descriptors"),
        Errno::NOMEM => Some("memory"),
        _ => None,
    }
}

impl From<Error> for lightning::io::Error {
    fn from(error: Error) -> Self {
        lightning::io::Error::new(lightning::io::ErrorKind::Other, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_is_not_a_failed_disk() {
        let path = Path::new("/data/sled/wal.0");
        let error = |errno: Errno| Error::io("write", path, errno.into());
        for (errno, resource) in [
            (Errno::MFILE, "file descriptors"),
            (Errno::NFILE, "file descriptors"),
            (Errno::NOMEM, "memory"),
        ] {
            let error = error(errno);
            assert!(error.is_transient(), "{error}");
            assert!(error.to_string().contains(resource), "{error}");
            assert!(!error.remedy().contains("mirror"), "{}", error.remedy());
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
            assert!(!error(errno).is_transient(), "{errno}");
        }
    }
}
