//! The store's schema version, with the steps from each version to the next.

use std::path::Path;

use super::keys;
use super::meta::{number, read_number};
use crate::storage::engine::backend::{Backend, Write};
use crate::storage::error::Error;

/// One step from a version to the next: reads the store, returns what to write with the new version.
///
/// LDK's own rows are sealed and never touched by a step: their format is LDK's.
pub(in crate::storage) type Migration = fn(&dyn Backend) -> Result<Vec<Write<'static>>, Error>;

/// `STEPS[n]` leads from version `n + 1` to `n + 2`.
const STEPS: &[Migration] = &[behind_a_log, manager_by_difference];

/// To version 2, which has a write-ahead log: a release that knows of none would go on without what only the log has.
fn behind_a_log(_: &dyn Backend) -> Result<Vec<Write<'static>>, Error> {
    Ok(Vec::new())
}

/// To version 3, whose channel manager may be two rows: a release that reads only the whole one would go on from an
/// older state, and lose the money of its channels.
fn manager_by_difference(_: &dyn Backend) -> Result<Vec<Write<'static>>, Error> {
    Ok(Vec::new())
}

const SCHEMA_VERSION: &str = "schema_version";

/// What marks an empty store as one of the current schema.
pub(in crate::storage) fn current() -> Write<'static> {
    number(keys::meta(SCHEMA_VERSION), STEPS.len() as u64 + 1)
}

/// Brings a store to the current schema, or refuses a newer one.
pub(in crate::storage) fn migrate(backend: &dyn Backend, directory: &Path) -> Result<(), Error> {
    migrate_by(backend, directory, STEPS)
}

/// The version of a store's schema.
pub(in crate::storage) fn version(backend: &dyn Backend) -> Result<u64, Error> {
    read_number(backend, SCHEMA_VERSION)?.ok_or_else(|| Error::Corrupt {
        place: keys::place(&keys::meta(SCHEMA_VERSION)),
        why: "it is missing although there are records".to_owned(),
    })
}

/// A step's writes and its new version go in one batch, so that a kill between steps resumes at the next.
pub(in crate::storage) fn migrate_by(
    backend: &dyn Backend,
    directory: &Path,
    steps: &[Migration],
) -> Result<(), Error> {
    let known = steps.len() as u64 + 1;
    let found = version(backend)?;
    if found > known || found == 0 {
        return Err(Error::NewerSchema { directory: directory.to_owned(), found, known });
    }
    for (version, step) in (1..).zip(steps).skip_while(|(version, _)| *version < found) {
        tracing::info!(from = version, to = version + 1, "migrating the store");
        let mut writes = step(backend)?;
        writes.push(number(keys::meta(SCHEMA_VERSION), version + 1));
        backend.commit(&writes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::engine::memory::Memory;

    #[test]
    fn each_step_runs_once_and_a_newer_store_is_refused() {
        let backend = Memory::default();
        let directory = Path::new("/somewhere");
        let rename: Migration = |backend| {
            let old = backend.get(b"old")?.unwrap_or_default();
            let put =
                Write { key: b"new"[..].into(), value: Some([&old[..], b"!"].concat().into()) };
            Ok(vec![put, Write { key: b"old"[..].into(), value: None }])
        };
        let nothing: Migration = |_| Ok(Vec::new());
        let old = Write { key: b"old"[..].into(), value: Some(b"record"[..].into()) };
        backend.commit(&[old]).unwrap();
        let missing = migrate(&backend, directory).unwrap_err().to_string();
        assert!(missing.contains("meta/schema_version"), "{missing}");
        backend.commit(&[number(keys::meta(SCHEMA_VERSION), 1)]).unwrap();
        for steps in [&[][..], &[rename], &[rename, nothing], &[rename, nothing]] {
            migrate_by(&backend, directory, steps).unwrap();
            let renamed = backend.get(b"new").unwrap();
            assert_eq!(renamed, (!steps.is_empty()).then(|| b"record!".to_vec()));
        }
        let refused = migrate_by(&backend, directory, &[rename]).unwrap_err();
        assert!(matches!(refused, Error::NewerSchema { found: 3, known: 2, .. }));
    }

    /// Written by release 0.1 into an empty store; later releases must read it.
    #[test]
    fn the_first_schema_is_known_by_its_bytes() {
        let bytes = [1, 253, 0x26, 0x66, 0xd4, 0xa0, 0, 0, 0, 0, 0, 0, 0, 1];
        let backend = Memory::default();
        let first = Write { key: b"mschema_version"[..].into(), value: Some(bytes[..].into()) };
        backend.commit(&[first]).unwrap();
        assert_eq!(version(&backend).unwrap(), 1);
        migrate(&backend, Path::new("/somewhere")).unwrap();
        assert_eq!(version(&backend).unwrap(), 3);
    }
}
