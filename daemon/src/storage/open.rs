//! Opening a data directory: lock, witness, database, mirror, each refusing what cannot be trusted.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::storage::care::compact::delete_copy;
use crate::storage::care::mirror::{MirrorStatus, Mirrored};
use crate::storage::commit::witness::Witness;
use crate::storage::config::Config;
use crate::storage::engine::backend::{Backend, Direction, Span};
use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::id;
use crate::storage::engine::lock::Lock;
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::Ahead;
use crate::storage::error::Error;
use crate::storage::rows::damage::damaged;
use crate::storage::rows::meta::COMMIT_SEQ;
use crate::storage::rows::meta::{STORE_ID, last_commit, number, store_id};
use crate::storage::rows::seal::Seal;
use crate::storage::rows::{codec, keys, schema};

/// A database with its guards, before anybody writes to it.
pub(super) struct Guarded {
    pub(super) backend: Arc<Ahead<Sled>>,
    pub(super) witness: Witness,
    /// Given back after the database is closed; take it out first, so that it goes last.
    pub(super) lock: Lock,
}

/// A store that has passed all guards.
pub(super) struct Sound {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) seal: Seal,
    pub(super) last_commit: u64,
    pub(super) witness: Option<Witness>,
    pub(super) mirror: watch::Receiver<MirrorStatus>,
    pub(super) held: Held,
}

/// The locks of the store and its mirror, to be given back after both are closed.
#[derive(Default)]
pub(super) struct Held {
    databases: Vec<Weak<Ahead<Sled>>>,
    locks: Vec<Lock>,
}

impl Held {
    fn add(&mut self, database: &Arc<Ahead<Sled>>, lock: Lock) {
        self.databases.push(Arc::downgrade(database));
        self.locks.push(lock);
    }

    /// The databases that are in use: a mirror that failed is not.
    pub(super) fn databases(&self) -> impl Iterator<Item = Arc<Ahead<Sled>>> {
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

/// Opens a data directory as it is, without judging what it holds.
pub(super) fn guarded(directory: &Path, cache_mib: u64) -> Result<Guarded, Error> {
    fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
    let lock = Lock::take(directory)?;
    let witness = witness(directory)?;
    if witness.last() > 0 && !database(directory).exists() {
        return Err(behind(directory, 0, &witness));
    }
    let backend = Arc::new(Ahead::open(&database(directory), cache_mib)?);
    delete_copy(&database(directory))?;
    sync_directory(directory)?;
    Ok(Guarded { backend, witness, lock })
}

/// Opens a data directory and its mirror for use.
pub(super) fn sound(directory: &Path, config: &Config) -> Result<Sound, Error> {
    // The locks go last, whatever happens.
    let mut held = Held::default();
    let Guarded { lock, backend, witness } = guarded(directory, config.cache_mib)?;
    held.add(&backend, lock);
    let found = last_commit(&backend)?;
    if found < witness.last() {
        return Err(behind(directory, found, &witness));
    }
    let seal = Seal::verified(&backend, directory)?;
    let Some(mirror) = &config.mirror else {
        let mirror = watch::Sender::new(MirrorStatus::Off).subscribe();
        return prepared(held, backend, seal, directory, Some(witness), mirror);
    };
    if is_same_disk(directory, mirror) {
        tracing::warn!(mirror = %mirror.display(), "the mirror is on the same disk as the store");
    }
    let copy = guarded(mirror, 16).map(|copy| {
        held.add(&copy.backend, copy.lock);
        copy.backend
    });
    let mirrored = Mirrored::join(backend, copy, mirror, config)?;
    let status = mirrored.status();
    prepared(held, Arc::new(mirrored), seal, directory, Some(witness), status)
}

/// Gives an empty store its identity and schema, or an old one the newest schema.
pub(super) fn prepared(
    held: Held,
    backend: Arc<dyn Backend>,
    seal: Seal,
    directory: &Path,
    witness: Option<Witness>,
    mirror: watch::Receiver<MirrorStatus>,
) -> Result<Sound, Error> {
    let empty = is_empty(&*backend)?;
    if store_id(&*backend)?.is_none() && empty {
        let id = id::fresh(directory)?;
        backend.commit(&[number(keys::meta(STORE_ID), id), schema::current()])?;
    } else {
        schema::migrate(&*backend, directory)?;
    }
    let last_commit = last_commit(&*backend)?;
    Ok(Sound { backend, seal, last_commit, witness, mirror, held })
}

/// A store that lacks what its witness has seen.
pub(super) fn behind(directory: &Path, found: u64, witness: &Witness) -> Error {
    Error::Behind {
        directory: directory.to_owned(),
        found,
        witnessed: witness.last(),
        witness: "says its witness file".to_owned(),
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

fn is_same_disk(one: &Path, other: &Path) -> bool {
    let disk = |path: &Path| {
        path.ancestors().find_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.dev())
    };
    disk(one) == disk(other)
}
