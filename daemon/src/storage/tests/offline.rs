//! The verbs of `store`: check, stats, compact, export, import.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::storage::engine::backend::{Backend, Write};
use crate::storage::rows::{codec, keys};
use crate::storage::{Error, LdkValue, offline};

fn decodes(_: LdkValue<'_>) -> Result<(), String> {
    Ok(())
}

#[test]
fn an_export_taken_while_writing_is_one_instant_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let store = open(&path("main"));
    fill(&store, 0..200);
    let (stop, file) = (AtomicBool::new(false), path("export"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0u32;
            while !stop.load(Ordering::SeqCst) {
                // Every commit holds both or neither, and the second is long.
                let mut batch = Batch::new();
                NOTES.put(&mut batch, b"a", &Note::new(&round.to_string()));
                NOTES.put(
                    &mut batch,
                    b"z",
                    &Note::new(&format!("{round} {}", "x".repeat(100_000))),
                );
                store.commit(batch).wait().unwrap();
                round += 1;
            }
        });
        let seen = (0..5)
            .map(|_| {
                (store.export(&file, &ignore_progress), store.check(&decodes, &ignore_progress))
            })
            .collect::<Vec<_>>();
        stop.store(true, Ordering::SeqCst);
        for (exported, checked) in seen {
            exported.unwrap();
            let report = checked.unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
    });
    let exported = store.export(&file, &ignore_progress).unwrap();
    let expected = contents(&store);
    drop(store);

    let refused = offline::import(&file, &path("main")).unwrap_err();
    assert!(matches!(refused, Error::Exists { .. }), "{refused}");
    assert_eq!(offline::import(&file, &path("new")).unwrap(), exported);
    let report = offline::check(&path("new"), &decodes).unwrap();
    assert!(report.is_sound() && report.decoded > 100, "{report:?}");
    let store = open(&path("new"));
    assert_eq!(contents(&store), expected);
    let (a, z) =
        (NOTES.get(&store, b"a").unwrap().unwrap(), NOTES.get(&store, b"z").unwrap().unwrap());
    assert_eq!(Some(a.text.as_str()), z.text.split(' ').next());
}

#[test]
fn an_old_or_damaged_export_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fill(&open(&path("main")), 0..10);
    offline::export(&path("main"), &path("old")).unwrap();
    fill(&open(&path("main")), 10..20);
    std::fs::remove_dir_all(path("main").join("sled")).unwrap();
    let refused = offline::import(&path("old"), &path("main")).unwrap_err();
    assert!(matches!(refused, Error::Behind { .. }), "{refused}");

    let whole = std::fs::read(path("old")).unwrap();
    for (place, keep) in
        [(100, whole.len()), (0, whole.len()), (whole.len() - 1, whole.len()), (9, whole.len() / 2)]
    {
        let mut damaged = whole[..keep].to_vec();
        damaged[place] ^= 4;
        std::fs::write(path("damaged"), damaged).unwrap();
        let refused = offline::import(&path("damaged"), &path("fresh")).unwrap_err();
        assert!(matches!(refused, Error::BadExport { .. }), "{refused}");
        assert!(!path("fresh").exists());
    }
}

#[test]
fn compaction_keeps_everything_and_stats_tell_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store, 0..100);
    let online = store.stats().unwrap();
    let expected = contents(&store);
    drop(store);
    let before = offline::stats(directory.path()).unwrap();
    assert!(
        online
            .since_start
            .is_some_and(|growth| growth.commits == before.commits && growth.writes > 200)
    );
    offline::compact(directory.path()).unwrap();
    let after = offline::stats(directory.path()).unwrap();
    assert_eq!((&before.tables, before.live_bytes), (&after.tables, after.live_bytes));
    let paid = after.tables.iter().find(|table| table.name == "paid").unwrap();
    assert_eq!(paid.rows, 100);
    assert_eq!(after.largest[0].0.split('/').next(), Some("monitors"));
    assert_eq!(after.largest[0].1, 80_006);
    assert!(!directory.path().join("sled.compacting").exists());
    assert_eq!(contents(&open(directory.path())), expected);
}

