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
use crate::storage::ahead::Ahead;
use crate::storage::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::sled::Sled;

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

/// Commits numbered notes, each with a long and a short value, and cuts the power in the last commit, wherever the
/// applier then is.
fn survives(commits: u32, seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let running = directory.path().join("running");
    let sled = Sled::open(&running, 16).unwrap();
    let durable = Arc::new(Mutex::default());
    let recorded = Recorded { sled, directory: running.clone(), durable: durable.clone() };
    let ahead = Ahead::over(recorded, &running, Duration::from_millis(seed % 20)).unwrap();
    let store = Store::over(Arc::new(ahead)).unwrap();
    let kv = kv(&store);
    let mut log = Files::new();
    for commit in 0..commits {
        let text = format!("{commit} ").repeat(8_000 * (commit as usize % 4 + 1));
        let write = kv.write("monitors", "", &format!("channel{}", commit % 5), text.into_bytes());
        write.unwrap();
        // All commits so far are durable.
        log = files(&running, is_of_log);
        put(&store, b"last", &commit.to_string()).wait().unwrap();
    }
    let mut written = files(&running, is_of_log);
    let mut durable = durable.lock().unwrap().clone();
    written.extend(files(&running, is_of_sled));
    durable.extend(log);
    drop((kv, store));
    let mut state = seed;
    let mut coin = move |_: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        state >> 63 == 0
    };
    let mut keeps: [(&str, &mut dyn FnMut(usize) -> bool); 3] =
        [("none", &mut |_| false), ("all", &mut |_| true), ("some", &mut coin)];
    for (what, keep) in &mut keeps {
        let what = &**what;
        let image = directory.path().join(what).join("sled");
        fs::create_dir_all(&image).unwrap();
        for (name, written) in &written {
            let durable = durable.get(name).map_or(&[][..], |durable| durable);
            fs::write(image.join(name), cut(durable, written, &mut *keep)).unwrap();
        }
        // The last commit was in flight: it is there or not. All before it were acknowledged.
        let store = open(&directory.path().join(what));
        let last: u32 = NOTES.get(&store, b"last").unwrap().unwrap().text.parse().unwrap();
        assert!(last + 2 >= commits, "{what} of the last sectors kept: {last} of {commits}");
        for channel in (0..5).filter(|channel| *channel < commits) {
            let newest = (commits - 1 - channel) / 5 * 5 + channel;
            let read = kv_text(&store, channel);
            let expected = format!("{newest} ").repeat(8_000 * (newest as usize % 4 + 1));
            assert!(
                read == expected,
                "{what} of the last sectors kept: channel {channel} fell back"
            );
        }
        assert!(store.check(&|_| Ok(()), &to_the_end).unwrap().is_sound());
    }
}

fn kv_text(store: &Store, channel: u32) -> String {
    String::from_utf8(kv(store).read("monitors", "", &format!("channel{channel}")).unwrap())
        .unwrap()
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = std::env::var("FULMEN_POWER_CUTS").map_or(3, |text| text.parse().unwrap());
    for cut in 0..cuts {
        survives(5 + cut * 47 % 190, u64::from(cut) * 77 + 1);
    }
}
