//! The store's schema version, with the steps from each version to the next.

use std::path::Path;

use super::backend::{Backend, Write};
use super::{Error, codec, keys};

/// The schema that this release writes.
pub(super) const CURRENT: u64 = 1;

/// One step from a version to the next: reads the store, returns what to write with the new version.
pub(super) type Step = fn(&dyn Backend) -> Result<Vec<Write<'static>>, Error>;

/// `STEPS[n]` leads from version `n + 1` to `n + 2`.
pub(super) const STEPS: &[Step] = &[];

/// Brings a store to the current schema, or refuses a newer one; an empty store gets the current one.
pub(super) fn migrate(backend: &dyn Backend, directory: &Path, empty: bool) -> Result<(), Error> {
    migrate_by(backend, directory, empty, STEPS)
}

/// A step's writes and its new version go in one batch, so that a kill between steps resumes at the next.
pub(super) fn migrate_by(
    backend: &dyn Backend,
    directory: &Path,
    empty: bool,
    steps: &[Step],
) -> Result<(), Error> {
    let key = keys::meta("schema_version");
    let known = steps.len() as u64 + 1;
    let found = match backend.get(&key)? {
        Some(stored) => codec::decode_number(&stored)
            .map_err(|error| Error::Corrupt { place: keys::place(&key), why: error.to_string() })?,
        None if empty => {
            return backend.commit(&[number(&key, known)]);
        }
        None => {
            return Err(Error::Corrupt {
                place: keys::place(&key),
                why: "it is missing although there are records".to_owned(),
            });
        }
    };
    if found > known || found == 0 {
        return Err(Error::NewerSchema { directory: directory.to_owned(), found, known });
    }
    for (version, step) in (1..).zip(steps).skip_while(|(version, _)| *version < found) {
        tracing::info!(from = version, to = version + 1, "migrating the store");
        let mut writes = step(backend)?;
        writes.push(number(&key, version + 1));
        backend.commit(&writes)?;
    }
    Ok(())
}

fn number(key: &[u8], number: u64) -> Write<'static> {
    Write { key: key.to_vec().into(), value: Some(codec::encode_number(number).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::Memory;

    #[test]
    fn the_current_schema_is_the_end_of_the_steps() {
        assert_eq!(CURRENT, STEPS.len() as u64 + 1);
    }

    #[test]
    fn each_step_runs_once_and_a_newer_store_is_refused() {
        let backend = Memory::default();
        let directory = Path::new("/somewhere");
        migrate_by(&backend, directory, true, &[]).unwrap();
        let rename: Step = |backend| {
            let old = backend.get(b"old")?.unwrap_or_default();
            let put =
                Write { key: b"new"[..].into(), value: Some([&old[..], b"!"].concat().into()) };
            Ok(vec![put, Write { key: b"old"[..].into(), value: None }])
        };
        let nothing: Step = |_| Ok(Vec::new());
        let old = Write { key: b"old"[..].into(), value: Some(b"record"[..].into()) };
        backend.commit(&[old]).unwrap();
        for steps in [&[rename][..], &[rename, nothing], &[rename, nothing]] {
            migrate_by(&backend, directory, false, steps).unwrap();
            assert_eq!(backend.get(b"new").unwrap().unwrap(), b"record!");
        }
        let refused = migrate_by(&backend, directory, false, &[rename]).unwrap_err();
        assert!(matches!(refused, Error::NewerSchema { found: 3, known: 2, .. }));
    }
}
