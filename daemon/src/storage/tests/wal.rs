//! The write-ahead log: batches that only the log has are read, survive, and are never lost silently.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::io::Errno;

use super::faults::Faulty;
use super::mirror::copy_all;
use super::*;
use crate::storage::Error;
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::memory::Memory;
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::{Logged, Pace};

/// The database gets nothing before the log is closed or its other file's turn has come.
pub(super) const NEVER: Pace = Pace { rest: Duration::from_secs(3600), turn_bytes: 8 << 20 };
/// The database gets everything at once.
pub(super) const AT_ONCE: Pace = Pace { rest: Duration::ZERO, turn_bytes: 8 << 20 };

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows(backend: &dyn Backend) -> Rows {
    let mut rows = Rows::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    backend.scan(&Span::prefix(b""), Direction::Forward, &mut visit).unwrap();
    rows
}

fn batch(number: u32, bytes: usize) -> Vec<Write<'static>> {
    let put = |key: String| Write {
        key: key.into_bytes().into(),
        value: Some(number.to_be_bytes().repeat(bytes / 4 + 1).into()),
    };
    let gone = format!("{:04}", number.wrapping_sub(3)).into_bytes();
    vec![
        put("newest".to_owned()),
        put(format!("{number:04}")),
        Write { key: gone.into(), value: None },
    ]
}

/// A database that has taken `applied` batches, and a log that has some more; with the rows after each of those.
fn behind(directory: &Path, applied: u32, more: u32, bytes: usize) -> Vec<Rows> {
    fs::create_dir_all(directory).unwrap();
    let running = tempfile::tempdir().unwrap();
    let open =
        || Logged::with(Sled::open(running.path(), 16).unwrap(), running.path(), NEVER).unwrap();
    let logged = open();
    for number in 0..applied {
        logged.commit(&batch(number, bytes)).unwrap();
    }
    drop(logged);
    let logged = open();
    let mut states = vec![rows(&logged)];
    for number in applied..applied + more {
        logged.commit(&batch(number, bytes)).unwrap();
        states.push(rows(&logged));
    }
    copy_all(running.path(), directory);
    states
}

fn reopened(directory: &Path) -> Result<Rows, Error> {
    Ok(rows(&Logged::open(directory, 16)?))
}

#[test]
fn what_only_the_log_has_survives_a_kill_however_often() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |name: &str| directory.path().join(name);
    for (applied, more, bytes) in [(0, 1, 10), (5, 40, 5_000), (20, 0, 10), (3, 900, 8_000)] {
        let states = behind(&copy("first"), applied, more, bytes);
        // Killed again each time before anything is closed.
        for _ in 0..2 {
            let logged = Logged::open(&copy("first"), 16).unwrap();
            assert!(rows(&logged) == *states.last().unwrap(), "{applied} {more} {bytes}");
            copy_all(&copy("first"), &copy("second"));
            drop(logged);
            fs::remove_dir_all(copy("first")).unwrap();
            fs::rename(copy("second"), copy("first")).unwrap();
        }
        fs::remove_dir_all(copy("first")).unwrap();
    }
}

#[test]
fn a_long_run_takes_little_space_and_the_database_gets_all() {
    let directory = tempfile::tempdir().unwrap();
    let logged = Logged::with(Memory::default(), directory.path(), NEVER).unwrap();
    let mut expected = Rows::new();
    for number in 0..100 {
        let batch = batch(number, 700_000);
        logged.commit(&batch).unwrap();
        for Write { key, value } in batch {
            match value {
                Some(value) => expected.insert(key.into_owned(), value.into_owned()),
                None => expected.remove(&*key),
            };
        }
    }
    assert!(rows(&logged) == expected);
    let bytes = logged.disk_bytes().unwrap();
    assert!(bytes < 24 << 20, "{bytes} bytes of log");
}

