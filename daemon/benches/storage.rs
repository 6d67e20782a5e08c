//! Measures durable writes per raw fdatasync, pages of histories, and opening; the last line is JSON.

#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fulmen_daemon::storage::{Batch, Config, History, KvStore, Store, Table, record};
use lightning::impl_writeable_tlv_based;
use lightning::util::persist::KVStoreSync;

/// A record as long as that of a payment with its hops.
#[derive(Clone)]
struct Payment {
    number: u64,
    filling: Vec<u8>,
}
impl_writeable_tlv_based!(Payment, { (0, number, required), (2, filling, required_vec) });
record!(Payment, kind = 249, version = 1);

const PUTS: Table<Payment> = Table::new("puts");
const PAYMENTS: History<Payment> = History::new("payments");

fn payment(number: u64, bytes: usize) -> Payment {
    Payment { number, filling: vec![number as u8; bytes] }
}

fn main() {
    // `cargo bench` passes `--bench`, and `cargo test --benches` nothing: then only a short run.
    let long = std::env::args().any(|argument| argument == "--bench");
    let (span, page_records, channels) = if long {
        (Duration::from_secs(4), 1_000_000, 1_000)
    } else {
        (Duration::from_millis(200), 20_000, 20)
    };
    let place = std::env::var_os("FULMEN_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Into::into);
    std::fs::create_dir_all(&place).expect("the bench directory");
    let scratch = tempfile::tempdir_in(&place).expect("a scratch directory");

    let mut report = serde_json::Map::new();
    // Reads first: a store that was written to as fast as can be is tidied for a while after it is closed.
    let small = page_us(scratch.path(), 1_000.min(page_records));
    let large = page_us(scratch.path(), page_records);
    println!(
        "a page of 50: {small:.0} us out of 1,000 records, {large:.0} us out of {page_records}"
    );
    report.insert("page_1k_us".to_owned(), rounded(small));
    report.insert("page_1m_us".to_owned(), rounded(large));

    let open = open_ms(scratch.path(), channels);
    println!("opening a store with {channels} channels: {open:.0} ms");
    report.insert("open_1000_channels_ms".to_owned(), rounded(open));

    for writers in [1, 8, 64] {
        let (ratio, puts) = puts_per_raw(scratch.path(), writers, span);
        println!(
            "{writers:>3} writers: {puts:>8.0} durable 1 KiB puts a second, {ratio:.2} a raw fdatasync"
        );
        report.insert(format!("writer{}_ratio", plural(writers)), rounded(ratio));
    }
    let updates = monitor_updates(scratch.path(), span);
    println!("monitor updates, 8 channels, each blocking: {updates:.0} a second");
    report.insert("monitor_updates_per_second".to_owned(), rounded(updates));
    println!("{}", serde_json::Value::Object(report));
}

fn plural(writers: usize) -> String {
    if writers == 1 { "1".to_owned() } else { format!("s{writers}") }
}

fn rounded(number: f64) -> serde_json::Value {
    serde_json::json!((number * 100.0).round() / 100.0)
}

/// Durable puts per raw append+fdatasync, in short turns on the same disk, whose speed changes; and puts a second.
fn puts_per_raw(scratch: &Path, writers: usize, span: Duration) -> (f64, f64) {
    const TURNS: u32 = 40;
    let store =
        Store::open(&scratch.join(format!("puts-{writers}")), &Config::default()).expect("opens");
    let mut log = File::create(scratch.join("raw")).expect("creates");
    let (mut raw, mut puts) = (0, 0);
    for turn in 0..TURNS {
        raw += raw_appends(&mut log, span / TURNS);
        puts += blocking_puts(&store, writers, u64::from(turn), span / TURNS);
    }
    (puts as f64 / raw as f64, puts as f64 / span.as_secs_f64())
}

fn raw_appends(log: &mut File, span: Duration) -> u64 {
    let bytes = [7; 1024];
    let started = Instant::now();
    let mut appends = 0;
    while started.elapsed() < span {
        log.write_all(&bytes).expect("appends");
        log.sync_data().expect("syncs");
        appends += 1;
    }
    appends
}

fn blocking_puts(store: &Store, writers: usize, turn: u64, span: Duration) -> u64 {
    let puts = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let puts = &puts;
            scope.spawn(move || {
                let mut number = 0u64;
                while started.elapsed() < span {
                    let mut batch = Batch::new();
                    let key =
                        [turn.to_be_bytes(), (writer as u64).to_be_bytes(), number.to_be_bytes()];
                    PUTS.put(&mut batch, key.as_flattened(), &payment(number, 1000));
                    store.commit(batch).wait().expect("durable");
                    puts.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            });
        }
    });
    puts.into_inner()
}

