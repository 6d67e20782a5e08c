//! A whole store as release 0.1 left it, brought to later schemas step by step, with a kill between any two.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rustix::io::Errno;

use super::faults::Faulty;
use super::*;
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::Logged;
use crate::storage::rows::schema::{self, Migration};
use crate::storage::rows::{codec, keys};
use crate::storage::{Error, offline, open};

/// Written by release 0.1 after payments in both directions; it must be read forever.
const STORED: &[u8] = include_bytes!("store-0.1.export");

/// The old store in a directory of its own.
fn stored(directory: &Path) {
    let file = directory.join("export");
    std::fs::write(&file, STORED).unwrap();
    let report = offline::import(&file, directory).unwrap();
    assert!(report.writes > 50, "{report:?}");
}

fn rows(backend: &dyn Backend, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    backend
        .scan(&Span::prefix(prefix), Direction::Forward, &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn put(key: Vec<u8>, value: Vec<u8>) -> Write<'static> {
    Write { key: key.into(), value: Some(value.into()) }
}

/// A table gets another name.
const RENAME: Migration = |backend| {
    let (old, new) = (keys::table("payments_by_hash"), keys::table("payments-by-hash"));
    Ok(rows(backend, &old)
        .into_iter()
        .flat_map(|(key, value)| {
            let renamed = [&new[..], &key[old.len()..]].concat();
            [put(renamed, value), Write { key: key.into(), value: None }]
        })
        .collect())
};

/// Every record of a table gets another format.
const REWRITE: Migration = |backend| {
    let rewrite = |(key, value): (Vec<u8>, Vec<u8>)| {
        let old = codec::unframe(&value).unwrap();
        let body = [old.body, b"more"].concat();
        put(key, codec::frame(old.version + 1, old.kind, &body))
    };
    Ok(rows(backend, &keys::table("payments")).into_iter().map(rewrite).collect())
};

/// A table gets another one beside it, which depends on the step before.
const COUNT: Migration = |backend| {
    let count = rows(backend, &keys::table("payments-by-hash")).len() as u64;
    Ok(vec![put(keys::table("count"), codec::encode_number(count))])
};

const STEPS: [Migration; 3] = [RENAME, REWRITE, COUNT];

#[test]
fn a_stored_old_store_is_migrated_step_by_step_whatever_kills_it_between() {
    let migrated = |kills: &[u32]| {
        let directory = tempfile::tempdir().unwrap();
        stored(directory.path());
        let path = open::database(directory.path());
        for commits in kills {
            let dying = Faulty::after(*commits, Errno::IO, Sled::open(&path, 16).unwrap());
            let died = schema::migrate_by(&dying, directory.path(), &STEPS);
            assert!(died.is_err(), "{kills:?}");
        }
        let backend = Sled::open(&path, 16).unwrap();
        schema::migrate_by(&backend, directory.path(), &STEPS).unwrap();
        assert_eq!(schema::version(&backend).unwrap(), 4);
        rows(&backend, &[])
    };
    let whole = migrated(&[]);
    let payments = rows_of(&whole, "payments");
    assert!(payments >= 2, "{payments} payments");
    assert_eq!(rows_of(&whole, "payments-by-hash"), payments);
    assert_eq!(rows_of(&whole, "payments_by_hash"), 0);
    assert_eq!(
        whole[&keys::table("count")],
        codec::encode_number(payments as u64),
        "the last step saw the first one's work"
    );
    for kills in [&[0][..], &[1], &[2], &[1, 1], &[0, 1, 0, 1, 0]] {
        assert!(migrated(kills) == whole, "killed after {kills:?} steps");
    }
}

fn rows_of(all: &BTreeMap<Vec<u8>, Vec<u8>>, table: &str) -> usize {
    let prefix = keys::table(table);
    all.keys().filter(|key| key.starts_with(&prefix)).count()
}

#[test]
fn a_store_of_a_newer_release_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    stored(directory.path());
    let path = open::database(directory.path());
    let backend = Logged::open(&path, 16).unwrap();
    schema::migrate_by(&backend, directory.path(), &STEPS).unwrap();
    let before = rows(&backend, &[]);
    drop(backend);
    let refused = Store::open(directory.path(), &Config::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::NewerSchema { found: 4, .. }), "{refused}");
    let words = refused.to_string();
    assert!(words.contains(&*directory.path().to_string_lossy()), "{words}");
    assert!(words.contains("a newer one"), "{words}");
    assert!(rows(&Logged::open(&path, 16).unwrap(), &[]) == before);
}
