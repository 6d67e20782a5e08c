//! A second copy on another disk: every batch goes there too before it is acknowledged.
//!
//! The mirror gets a batch only once the store has it, so it is never ahead of a sound store: a mirror that is ahead
//! proves at start that the store has lost acknowledged writes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::diff::copy_differences;
use crate::storage::config::Config;
use crate::storage::engine::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::error::Error;
use crate::storage::rows::meta::{last_commit, store_id};

/// The state of the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorStatus {
    /// None is configured.
    Off,
    /// It holds every acknowledged write.
    InSync {
        /// Rows in which it differed when it was opened; they were copied then.
        copied_rows: u64,
    },
    /// It is no longer written to; the next start that can open it copies the differences.
    Failed {
        /// The directory and the error.
        why: String,
    },
}

/// A backend with a copy.
pub(in crate::storage) struct Mirrored<Main, Copy> {
    main: Main,
    copy: Mutex<Option<Copy>>,
    directory: PathBuf,
    /// The store fails with the mirror, rather than go on with one copy.
    required: bool,
    status: watch::Sender<MirrorStatus>,
}

impl<Main: Backend, Copy: Backend> Mirrored<Main, Copy> {
    /// Joins a store and its copy, once the copy has every row.
    ///
    /// `copy` is the result of opening it; without a copy the store stands alone, unless the mirror is required.
    pub(in crate::storage) fn join(
        main: Main,
        copy: Result<Copy, Error>,
        directory: &Path,
        config: &Config,
    ) -> Result<Self, Error> {
        let joined = Self {
            main,
            copy: Mutex::new(None),
            directory: directory.to_owned(),
            required: config.stop_without_mirror,
            status: watch::Sender::new(MirrorStatus::InSync { copied_rows: 0 }),
        };
        match copy.and_then(|copy| joined.copy_differences(&copy).map(|rows| (copy, rows))) {
            Ok((copy, copied_rows)) => {
                *joined.lock() = Some(copy);
                joined.status.send_replace(MirrorStatus::InSync { copied_rows });
            }
            // The store itself is at fault.
            Err(error @ Error::Behind { .. }) => return Err(error),
            Err(error) => joined.lose(error)?,
        }
        Ok(joined)
    }

    pub(in crate::storage) fn status(&self) -> watch::Receiver<MirrorStatus> {
        self.status.subscribe()
    }

    fn copy_differences(&self, copy: &Copy) -> Result<u64, Error> {
        let (here, there) = (last_commit(&self.main)?, last_commit(copy)?);
        let (id_here, id_there) = (store_id(&self.main)?, store_id(copy)?);
        if id_there.is_some() && id_here.is_some() && id_there != id_here {
            let why = "it is the copy of another store".to_owned();
            return Err(Error::Mirror { directory: self.directory.clone(), why });
        }
        if there > here {
            return Err(Error::Behind {
                directory: self.directory.clone(),
                found: here,
                witnessed: there,
                witness: format!("the mirror {} has it", self.directory.display()),
            });
        }
        if there < here || id_there != id_here {
            let mirror = self.directory.display();
            tracing::warn!(%mirror, commits = here - there, "mirror is behind; copying the differences");
            let rows = copy_differences(&self.main, copy)?;
            tracing::info!(%mirror, rows, "mirror is in sync");
            return Ok(rows);
        }
        Ok(0)
    }

    fn with_copy(&self, deed: impl FnOnce(&Copy) -> Result<(), Error>) -> Result<(), Error> {
        let done = self.lock().as_ref().map(deed);
        match done {
            Some(Err(error)) => self.lose(error),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn lose(&self, error: Error) -> Result<(), Error> {
        let why = error.to_string();
        if self.required {
            return Err(Error::Mirror { directory: self.directory.clone(), why });
        }
        tracing::error!(
            mirror = %self.directory.display(),
            %error,
            "mirror failed; continuing with one copy: check its disk, then restart"
        );
        *self.lock() = None;
        self.status.send_replace(MirrorStatus::Failed {
            why: format!("{}: {why}", self.directory.display()),
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Copy>> {
        self.copy.lock().expect("nobody panics while holding it")
    }
}

impl<Main: Backend, Copy: Backend> Backend for Mirrored<Main, Copy> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        self.main.commit(writes)?;
        self.with_copy(|copy| copy.commit(writes))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.main.get(key)
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.main.scan(span, direction, visit)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.main.disk_bytes()
    }

    fn health(&self) -> Result<(), Error> {
        self.main.health()?;
        self.with_copy(Copy::health)
    }
}