#[test]
fn a_store_is_compacted_while_it_is_read_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let mirror = directory.path().join("mirror");
    let config = Config { mirror: Some(mirror), ..Config::default() };
    let main = directory.path().join("main");
    let store = Store::open(&main, &config).unwrap();
    fill(&store, 0..300);
    for round in 0..60 {
        let name = format!("channel{}", round % 5);
        kv(&store).write("monitors", "", &name, vec![round; 500_000]).unwrap();
    }
    let stop = AtomicBool::new(false);
    let (reports, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 300;
            while !stop.load(Ordering::SeqCst) {
                fill(&store, round..round + 10);
                round += 10;
            }
            round
        });
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let report = store.check(&decodes, &ignore_progress).unwrap();
                assert!(report.is_sound(), "{report:#?}");
            }
        });
        let reports: Vec<_> = (0..3).map(|_| store.compact(&ignore_progress)).collect();
        stop.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        (reports, writer.join().unwrap())
    });
    for report in reports {
        let report = report.unwrap();
        assert!(report.before_bytes > 0 && report.after_bytes > 0, "{report:?}");
    }
    let broken_off = store.compact(&|_| std::ops::ControlFlow::Break(()));
    assert!(matches!(broken_off, Err(Error::Cancelled)), "{broken_off:?}");
    assert!(!main.join("sled.compacting").exists());
    let at_once = store.compact(&|_| {
        let second = store.compact(&ignore_progress);
        assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
        std::ops::ControlFlow::Continue(())
    });
    at_once.unwrap();
    fill(&store, written..written + 20);
    let expected = contents(&store);
    // What the daemon had on disk at a kill here.
    let killed = directory.path().join("killed");
    super::mirror::copy_all(&main, &killed);
    drop(store);
    for directory in [&main, &killed] {
        let store = open(directory);
        assert!(contents(&store) == expected, "{}", directory.display());
        assert!(store.check(&decodes, &ignore_progress).unwrap().is_sound());
        assert!(!directory.join("sled.compacting").exists());
    }
}

#[test]
fn the_database_stays_short_while_its_rows_are_written_again_and_again() {
    const VALUES: u64 = 200;
    const VALUE_BYTES: usize = 80_000;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let live_bytes = VALUES * VALUE_BYTES as u64;
    let file = directory.path().join("sled/db");
    let times = || std::fs::metadata(&file).unwrap().len() as f64 / live_bytes as f64;
    let (mut dice, mut longest) = (7u64, 0f64);
    for round in 0..2_000u64 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        let number = if round < VALUES { round } else { (dice >> 33) % VALUES };
        let value = dice.to_be_bytes().repeat(VALUE_BYTES / 8);
        let mut batch = Batch::new();
        batch.put(
            keys::namespace("monitors", "").into_iter().chain(number.to_be_bytes()).collect(),
            codec::frame(1, codec::BYTES_KIND, &value),
        );
        let written = store.commit(batch);
        if round % 20 == 0 {
            written.wait().unwrap();
            if round >= VALUES {
                longest = longest.max(times());
            }
        }
    }
    store.sync().wait().unwrap();
    assert!(longest < 4.0, "{longest:.1} times its live bytes");
    store.compact(&ignore_progress).unwrap();
    let compacted = times();
    // Two, and the segment that is open.
    assert!(compacted < 2.0, "{compacted:.1} times its live bytes after a compaction");
}

#[test]
fn short_rows_do_not_take_three_times_their_bytes_after_a_compaction() {
    const ROWS: u64 = 60_000;
    const VALUE_BYTES: usize = 120;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let namespace = keys::namespace("payments", "");
    let mut live_bytes = 0;
    for number in 0..ROWS {
        let mut batch = Batch::new();
        // Spread over all keys, as hashes are.
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let key: Vec<u8> = namespace.iter().copied().chain(place).collect();
        let value = codec::frame(1, codec::BYTES_KIND, &place.repeat(VALUE_BYTES / 8));
        live_bytes += key.len() + value.len();
        batch.put(key, value);
        drop(store.commit(batch));
    }
    store.sync().wait().unwrap();
    store.compact(&ignore_progress).unwrap();
    let file_bytes = std::fs::metadata(directory.path().join("sled/db")).unwrap().len();
    let times = file_bytes as f64 / live_bytes as f64;
    // Each row and its key cost sled bytes of its own beside them.
    assert!(times < 2.3, "{times:.1} times its live bytes after a compaction");
}

#[test]
fn a_kill_in_the_middle_of_a_compaction_leaves_one_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let main = directory.path().join("main");
    let store = open(&main);
    fill(&store, 0..300);
    let expected = contents(&store);
    let killed = |step: usize| directory.path().join(format!("killed{step}"));
    let steps = std::cell::Cell::new(0);
    let compacted = store.compact(&|_| {
        super::mirror::copy_all(&main, &killed(steps.get()));
        steps.set(steps.get() + 1);
        std::ops::ControlFlow::Continue(())
    });
    compacted.unwrap();
    // The instant before the old database goes: the new one has its name and its log.
    let after = killed(steps.get());
    super::mirror::copy_all(&main, &after);
    super::mirror::copy_all(&killed(0).join("sled"), &after.join("sled.compacting"));
    assert!(steps.get() > 0);
    for step in 0..=steps.get() {
        assert!(killed(step).join("sled.compacting").exists());
        let store = open(&killed(step));
        assert!(contents(&store) == expected, "{step}");
        assert!(!killed(step).join("sled.compacting").exists());
    }
}

