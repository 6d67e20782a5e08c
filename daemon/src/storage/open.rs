//! Opening a data directory: lock, witness, database, mirror, each refusing what cannot be trusted.

use std::fs::{self, DirBuilder};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::storage::care::compact::delete_copy;
use crate::storage::care::mirror::{MirrorStatus, Mirrored};
use crate::storage::commit::second_witness;
use crate::storage::commit::witness::Witness;
use crate::storage::config::Config;
use crate::storage::engine::backend::{Backend, Direction, Span};
use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::id;
use crate::storage::engine::lock::Lock;
use crate::storage::engine::private::{create_directory, narrow_files};
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::Logged;
use crate::storage::error::Error;
use crate::storage::rows::meta::{STORE_ID, last_commit, number, store_id};
use crate::storage::rows::seal::Seal;
use crate::storage::rows::{keys, schema};

/// The mirror is read only when it is opened.
const MIRROR_CACHE_MIB: u64 = 16;

/// A database with its lock and witness, not yet verified; nothing has written to it.
pub(super) struct Unverified {
    pub(super) backend: Arc<Logged<Sled>>,
    pub(super) witness: Witness,
    /// Released after the database is closed.
    pub(super) lock: Lock,
}

/// A data directory that no other process can open until this is dropped.
#[derive(Debug)]
pub struct Claim {
    directory: PathBuf,
    lock: Lock,
}

impl Claim {
    /// Takes a data directory, creating it if need be; nothing in it is opened yet.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        created.map_err(|error| Error::io("create", directory, error))?;
        Ok(Self { directory: directory.to_owned(), lock: Lock::take(directory)? })
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A verified store.
pub(super) struct Verified {
    /// What distinguishes the store from others; 0 where it has no id.
    pub(super) store_id: u64,
    pub(super) second_witness: Option<Witness>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) seal: Seal,
    pub(super) last_commit: u64,
    pub(super) witness: Option<Witness>,
    pub(super) mirror: watch::Receiver<MirrorStatus>,
    pub(super) locks: Locks,
}

/// The locks of the store and its mirror, released after both are closed.
#[derive(Default)]
pub(super) struct Locks {
    databases: Vec<Weak<Logged<Sled>>>,
    locks: Vec<Lock>,
}

impl Locks {
    fn add(&mut self, database: &Arc<Logged<Sled>>, lock: Lock) {
        self.databases.push(Arc::downgrade(database));
        self.locks.push(lock);
    }

    /// The databases that are in use: a mirror that failed is not.
    pub(super) fn databases(&self) -> impl Iterator<Item = Arc<Logged<Sled>>> {
        self.databases.iter().filter_map(Weak::upgrade)
    }
}

/// The database within a data directory.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join("sled")
}

/// The witness file of a data directory.
pub(super) fn witness(directory: &Path) -> Result<Witness, Error> {
    Witness::open(&directory.join("witness"))
}

/// Opens a data directory without verifying what it holds.
pub(super) fn open_unverified(directory: &Path, cache_mib: u64) -> Result<Unverified, Error> {
    open_claimed(Claim::take(directory)?, cache_mib)
}

fn open_claimed(Claim { directory, lock }: Claim, cache_mib: u64) -> Result<Unverified, Error> {
    let directory = directory.as_path();
    let witness = witness(directory)?;
    if witness.seen().commit > 0 && !database(directory).exists() {
        return Err(behind(directory, 0, &witness));
    }
    let backend = Arc::new(Logged::open(&database(directory), cache_mib)?);
    delete_copy(&database(directory))?;
    sync_directory(directory)?;
    Ok(Unverified { backend, witness, lock })
}

/// Opens a data directory, its mirror and its second witness for use.
pub(super) fn verified(claim: Claim, config: &Config) -> Result<Verified, Error> {
    // Declared first, so that the locks are released last on every path.
    let mut locks = Locks::default();
    let directory = &claim.directory.clone();
    let Unverified { lock, backend, witness } = open_claimed(claim, config.cache_mib)?;
    locks.add(&backend, lock);
    let found = last_commit(&backend)?;
    if found < witness.seen().commit {
        return Err(behind(directory, found, &witness));
    }
    let second_witness = match &config.witness {
        Some(path) => {
            warn_of_same_disk(directory, path, "witness");
            let store_id = store_id(&backend)?.unwrap_or(0);
            Some(second_witness::open(path, directory, store_id, found)?)
        }
        None => None,
    };
    let seal = Seal::verified(&backend, directory)?;
    let (main, mirror): (Arc<dyn Backend>, _) = match &config.mirror {
        None => (backend, watch::Sender::new(MirrorStatus::Off).subscribe()),
        Some(mirror) => {
            warn_of_same_disk(directory, mirror, "mirror");
            let copy = open_mirror(mirror).map(|copy| {
                locks.add(&copy.backend, copy.lock);
                copy.backend
            });
            let mirrored = Mirrored::join(backend, copy, mirror, config)?;
            let status = mirrored.status();
            (Arc::new(mirrored), status)
        }
    };
    let verified = prepared(locks, main, seal, directory, Some(witness), mirror)?;
    Ok(Verified { second_witness, ..verified })
}

fn open_mirror(mirror: &Path) -> Result<Unverified, Error> {
    create_directory(mirror)?;
    narrow_files(mirror)?;
    open_unverified(mirror, MIRROR_CACHE_MIB)
}

/// Gives an empty store its identity and schema, or an old one the newest schema.
pub(super) fn prepared(
    locks: Locks,
    backend: Arc<dyn Backend>,
    seal: Seal,
    directory: &Path,
    witness: Option<Witness>,
    mirror: watch::Receiver<MirrorStatus>,
) -> Result<Verified, Error> {
    let empty = is_empty(&*backend)?;
    if store_id(&*backend)?.is_none() && empty {
        let id = id::fresh(directory)?;
        backend.commit(&[number(keys::meta(STORE_ID), id), schema::current()])?;
    } else {
        schema::migrate(&*backend, directory)?;
    }
    let last_commit = last_commit(&*backend)?;
    let store_id = store_id(&*backend)?.unwrap_or(0);
    let second_witness = None;
    Ok(Verified { store_id, second_witness, backend, seal, last_commit, witness, mirror, locks })
}

/// The error for a store that lacks commits its witness has seen.
pub(super) fn behind(directory: &Path, found: u64, witness: &Witness) -> Error {
    Error::Behind {
        directory: directory.to_owned(),
        found,
        witnessed: witness.seen().commit,
        witness: "its witness file has it".to_owned(),
    }
}

/// Whether a backend holds no row at all.
pub(super) fn is_empty(backend: &dyn Backend) -> Result<bool, Error> {
    let mut empty = true;
    backend.scan(&Span::prefix(&[]), Direction::Forward, &mut |_, _| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}

fn warn_of_same_disk(directory: &Path, other: &Path, what: &str) {
    let disk = |path: &Path| {
        path.ancestors().find_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.dev())
    };
    if disk(directory) == disk(other) {
        tracing::warn!(path = %other.display(), "the {what} is on the same disk as the store");
    }
}
