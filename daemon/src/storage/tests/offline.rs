//! The verbs of `store`: check, stats, compact, export, import.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::storage::backend::{Backend, Write};
use crate::storage::{Error, LdkValue, codec, keys, offline};

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
            .map(|_| (store.export(&file, &to_the_end), store.check(&decodes, &to_the_end)))
            .collect::<Vec<_>>();
        stop.store(true, Ordering::SeqCst);
        for (exported, checked) in seen {
            exported.unwrap();
            let report = checked.unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
    });
    let exported = store.export(&file, &to_the_end).unwrap();
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

    let backend = crate::storage::sled::Sled::open(&directory.path().join("sled"), 16).unwrap();
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
    assert!(store.check(&decodes, &to_the_end).unwrap().is_sound());
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
    let report = store.check(&decodes, &to_the_end).unwrap();
    for place in [
        "monitor_updates/channel1/11: it is not what was last written",
        "monitor_updates/channel2/12: it is gone",
    ] {
        assert!(report.problems.iter().any(|problem| problem.contains(place)), "{report:#?}");
    }
    assert_eq!(report.problem_count, 2, "{report:#?}");
}

#[test]
fn a_file_that_is_no_export_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("main"));
    let file = directory.path().join("seed");
    std::fs::write(&file, "24 words").unwrap();
    let refused = store.export(&file, &to_the_end).unwrap_err();
    assert!(matches!(refused, Error::BadExport { .. }), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"24 words");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}