#[test]
fn a_check_names_what_does_not_hold() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store, 0..20);
    drop(store);
    assert!(offline::check(directory.path(), &decodes).unwrap().is_sound());
    let undecodable = offline::check(directory.path(), &|value| match value.primary {
        "monitors" => Err(format!("{} is no monitor", value.key)),
        _ => Ok(()),
    });
    assert_eq!(undecodable.unwrap().problem_count, 3);

    let backend =
        crate::storage::engine::sled::Sled::open(&directory.path().join("sled"), 16).unwrap();
    let lost_record = [&keys::table("paid")[..], &3u32.to_be_bytes()].concat();
    let lost_index = [&keys::index("paid")[..], &5u64.to_be_bytes()].concat();
    let orphan = keys::chunk(b"kmonitors\0\0gone", 0);
    let damaged = [&keys::table("notes")[..], b"key"].concat();
    let mut broken = codec::encode(&Note::new("text"));
    *broken.last_mut().unwrap() ^= 1;
    let change = |key: &[u8], value: Option<&[u8]>| Write {
        key: key.to_vec().into(),
        value: value.map(|value| value.to_vec().into()),
    };
    backend
        .commit(&[
            change(&lost_record, None),
            change(&lost_index, None),
            change(&orphan, Some(b"chunk")),
            change(&damaged, Some(&broken)),
        ])
        .unwrap();
    drop(backend);
    let report = offline::check(directory.path(), &decodes).unwrap();
    for place in [
        "LDK's state in",
        "chunk 0 of monitors//gone: no value has this chunk",
        "the index of paid/0000000000000004: it leads to no record",
        "paid/00000004: no row of the index leads to it",
        "notes/key: its checksum is",
    ] {
        assert!(
            report.problems.iter().any(|problem| problem.contains(place)),
            "{place}: {report:#?}"
        );
    }
    assert_eq!(report.problem_count, 5, "{report:#?}");
}

#[test]
fn a_check_of_a_running_store_knows_what_was_last_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store, 0..20);
    assert!(store.check(&decodes, &ignore_progress).unwrap().is_sound());
    // Behind the committer's back: an update that falls back to an older state, and one that goes.
    let backend = store.backend_for_tests();
    let update = |round: u32| {
        keys::namespace("monitor_updates", &format!("channel{}", round % 5))
            .into_iter()
            .chain(round.to_string().into_bytes())
            .collect::<Vec<u8>>()
    };
    let older = codec::frame(1, codec::BYTES_KIND, b"older");
    backend
        .commit(&[
            Write { key: update(11).into(), value: Some(older.into()) },
            Write { key: update(12).into(), value: None },
        ])
        .unwrap();
    let report = store.check(&decodes, &ignore_progress).unwrap();
    for place in [
        "monitor_updates/channel1/11: it is not what was last written",
        "monitor_updates/channel2/12: it is gone",
    ] {
        assert!(report.problems.iter().any(|problem| problem.contains(place)), "{report:#?}");
    }
    assert_eq!(report.problem_count, 2, "{report:#?}");
}

#[test]
fn a_check_sees_damage_in_long_records_and_none_where_they_are_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let long = |text: &str| Note::new(&text.repeat(40_000));
    let mut batch = Batch::new();
    PAID.insert(&store, &mut batch, b"long", &long("paid")).unwrap();
    NOTES.put(&mut batch, b"long", &long("note"));
    store.commit(batch).wait().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0u32.. {
                let mut batch = Batch::new();
                NOTES.put(&mut batch, b"long", &long(&round.to_string()));
                store.commit(batch).wait().unwrap();
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let reports: Vec<_> = (0..30).map(|_| store.check(&decodes, &ignore_progress)).collect();
        stop.store(true, Ordering::SeqCst);
        for report in reports {
            let report = report.unwrap();
            assert!(report.is_sound(), "{report:#?}");
        }
    });
    let chunk = keys::chunk(&[&keys::table("paid")[..], b"long"].concat(), 1);
    let backend = store.backend_for_tests();
    let mut damaged = backend.get(&chunk).unwrap().unwrap();
    damaged[77] ^= 1;
    backend.commit(&[Write { key: chunk.into(), value: Some(damaged.into()) }]).unwrap();
    let report = store.check(&decodes, &ignore_progress).unwrap();
    assert_eq!(report.problem_count, 1, "{report:#?}");
    assert!(report.problems[0].contains("its chunks do not fit its manifest"), "{report:#?}");
}

#[test]
fn a_file_that_is_no_export_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("main"));
    let file = directory.path().join("seed");
    std::fs::write(&file, "24 words").unwrap();
    let refused = store.export(&file, &ignore_progress).unwrap_err();
    assert!(matches!(refused, Error::BadExport { .. }), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"24 words");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}
