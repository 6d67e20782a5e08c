//! What the store promises when disks, power and neighbours do not.

mod conformance;
mod damage;
mod faults;
mod migrate;
mod mirror;
mod offline;
mod power;
mod properties;
mod wal;
mod witness;

use std::path::Path;

use lightning::util::persist::KVStoreSync;

use super::rows::codec::tests::Note;
use super::{Batch, Commit, Config, History, KvStore, Store, Table, ignore_progress};

const NOTES: Table<Note> = Table::new("notes");
const PAID: History<Note> = History::new("paid");

fn open(directory: &Path) -> Store {
    Store::open(directory, &Config::default()).unwrap()
}

fn kv(store: &Store) -> KvStore {
    KvStore::new(store.clone())
}

fn put(store: &Store, key: &[u8], text: &str) -> Commit {
    let mut batch = Batch::new();
    NOTES.put(&mut batch, key, &Note::new(text));
    store.commit(batch)
}

/// Writes what a small node writes: monitors short and long, updates, records with an index.
fn fill(store: &Store, rounds: std::ops::Range<u32>) {
    let kv = kv(store);
    for round in rounds {
        let mut batch = Batch::new();
        let id = round.to_be_bytes();
        PAID.insert(store, &mut batch, &id, &Note::new(&format!("payment {round}"))).unwrap();
        drop(store.commit(batch));
        let name = format!("channel{}", round % 5);
        let update = vec![round as u8; 500];
        kv.write("monitor_updates", &name, &round.to_string(), update).unwrap();
        if round % 7 == 0 {
            let monitor = vec![round as u8; 20_000 * (round as usize % 4 + 1)];
            kv.write("monitors", "", &name, monitor).unwrap();
            kv.remove("monitor_updates", &name, &round.saturating_sub(10).to_string(), true)
                .unwrap();
        }
    }
    store.sync().wait().unwrap();
}

/// All that `fill` leaves, as readers see it.
fn contents(store: &Store) -> Vec<(String, Vec<u8>)> {
    let kv = kv(store);
    let mut found = Vec::new();
    for (primary, secondaries) in [
        ("monitors", vec![String::new()]),
        ("monitor_updates", (0..5).map(|n| format!("channel{n}")).collect()),
    ] {
        for secondary in secondaries {
            for key in kv.list(primary, &secondary).unwrap() {
                let value = kv.read(primary, &secondary, &key).unwrap();
                found.push((format!("{primary}/{secondary}/{key}"), value));
            }
        }
    }
    for (id, note) in PAID.page(store, &[], usize::MAX, |_| true).unwrap().items {
        found.push((note.text, id));
    }
    found
}