/// What LDK writes for 8 channels in use: incremental updates, every hundredth a whole monitor with the clean-up.
fn monitor_updates(scratch: &Path, span: Duration) -> f64 {
    let store = Store::open(&scratch.join("monitors"), &Config::default()).expect("opens");
    let kv = KvStore::new(store);
    let updates = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for channel in 0..8 {
            let (kv, updates) = (&kv, &updates);
            scope.spawn(move || {
                let name = format!("{channel:064x}_0");
                let mut id = 0;
                while started.elapsed() < span {
                    id += 1;
                    if id % 100 == 0 {
                        kv.write("monitors", "", &name, vec![channel; 60_000]).expect("durable");
                        for old in id - 99..id {
                            kv.remove("monitor_updates", &name, &old.to_string(), true)
                                .expect("enqueued");
                        }
                    } else {
                        let update = vec![channel; 700];
                        kv.write("monitor_updates", &name, &id.to_string(), update)
                            .expect("durable");
                    }
                    updates.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    updates.into_inner() as f64 / span.as_secs_f64()
}

/// The median time of a page of 50 at random places of a history, after a restart of the store.
fn page_us(scratch: &Path, records: u64) -> f64 {
    let directory = scratch.join(format!("history-{records}"));
    let store = Store::open(&directory, &Config::default()).expect("opens");
    for number in 0..records {
        let mut batch = Batch::new();
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(4);
        PAYMENTS.insert(&store, &mut batch, &id, &payment(number, 200)).expect("reads");
        let commit = store.commit(batch);
        if number % 10_000 == 0 {
            commit.wait().expect("durable");
        }
    }
    store.sync().wait().expect("durable");
    drop(store);
    let store = Store::open(&directory, &Config::default()).expect("reopens");
    // The same number of pages, spread over the whole history, each read twice: the second time counts.
    let mut times: Vec<_> = (1..=200)
        .map(|place| {
            let token = (50 + (records - 50) * place / 200).to_be_bytes();
            PAYMENTS.page(&store, &token, 50, |_| true).expect("reads");
            let started = Instant::now();
            let page = PAYMENTS.page(&store, &token, 50, |_| true).expect("reads");
            let time = started.elapsed();
            assert_eq!(page.items.len(), 50);
            time.as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The time to open a store that holds as many channels, with their monitors read.
fn open_ms(scratch: &Path, channels: u32) -> f64 {
    let directory = scratch.join("channels");
    let kv = KvStore::new(Store::open(&directory, &Config::default()).expect("opens"));
    kv.write("", "", "manager", vec![1; channels as usize * 4_000]).expect("durable");
    kv.write("", "", "network_graph", vec![2; 20_000_000]).expect("durable");
    for channel in 0..channels {
        let name = format!("{channel:064x}_0");
        kv.write("monitors", "", &name, vec![3; 40_000]).expect("durable");
        for update in 0..20 {
            let update: u32 = update;
            drop(lightning::util::persist::KVStore::write(
                &kv,
                "monitor_updates",
                &name,
                &update.to_string(),
                vec![4; 700],
            ));
        }
    }
    drop(kv);
    let started = Instant::now();
    let kv = KvStore::new(Store::open(&directory, &Config::default()).expect("reopens"));
    for name in kv.list("monitors", "").expect("lists") {
        kv.read("monitors", "", &name).expect("reads");
        for update in kv.list("monitor_updates", &name).expect("lists") {
            kv.read("monitor_updates", &name, &update).expect("reads");
        }
    }
    started.elapsed().as_secs_f64() * 1e3
}
