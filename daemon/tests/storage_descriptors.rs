//! A process without a free descriptor goes on storing, and names what it lacks.
//!
//! The child is this test program again, under a limit of its own.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use fulmen_daemon::storage::{Config, Error, KvStore, MirrorStatus, Store, ignore_progress};
use lightning::util::persist::KVStoreSync;

const DIRECTORY: &str = "FULMEN_TEST_DESCRIPTORS_DIRECTORY";
const ROUNDS: u8 = 100;

/// Not a test of its own: the child that runs out of descriptors.
#[test]
fn child_stores_without_descriptors() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let config = Config { mirror: Some(directory.join("mirror")), ..Config::default() };
    let store = Store::open(&directory.join("main"), &config).expect("opens");
    let kv = KvStore::new(store.clone());
    kv.write("monitors", "", "first", vec![1; 50_000]).expect("durable");

    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    for round in 0..ROUNDS {
        kv.write("monitors", "", &format!("channel{}", round % 7), vec![round; 100_000])
            .expect("durable without a descriptor to spare");
    }
    assert!(store.growth().expect("measured").commits > u64::from(ROUNDS));
    assert!(store.disk_bytes().expect("measured") > 0);
    assert!(store.check(&|_| Ok(()), &ignore_progress).expect("read").is_sound());
    for refused in [
        store.compact(&ignore_progress).map(|_| ()),
        store.export(&directory.join("export"), &ignore_progress).map(|_| ()),
    ] {
        let error = refused.expect_err("there is no descriptor for it");
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains("out of file descriptors"), "{error}");
    }
    kv.write("monitors", "", "last", vec![2; 50_000]).expect("durable after that");
    let mirror = store.mirror().borrow().clone();
    assert!(matches!(mirror, MirrorStatus::InSync { .. }), "{mirror:?}");
    let failed = store.failed().borrow().clone();
    assert!(failed.is_none(), "{failed:?}");

    let second = Store::open(&directory.join("second"), &Config::default()).map(|_| ());
    assert!(matches!(second, Err(Error::Exhausted { .. })), "{second:?}");
    drop(taken);
    store.compact(&ignore_progress).expect("there are descriptors again");
    drop((kv, store));
    let kv = KvStore::new(Store::open(&directory.join("main"), &config).expect("opens again"));
    for round in ROUNDS - 7..ROUNDS {
        let name = format!("channel{}", round % 7);
        assert_eq!(kv.read("monitors", "", &name).expect("there"), vec![round; 100_000]);
    }
    assert_eq!(kv.read("monitors", "", "last").expect("there"), vec![2; 50_000]);
}

#[test]
fn a_store_goes_on_without_descriptors() {
    let scratch = tempfile::tempdir().expect("a directory");
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 80 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("has a path"))
        .args(["--exact", "child_stores_without_descriptors", "--nocapture"])
        .env(DIRECTORY, scratch.path())
        .output()
        .expect("runs");
    let words = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{words}");
}
