//! SIGKILL at any instant, the opening included: every acknowledged write is there, and none is older; every other child
//! compacts its store all the time.
//!
//! The child is this test program again; it says on its standard output which writes were acknowledged.
//! `FULMEN_KILLS=300` makes the run long.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fulmen_daemon::storage::{
    Batch, Config, History, KvStore, Store, Table, ignore_progress, record,
};
use lightning::impl_writeable_tlv_based;
use lightning::io::ErrorKind;
use lightning::util::persist::{KVStore, KVStoreSync};

const DIRECTORY: &str = "FULMEN_TEST_KILL_DIRECTORY";
const COMPACT: &str = "FULMEN_TEST_KILL_COMPACT";
const CHANNELS: u64 = 4;

#[derive(Debug, PartialEq, Eq)]
struct Paid {
    round: u64,
}
impl_writeable_tlv_based!(Paid, { (0, round, required) });
record!(Paid, kind = 249, version = 1);

const PAID: History<Paid> = History::new("paid");
const LAST: Table<Paid> = Table::new("last");

fn channel(round: u64) -> String {
    format!("channel{}", round % CHANNELS)
}

fn monitor(round: u64) -> Vec<u8> {
    round.to_be_bytes().repeat(2_000 * (round as usize % 6 + 1))
}

/// Not a test of its own: the child that is killed.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    say("opening");
    let store = Store::open(Path::new(&directory), &Config::default()).expect("opens after a kill");
    let kv = KvStore::new(store.clone());
    let first = LAST.get(&store, b"last").expect("reads").map_or(0, |last| last.round + 1);
    say("open");
    std::thread::scope(|scope| {
        if std::env::var_os(COMPACT).is_some() {
            scope.spawn(|| while store.compact(&ignore_progress).is_ok() {});
        }
        write(&store, &kv, first);
    });
}

fn write(store: &Store, kv: &KvStore, first: u64) {
    for round in first.. {
        // Three writers' work, enqueued at once: a record with its index, a monitor, the pointer to the last.
        let mut batch = Batch::new();
        PAID.insert(store, &mut batch, &round.to_be_bytes(), &Paid { round }).expect("reads");
        let paid = store.commit(batch);
        let monitor = KVStore::write(kv, "monitors", "", &channel(round), monitor(round));
        let mut batch = Batch::new();
        LAST.put(&mut batch, b"last", &Paid { round });
        store.commit(batch).wait().expect("durable");
        // Enqueued before, hence durable before.
        paid.wait().expect("durable");
        drop(monitor);
        say(&format!("acknowledged {round}"));
        KVStoreSync::remove(kv, "monitors", "", &format!("gone{round}"), true).expect("enqueued");
    }
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").and_then(|()| out.flush()).expect("the parent listens");
}

struct Running {
    child: Child,
    words: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(directory: &Path, compacts: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("has a path"))
            .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
            .env(DIRECTORY, directory)
            .envs(compacts.then_some((COMPACT, "always")))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        let words = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, words }
    }

    /// Reads the next word of the child; none when it has ended.
    fn next(&mut self) -> Option<String> {
        loop {
            let word = self.words.next()?.ok()?;
            let of_ours = word == "opening" || word == "open" || word.starts_with("acknowledged ");
            // The harness's own line has no line break before our first word.
            if of_ours || word.ends_with("opening") {
                return Some(word);
            }
        }
    }

    /// Kills the child and returns the last round that it had acknowledged.
    fn kill(mut self, mut acknowledged: Option<u64>) -> Option<u64> {
        self.child.kill().expect("is ours");
        while let Some(word) = self.next() {
            acknowledged = round_of(&word).or(acknowledged);
        }
        self.child.wait().expect("is ours");
        acknowledged
    }
}

fn round_of(word: &str) -> Option<u64> {
    word.strip_prefix("acknowledged ")?.parse().ok()
}

#[test]
fn every_acknowledged_write_survives_a_kill() {
    let kills = std::env::var("FULMEN_KILLS").map_or(30, |text| text.parse().expect("a number"));
    let scratch = tempfile::tempdir().expect("a directory");
    let directory = scratch.path().join("store");
    let (mut acknowledged, mut chance) = (None, 42u64);
    for kill in 0..kills {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut running = Running::start(&directory, kill % 2 == 1);
        // A third of the kills hit the opening, at some point of its work; the others some write.
        let words = if kill % 3 == 0 { 1 } else { 2 + (chance >> 33) % 40 };
        for _ in 0..words {
            let word = running.next().expect("the child works until it is killed");
            acknowledged = round_of(&word).or(acknowledged);
        }
        for _ in 0..(chance >> 40) % 20_000 * 20 {
            std::hint::spin_loop();
        }
        acknowledged = running.kill(acknowledged);
        if kill % 5 == 0 || kill + 1 == kills {
            audit(&directory, acknowledged, kill);
        }
    }
    assert!(
        acknowledged.is_some_and(|round| round > kills / 2),
        "{acknowledged:?} rounds in {kills} kills"
    );
}

fn audit(directory: &Path, acknowledged: Option<u64>, kill: u64) {
    let store = Store::open(directory, &Config::default()).expect("opens after a kill");
    let last = LAST.get(&store, b"last").expect("reads").map(|paid| paid.round);
    assert!(
        last >= acknowledged,
        "kill {kill}: {acknowledged:?} was acknowledged, {last:?} is there"
    );
    let report = store.check(&|_| Ok(()), &ignore_progress).expect("reads");
    assert!(report.is_sound(), "kill {kill}: {:?}", report.problems);
    let Some(last) = last else { return };
    let page = PAID.page(&store, &[], 10, |_| true).expect("reads");
    let newest = page.items.first().expect("there is one").1.round;
    assert!(
        (last..=last + 1).contains(&newest),
        "kill {kill}: {newest} is the newest record, {last} the last"
    );
    for round in last.saturating_sub(CHANNELS - 1)..=last {
        let read = KVStoreSync::read(&KvStore::new(store.clone()), "monitors", "", &channel(round));
        let Ok(found) = read.map_err(|error| assert_eq!(error.kind(), ErrorKind::NotFound)) else {
            panic!("kill {kill}: the monitor of {round} is gone");
        };
        // One write may have come after the last that is known.
        assert!(
            found == monitor(round) || found == monitor(last + 1),
            "kill {kill}: monitor of {round} fell back"
        );
    }
}
