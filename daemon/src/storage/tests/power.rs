//! Power cuts: what was fsynced stays, what was only written stays in part.
//!
//! All that a file held when an fsync began is durable once that fsync has ended; what changed from there until the
//! next one ends may be lost. A cut there leaves one of many images: none of the changed sectors, all, or some.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::storage::Error;
use crate::storage::engine::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::{Logged, Pace};

const SECTOR_BYTES: usize = 512;

/// The files of the database as the operating system holds them.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A sled database that remembers its files as of the beginning of its last fsync.
struct Recorded {
    sled: Sled,
    directory: PathBuf,
    durable: Arc<Mutex<Files>>,
}

impl Backend for Recorded {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        self.sled.write(writes)?;
        let image = files(&self.directory, is_of_sled);
        self.sled.sync()?;
        *self.durable.lock().unwrap() = image;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.sled.get(key)
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.sled.scan(span, direction, visit)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.sled.disk_bytes()
    }
}

fn is_of_sled(name: &str) -> bool {
    !is_of_log(name)
}

fn is_of_log(name: &str) -> bool {
    name.starts_with("wal.")
}

fn files(directory: &Path, wanted: fn(&str) -> bool) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file()
            && wanted(&path.file_name().unwrap().to_string_lossy())
            // A snapshot may be renamed while we look.
            && let Ok(bytes) = fs::read(&path)
        {
            files.insert(path.file_name().unwrap().into(), bytes);
        }
    }
    files
}

/// What a cut leaves of a file: the durable bytes, with some of the sectors written since.
fn cut(durable: &[u8], written: &[u8], mut kept: impl FnMut(usize) -> bool) -> Vec<u8> {
    let sectors = written.len().div_ceil(SECTOR_BYTES);
    let mut image = durable.to_vec();
    for sector in 0..sectors {
        let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(written.len());
        let changed = durable.get(range.clone()) != Some(&written[range.clone()]);
        if changed && kept(sector) {
            if image.len() < range.end {
                image.resize(range.end, 0);
            }
            image[range.clone()].copy_from_slice(&written[range]);
        }
    }
    image
}

/// What a power cut leaves of the sectors that were being written.
#[derive(Clone, Copy, Debug)]
enum Kept {
    None,
    All,
    Some,
}

/// Runs of a store, each on what a power cut left of the one before.
struct Runs {
    directory: tempfile::TempDir,
    /// The store that the next run begins with.
    left: PathBuf,
    /// Notes so far.
    commits: u32,
    dice: u64,
}

impl Runs {
    fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("0");
        Self { directory, left, commits: 0, dice: seed }
    }

    /// A number below `bound`.
    fn roll(&mut self, bound: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (self.dice >> 33) % bound
    }

    /// Opens what the last cut left; the log's files take turns often.
    fn open(&mut self, rest: Duration) -> (Store, Arc<Mutex<Files>>) {
        let sled = Sled::open(&self.left, 16).unwrap();
        // Opening ends with an fsync.
        let durable = Arc::new(Mutex::new(files(&self.left, is_of_sled)));
        let recorded = Recorded { sled, directory: self.left.clone(), durable: durable.clone() };
        let pace = Pace { rest, turn_bytes: 300_000 };
        let logged = Logged::with(recorded, &self.left, pace).unwrap();
        (Store::over(Arc::new(logged)).unwrap(), durable)
    }

    /// Commits numbered notes, each with a long and a short value, and cuts the power in the last commit, wherever the
    /// checkpointer then is.
    fn run(&mut self, count: u32, kept: Kept) {
        let rest = Duration::from_millis(self.roll(20));
        let (store, durable) = self.open(rest);
        let kv = kv(&store);
        let mut log = Files::new();
        for commit in self.commits..self.commits + count {
            let name = format!("channel{}", commit % 5);
            kv.write("monitors", "", &name, text(commit).into_bytes()).unwrap();
            // All commits so far are durable.
            log = files(&self.left, is_of_log);
            put(&store, b"last", &commit.to_string()).wait().unwrap();
        }
        self.commits += count;
        let mut written = files(&self.left, is_of_log);
        let mut durable = durable.lock().unwrap().clone();
        written.extend(files(&self.left, is_of_sled));
        durable.extend(log);
        drop((kv, store));
        self.left = self.directory.path().join(format!("{}", self.commits));
        fs::create_dir_all(&self.left).unwrap();
        for (name, written) in &written {
            let durable = durable.get(name).map_or(&[][..], |durable| durable);
            let image = cut(durable, written, |_| match kept {
                Kept::None => false,
                Kept::All => true,
                Kept::Some => self.roll(2) == 0,
            });
            fs::write(self.left.join(name), image).unwrap();
        }
        self.check(&format!("{kept:?} of the last sectors kept after {} commits", self.commits));
    }

    /// The last commit was in flight: it is there or not. All before it were acknowledged.
    fn check(&mut self, what: &str) {
        let (store, _) = self.open(Duration::ZERO);
        let last: u32 = NOTES.get(&store, b"last").unwrap().unwrap().text.parse().unwrap();
        assert!(last + 2 >= self.commits, "{what}: {last} of {}", self.commits);
        for channel in (0..5).filter(|channel| *channel < self.commits) {
            let newest = (self.commits - 1 - channel) / 5 * 5 + channel;
            assert!(
                kv_text(&store, channel) == text(newest),
                "{what}: channel {channel} fell back"
            );
        }
        assert!(store.check(&|_| Ok(()), &ignore_progress).unwrap().is_sound(), "{what}");
    }
}

fn text(commit: u32) -> String {
    format!("{commit} ").repeat(8_000 * (commit as usize % 4 + 1))
}

fn kv_text(store: &Store, channel: u32) -> String {
    String::from_utf8(kv(store).read("monitors", "", &format!("channel{channel}")).unwrap())
        .unwrap()
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    // So many commits that sled uses segments of its file again and again take minutes.
    let (series, commits) = (number("FULMEN_POWER_CUTS", 2), number("FULMEN_POWER_COMMITS", 60));
    for seed in 0..series {
        let mut runs = Runs::new(seed * 77 + 1);
        for kept in [Kept::Some, Kept::None, Kept::All, Kept::Some, Kept::Some] {
            let count = 2 + runs.roll(commits) as u32;
            runs.run(count, kept);
        }
    }
}
