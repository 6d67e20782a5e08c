//! The store's memory stays near the cache that is configured, however much is read.
//!
//! The child is this test program again, so that nothing else counts.

use std::path::Path;
use std::process::Command;

use fulmen_daemon::storage::{Config, KvStore, Store, ignore_progress};
use lightning::util::persist::{KVStore, KVStoreSync};

const DIRECTORY: &str = "FULMEN_TEST_CACHE_DIRECTORY";
const VALUES: usize = 1_500;
const VALUE_BYTES: usize = 100_000;
const CACHE_MIB: u64 = 16;
/// The cache, what it may exceed by, the log as it is read at the start, what the allocator keeps, and the process
/// itself: less than the values, all of which would be in memory if the cache had no bound.
const LIMIT_MIB: u64 = CACHE_MIB + 112;

fn config() -> Config {
    Config { cache_mib: CACHE_MIB, ..Config::default() }
}

fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("of Linux");
    let pages: u64 = pages.split(' ').nth(1).expect("resident").parse().expect("a number");
    (pages * 4096) >> 20
}

/// Not a test of its own: the child whose memory is measured.
#[test]
fn child_reads_far_more_than_its_cache() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = Store::open(Path::new(&directory), &config()).expect("opens");
    let kv = KvStore::new(store.clone());
    let opened = resident_mib();
    for number in 0..VALUES {
        let value = KVStoreSync::read(&kv, "monitors", "", &number.to_string()).expect("there");
        assert_eq!(value.len(), VALUE_BYTES);
    }
    let read = resident_mib();
    assert!(store.check(&|_| Ok(()), &ignore_progress).expect("reads").is_sound());
    let checked = resident_mib();
    assert!(
        opened.max(read).max(checked) <= LIMIT_MIB,
        "{opened} MiB after the start, {read} after reading, {checked} after a check"
    );
}

#[test]
fn memory_is_bounded_by_the_cache() {
    let scratch = tempfile::tempdir().expect("a directory");
    let store = Store::open(scratch.path(), &config()).expect("opens");
    let kv = KvStore::new(store.clone());
    for number in 0..VALUES {
        let value = vec![number as u8; VALUE_BYTES];
        drop(KVStore::write(&kv, "monitors", "", &number.to_string(), value));
        if number % 50 == 0 {
            store.sync().wait().expect("durable");
        }
    }
    drop((kv, store));
    let child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["--exact", "child_reads_far_more_than_its_cache", "--nocapture"])
        .env(DIRECTORY, scratch.path())
        .output()
        .expect("runs");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
