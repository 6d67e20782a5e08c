//! `fulmend store`: the verbs for a store that no daemon runs on; each takes the lock of the data directory.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::storage::care::check::{Check, CheckReport, Decode};
use crate::storage::care::compact::CompactReport;
use crate::storage::care::diff::copy_differences;
use crate::storage::care::export::{ExportReport, Exporter};
use crate::storage::care::stats::StatsReport;
use crate::storage::care::{export, stats};
use crate::storage::commit::witness::Seen;
use crate::storage::config::Config;
use crate::storage::engine::backend::Backend;
use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::lock::Lock;
use crate::storage::engine::progress::ignore_progress;
use crate::storage::engine::sled::Sled;
use crate::storage::error::Error;
use crate::storage::open;
use crate::storage::open::{Unverified, behind, database, open_unverified};
use crate::storage::rows::meta::{last_commit, store_id};
use crate::storage::rows::schema;
use crate::storage::rows::seal::Seal;

const CACHE_MIB: u64 = 64;

/// Reads and verifies every record; `decode` decodes LDK's values as far as it knows them.
///
/// # Errors
///
/// Only errors that make reading impossible; the report has the others.
pub fn check(directory: &Path, decode: &Decode<'_>) -> Result<CheckReport, Error> {
    let Unverified { lock: _lock, backend, witness } = existing(directory)?;
    let mut report = CheckReport::default();
    let commit = last_commit(&backend)?;
    if commit < witness.seen().commit {
        report.add(directory.display(), behind(directory, commit, &witness));
    }
    if let Err(error) = Seal::verified(&backend, directory) {
        report.add(directory.display(), error);
    }
    if let Err(error) = schema::version(&backend) {
        report.add(directory.display(), error);
    }
    let check = Check {
        backend: &backend,
        decode,
        settle: &|| (),
        seal: None,
        on_progress: &ignore_progress,
        report,
    };
    check.run()
}

/// Measures the store.
pub fn stats(directory: &Path) -> Result<StatsReport, Error> {
    let Unverified { lock: _lock, backend, .. } = existing(directory)?;
    stats::measure(&backend, None)
}

/// Rewrites the store without the space of old values.
pub fn compact(directory: &Path) -> Result<CompactReport, Error> {
    let Unverified { lock: _lock, backend, witness } = existing(directory)?;
    refuse_unsound(&backend, directory, witness.seen().commit)?;
    backend.compact(&ignore_progress)
}

/// Writes the whole store into one file.
pub fn export(directory: &Path, file: &Path) -> Result<ExportReport, Error> {
    let Unverified { lock: _lock, backend, witness } = existing(directory)?;
    refuse_unsound(&backend, directory, witness.seen().commit)?;
    let mut export = Exporter::create(file)?;
    export.rows(&backend, |_| Ok(()))?;
    export.finish()
}

/// Makes a store in `directory` from an export.
///
/// # Errors
///
/// Refuses a directory that has a store, and an export older than the last commit that the directory's witness has seen.
/// Without a witness it is unknown whether the export is the newest state: an older one loses money when channels have
/// moved on since.
pub fn import(file: &Path, directory: &Path) -> Result<ExportReport, Error> {
    let report = export::verify(file)?;
    place(directory, |backend| {
        export::apply(file, backend)?;
        Ok(())
    })?;
    Ok(report)
}

/// Makes a store in `directory` from a mirror; returns the number of its last commit.
///
/// # Errors
///
/// Refuses a directory that has a store, and a mirror that is behind what the directory's witness has seen.
pub fn restore(mirror: &Path, directory: &Path) -> Result<u64, Error> {
    let Unverified { lock: _lock, backend: copy, .. } = existing(mirror)?;
    Seal::verified(&copy, mirror)?;
    place(directory, |backend| copy_differences(&copy, backend).map(|_| ()))
}

/// Deletes what the witnesses have seen, so that an older copy can be opened: the caller knows that it is one.
///
/// A mirror that is ahead is kept, and refuses the copy: it is the newest store.
pub fn forget_witnesses(directory: &Path, config: &Config) -> Result<(), Error> {
    let _lock = Lock::take(directory)?;
    for path in [Some(&directory.join("witness")), config.witness.as_ref()].into_iter().flatten() {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("delete", path, error));
            }
            Ok(()) | Err(_) => (),
        }
    }
    sync_directory(directory)
}

/// Fills a new database and puts it in its place when it is whole.
fn place(directory: &Path, fill: impl FnOnce(&Sled) -> Result<(), Error>) -> Result<u64, Error> {
    fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
    let _lock = Lock::take(directory)?;
    let target = database(directory);
    if target.exists() {
        return Err(Error::Exists { directory: directory.to_owned() });
    }
    let mut witness = open::witness(directory)?;
    let new = directory.join("sled.importing");
    let backend = fresh(&new)?;
    fill(&backend)?;
    refuse_unsound(&backend, directory, witness.seen().commit)?;
    let commit = last_commit(&backend)?;
    let store_id = store_id(&backend)?.unwrap_or(0);
    drop(backend);
    fs::rename(&new, &target).map_err(|error| Error::io("name", &target, error))?;
    sync_directory(directory)?;
    // Its age is not known here.
    witness.note(Seen { commit, unix_secs: 0, store_id })?;
    Ok(commit)
}

fn existing(directory: &Path) -> Result<Unverified, Error> {
    if !database(directory).exists() {
        return Err(Error::Missing { directory: directory.to_owned() });
    }
    open_unverified(directory, CACHE_MIB)
}

/// Creates an empty database, deleting the remains of an interrupted attempt.
fn fresh(path: &PathBuf) -> Result<Sled, Error> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(|error| Error::io("delete", path, error))?;
    }
    Sled::open(path, CACHE_MIB)
}

fn refuse_unsound(backend: &dyn Backend, directory: &Path, witnessed: u64) -> Result<(), Error> {
    let found = last_commit(backend)?;
    if found < witnessed {
        return Err(behind(directory, found, &open::witness(directory)?));
    }
    Seal::verified(backend, directory)?;
    schema::version(backend).map(|_| ())
}