#[test]
fn a_torn_last_batch_was_never_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    let states = behind(&whole, 4, 6, 9_000);
    let bytes = fs::read(whole.join("wal.0")).unwrap();
    let last = frames(&bytes).pop().unwrap();
    for keep in [0, 20, 100, 4096, 8192 + 17] {
        let mut torn = bytes.clone();
        torn[last + keep..].fill(0);
        let path = directory.path().join("torn");
        copy_all(&whole, &path);
        fs::write(path.join("wal.0"), torn).unwrap();
        assert!(reopened(&path).unwrap() == states[states.len() - 2], "{keep} bytes of it kept");
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn a_log_damaged_in_the_middle_is_refused_with_words() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    let states = behind(&whole, 4, 6, 9_000);
    let bytes = fs::read(whole.join("wal.0")).unwrap();
    let frames = frames(&bytes);
    assert_eq!(frames.len(), 6);
    let path = directory.path().join("damaged");
    for (index, frame) in frames.iter().enumerate() {
        for place in [3, 9, 20, 30, 37, 50, 5_000] {
            let mut damaged = bytes.clone();
            damaged[frame + place] ^= 16;
            copy_all(&whole, &path);
            fs::write(path.join("wal.0"), damaged).unwrap();
            let read = reopened(&path);
            if index + 1 < frames.len() {
                let said = read.unwrap_err().to_string();
                assert!(said.contains(&*path.to_string_lossy()), "{said}");
                assert!(said.contains("restore the mirror"), "{said}");
            } else {
                // Nobody can tell it from a torn one; the witness knows whether it was acknowledged.
                assert!(read.unwrap() == states[states.len() - 2]);
            }
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn a_missing_log_is_refused_and_a_foreign_one_is_nobodys() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |name: &str| directory.path().join(name);
    let states = behind(&copy("one"), 4, 6, 100);
    behind(&copy("other"), 0, 30, 100);
    copy_all(&copy("one"), &copy("missing"));
    fs::remove_file(copy("missing").join("wal.1")).unwrap();
    let said = reopened(&copy("missing")).unwrap_err().to_string();
    assert!(said.contains("wal.1") && said.contains("missing"), "{said}");
    // A log whose database is gone is not given to another one.
    copy_all(&copy("one"), &copy("lost"));
    for file in fs::read_dir(copy("lost")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() && !path.to_string_lossy().contains("wal.") {
            fs::remove_file(path).unwrap();
        }
    }
    let said = reopened(&copy("lost")).unwrap_err().to_string();
    assert!(said.contains("knows of no log") && said.contains("lost"), "{said}");
    // The other's frames lie in the second file, which is empty here.
    fs::copy(copy("other").join("wal.0"), copy("one").join("wal.1")).unwrap();
    assert!(reopened(&copy("one")).unwrap() == *states.last().unwrap());
}

#[test]
fn a_database_that_lost_its_tail_is_healed_by_the_log_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |name: &str| directory.path().join(name);
    behind(&copy("early"), 0, 0, 10);
    let early = || {
        let healed = copy("healed");
        let _ = fs::remove_dir_all(&healed);
        copy_all(&copy("early"), &healed);
        healed
    };
    // The database of now, and then its log over the database of the beginning.
    let healed = early();
    let logged = Logged::open(&healed, 16).unwrap();
    for number in 0..30 {
        logged.commit(&batch(number, 1_000)).unwrap();
    }
    let expected = rows(&logged);
    drop(logged);
    let log = fs::read(healed.join("wal.0")).unwrap();
    let healed = early();
    fs::write(healed.join("wal.0"), &log).unwrap();
    assert!(reopened(&healed).unwrap() == expected);
    // Without the first batches it cannot be.
    let healed = early();
    fs::write(healed.join("wal.0"), [&vec![0; frames(&log)[2]], &log[frames(&log)[2]..]].concat())
        .unwrap();
    let said = reopened(&healed).unwrap_err().to_string();
    assert!(said.contains("batch 1 is missing") && said.contains("older copy"), "{said}");
}

#[test]
fn a_database_that_fails_behind_the_log_ends_the_store_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let base = || Sled::open(directory.path(), 16).unwrap();
    let faulty = Faulty::after(3, Errno::NOSPC, base());
    let logged = Logged::with(faulty, directory.path(), AT_ONCE).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match logged.commit(&batch(acknowledged, 100)) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1_000_000, "the fault never came");
    };
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(logged.health().is_err());
    let there = rows(&logged);
    assert_eq!(there[&b"newest"[..]][..4], (acknowledged - 1).to_be_bytes());
    drop(logged);
    assert!(reopened(directory.path()).unwrap() == there);
}

#[test]
fn pages_of_a_log_are_written_once_and_frames_never_share_one() {
    let directory = tempfile::tempdir().unwrap();
    let logged = Logged::with(Memory::default(), directory.path(), NEVER).unwrap();
    let log = fs::File::open(directory.path().join("wal.0")).unwrap();
    let mut before = Vec::new();
    for number in 0..20 {
        logged.commit(&batch(number, 3_000)).unwrap();
        let mut begin = vec![0; before.len()];
        log.read_exact_at(&mut begin, 0).unwrap();
        assert!(begin == before, "batch {number} touched what was acknowledged");
        let bytes = fs::read(directory.path().join("wal.0")).unwrap();
        let last = frames(&bytes).pop().unwrap();
        assert_eq!((last % 4096, last), (0, before.len()));
        before = bytes[..last + 8192].to_vec();
    }
}

/// Where the frames of a file begin.
fn frames(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).step_by(4096).filter(|page| bytes[*page..].starts_with(b"fulmwal1")).collect()
}
