//! Flipped bits, truncated files and old copies: refused with the place, or without loss; never silently older.

use std::fs;

use super::mirror::copy_all;
use super::*;
use crate::storage::Error;

/// A generator of our own, so that a failing case can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Opens a damaged copy: either it says what is wrong, or nothing that was acknowledged is missing or older.
fn never_silently_older(
    directory: &Path,
    expected: &[(String, Vec<u8>)],
    what: &str,
) -> Option<String> {
    match Store::open(directory, &Config::default()) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(&*directory.to_string_lossy()), "{what}: {said}");
            Some(said)
        }
        Ok(store) => {
            let report = store.check(&|_| Ok(()), &ignore_progress).unwrap();
            if !report.is_sound() {
                return Some(format!("{:?}", report.problems));
            }
            assert!(contents(&store) == expected, "{what}: acknowledged data is silently gone");
            None
        }
    }
}

fn written(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let store = open(directory);
    fill(&store, 0..60);
    contents(&store)
}

#[test]
fn a_flipped_bit_is_told_or_harmless() {
    let rounds = std::env::var("FULMEN_FLIPS").map_or(12, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let expected = written(&original);
    let database = fs::read(original.join("sled/db")).unwrap();
    // Where sled has written anything at all.
    let used: Vec<usize> = (0..database.len())
        .step_by(64)
        .filter(|start| {
            database[*start..(*start + 64).min(database.len())].iter().any(|byte| *byte != 0)
        })
        .collect();
    let mut chance = Chance(7);
    let mut told = 0;
    for round in 0..rounds {
        let copy = directory.path().join("copy");
        copy_all(&original, &copy);
        let mut damaged = database.clone();
        let place = used[chance.below(used.len() as u64) as usize] + chance.below(64) as usize;
        damaged[place.min(database.len() - 1)] ^= 1 << chance.below(8);
        fs::write(copy.join("sled/db"), damaged).unwrap();
        // Sometimes sled has a snapshot to begin with, sometimes only its log.
        if round % 2 == 0 {
            delete_snapshots(&copy);
        }
        // Sometimes the write-ahead log still has all that sled has.
        if round % 3 != 0 {
            forget_batches(&copy);
        }
        let said = never_silently_older(
            &copy,
            &expected,
            &format!("a bit of byte {place}, round {round}"),
        );
        told += u32::from(said.is_some());
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(rounds < 12 || told > 0, "not one flip was noticed");
}

#[test]
fn a_truncated_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let expected = written(&original);
    let length = fs::metadata(original.join("sled/db")).unwrap().len();
    let mut refused = 0;
    for keep in [0, 1000, length / 4, length / 2, length * 9 / 10] {
        for with_snapshot in [true, false] {
            let copy = directory.path().join("copy");
            copy_all(&original, &copy);
            let database = fs::OpenOptions::new().write(true).open(copy.join("sled/db")).unwrap();
            database.set_len(keep).unwrap();
            forget_batches(&copy);
            if !with_snapshot {
                delete_snapshots(&copy);
            }
            let what = format!("{keep} of {length} bytes kept, snapshot {with_snapshot}");
            refused += u32::from(never_silently_older(&copy, &expected, &what).is_some());
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    assert!(refused > 0, "not one truncation was noticed");
}

#[test]
fn yesterdays_store_is_refused_with_words() {
    let directory = tempfile::tempdir().unwrap();
    let (today, yesterday) = (directory.path().join("today"), directory.path().join("yesterday"));
    fill(&open(&today), 0..10);
    copy_all(&today.join("sled"), &yesterday);
    fill(&open(&today), 10..20);
    fs::remove_dir_all(today.join("sled")).unwrap();
    let missing = Store::open(&today, &Config::default()).map(|_| ()).unwrap_err();
    assert!(matches!(missing, Error::Behind { found: 0, .. }), "{missing}");
    copy_all(&yesterday, &today.join("sled"));
    let refused = Store::open(&today, &Config::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Behind { .. }), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("older copy") && said.contains("restore the mirror"), "{said}");
}

#[test]
fn a_second_daemon_and_a_torn_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let second = Store::open(directory.path(), &Config::default()).map(|_| ()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "{second}");
    fill(&store, 0..10);
    let expected = contents(&store);
    drop(store);
    fs::write(directory.path().join("sled/snap.00000000000000FF.generating"), b"torn").unwrap();
    assert_eq!(contents(&open(directory.path())), expected);
}

/// Leaves of the write-ahead log what it is after many more turns that sled has all of.
fn forget_batches(directory: &Path) {
    for name in ["wal.0", "wal.1"] {
        fs::File::create(directory.join("sled").join(name)).unwrap();
    }
}

fn delete_snapshots(directory: &Path) {
    for file in fs::read_dir(directory.join("sled")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")) {
            fs::remove_file(path).unwrap();
        }
    }
}
