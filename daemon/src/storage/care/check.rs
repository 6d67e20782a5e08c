//! The check of a store: reads every row and reports the invariants that do not hold.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Mutex;

use crate::storage::engine::backend::{Backend, Direction, Span};
use crate::storage::engine::progress::{OnProgress, Progress};
use crate::storage::error::Error;
use crate::storage::rows::chunks::Manifest;
use crate::storage::rows::codec::{BYTES_KIND, JOURNAL_KIND};
use crate::storage::rows::seal::Seal;
use crate::storage::rows::{codec, keys};

/// Problems reported in full; further ones are counted.
const TOLD_PROBLEMS: usize = 100;

/// Rows between two reports of progress.
const STEP_ROWS: u64 = 1_000;

/// How often a row must look wrong to be reported.
const LOOKS_AT_A_DOUBT: u32 = 5;

/// One of LDK's values, handed to a decoder.
#[derive(Clone, Copy, Debug)]
pub struct LdkValue<'a> {
    /// The primary namespace, such as `monitors`.
    pub primary: &'a str,
    /// The secondary namespace.
    pub secondary: &'a str,
    /// The key.
    pub key: &'a str,
    /// The value as LDK wrote it.
    pub value: &'a [u8],
}

/// Decodes one of LDK's values, or says why it cannot.
pub type Decode<'a> = dyn Fn(LdkValue<'_>) -> Result<(), String> + 'a;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows read.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// LDK values decoded.
    pub decoded: u64,
    /// Problems found.
    pub problem_count: u64,
    /// The first hundred of them, each with its place.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether no problem was found.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    pub(in crate::storage) fn add(
        &mut self,
        place: impl std::fmt::Display,
        why: impl std::fmt::Display,
    ) {
        self.problem_count += 1;
        if self.problems.len() < TOLD_PROBLEMS {
            self.problems.push(format!("{place}: {why}"));
        }
    }
}

/// A check of a backend that may be written to meanwhile.
pub(in crate::storage) struct Check<'a> {
    pub(in crate::storage) backend: &'a dyn Backend,
    pub(in crate::storage) decode: &'a Decode<'a>,
    /// Waits until what is being written is there; a doubt that remains after it is a problem.
    pub(in crate::storage) settle: &'a dyn Fn(),
    /// The committer's seal over LDK's rows, while it runs.
    pub(in crate::storage) seal: Option<&'a Mutex<Seal>>,
    pub(in crate::storage) on_progress: &'a OnProgress<'a>,
    pub(in crate::storage) report: CheckReport,
}

/// A row that looked wrong, to be looked at again once it has settled.
struct Doubt {
    key: Vec<u8>,
    /// It can be read, but no row of its index was seen that leads to it.
    unindexed: bool,
    why: String,
}

impl Check<'_> {
    /// Checks every row.
    pub(in crate::storage) fn run(mut self) -> Result<CheckReport, Error> {
        // Tables before logs: a record and its index row come together, so that the index then has a row for each.
        let mut indexed = Ids::default();
        let mut doubts = Vec::new();
        for class in [keys::META, keys::KV, keys::CHUNK, keys::TABLE, keys::LOG] {
            self.rows_of(class, &mut indexed, &mut doubts)?;
        }
        for name in self.histories()? {
            self.unindexed(&name, &indexed, &mut doubts)?;
        }
        for key in self.seal.map(|seal| lock(seal).keys()).unwrap_or_default() {
            if self.backend.get(&key)?.is_none() {
                let why = "it is gone, but was never deleted".to_owned();
                doubts.push(Doubt { key, unindexed: false, why });
            }
        }
        for doubt in doubts {
            if self.remains_wrong(&doubt)? {
                self.report.add(keys::place(&doubt.key), doubt.why);
            }
        }
        Ok(self.report)
    }

    /// Looks at a doubtful row again and again: one that is written all the time may be read in the middle of it.
    fn remains_wrong(&mut self, doubt: &Doubt) -> Result<bool, Error> {
        for _ in 0..LOOKS_AT_A_DOUBT {
            (self.settle)();
            if !self.still_wrong(doubt)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rows_of(
        &mut self,
        class: u8,
        indexed: &mut Ids,
        doubts: &mut Vec<Doubt>,
    ) -> Result<(), Error> {
        let backend = self.backend;
        let mut before: Option<Vec<u8>> = None;
        let mut failed = Ok(());
        backend.scan(&Span::prefix(&[class]), Direction::Forward, &mut |key, value| {
            self.report.rows += 1;
            self.report.bytes += (key.len() + value.len()) as u64;
            if self.report.rows.is_multiple_of(STEP_ROWS) {
                let step = Progress { rows: self.report.rows, bytes: self.report.bytes };
                if (self.on_progress)(step).is_break() {
                    failed = Err(Error::Cancelled);
                    return ControlFlow::Break(());
                }
            }
            let why = match self.row(key, value, before.as_deref()) {
                Ok(why) => why,
                Err(error) => {
                    failed = Err(error);
                    return ControlFlow::Break(());
                }
            };
            match why {
                Some(why) => doubts.push(Doubt { key: key.to_vec(), unindexed: false, why }),
                None if class == keys::LOG => indexed.note(key, value),
                None => (),
            }
            before = Some(key.to_vec());
            ControlFlow::Continue(())
        })?;
        failed
    }

    /// What is wrong with a row, given the key before it.
    fn row(
        &mut self,
        key: &[u8],
        value: &[u8],
        before: Option<&[u8]>,
    ) -> Result<Option<String>, Error> {
        if !self.is_newest(key, Some(value)) {
            return Ok(Some("it is not what was last written there".to_owned()));
        }
        if key.first() == Some(&keys::CHUNK) {
            return self.chunk(key);
        }
        let whole = match Manifest::decode(value) {
            Ok(None) => None,
            Ok(Some(manifest)) => match manifest.join(self.backend, key)? {
                Some(whole) => Some(whole),
                None => return Ok(Some("its chunks do not fit its manifest".to_owned())),
            },
            Err(error) => return Ok(Some(error.to_string())),
        };
        let read = match codec::unframe(whole.as_deref().unwrap_or(value)) {
            Ok(read) => read,
            Err(error) => return Ok(Some(error.to_string())),
        };
        match key.first() {
            Some(&keys::KV) => {
                let Some((primary, secondary, name)) = keys::parse_namespaced(key) else {
                    return Ok(Some("its key has no namespaces".to_owned()));
                };
                let value = LdkValue { primary, secondary, key: name, value: read.body };
                self.report.decoded += 1;
                Ok((self.decode)(value).err())
            }
            Some(&keys::LOG) if read.kind == BYTES_KIND => {
                let record =
                    keys::table_of_index(key).map(|table| [&table[..], read.body].concat());
                let exists = match record {
                    Some(record) => self.backend.get(&record)?.is_some(),
                    None => false,
                };
                Ok((!exists).then(|| "it leads to no record".to_owned()))
            }
            Some(&keys::LOG) if read.kind == JOURNAL_KIND => Ok(gap(before, key)),
            _ => Ok(None),
        }
    }

    /// Whether a row of LDK's is the one that was last committed, as far as anybody knows.
    fn is_newest(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        self.seal.is_none_or(|seal| lock(seal).knows(key, value))
    }

    fn chunk(&self, key: &[u8]) -> Result<Option<String>, Error> {
        let Some((whole, index)) = keys::parse_chunk(key) else {
            return Ok(Some("its key is not that of a chunk".to_owned()));
        };
        let owner = self.backend.get(whole)?;
        let manifest = owner.as_deref().and_then(|value| Manifest::decode(value).ok().flatten());
        let owned = manifest.is_some_and(|manifest| index < manifest.chunks);
        Ok((!owned).then(|| "no value has this chunk".to_owned()))
    }

    /// Looks again at a row that was in doubt; one that has gone is not wrong.
    fn still_wrong(&mut self, doubt: &Doubt) -> Result<bool, Error> {
        let key = &doubt.key;
        let Some(value) = self.backend.get(key)? else { return Ok(!self.is_newest(key, None)) };
        if !doubt.unindexed {
            return Ok(self.row(key, &value, None)?.is_some());
        }
        // In doubt for want of an index row, which a record that came later than the scan of the index lacked.
        let Some((name, id)) = keys::parse_table(key) else { return Ok(true) };
        let mut found = false;
        self.backend.scan(
            &Span::prefix(&keys::index(name)),
            Direction::Backward,
            &mut |_, row| {
                found = codec::unframe_kind(row, BYTES_KIND).is_ok_and(|body| body == id);
                if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )?;
        Ok(!found)
    }

    /// The names of all logs that index a history.
    fn histories(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let mut rest = Span::prefix(&[keys::LOG]);
        loop {
            let mut found = None;
            self.backend.scan(&rest, Direction::Forward, &mut |key, value| {
                let is_index = codec::unframe_kind(value, BYTES_KIND).is_ok();
                found = keys::parse_table(key).map(|(name, _)| (name.to_owned(), is_index));
                ControlFlow::Break(())
            })?;
            let Some((name, is_index)) = found else { return Ok(names) };
            let Some(next) = Span::prefix(&keys::index(&name)).end else { return Ok(names) };
            rest = rest.from(&next, Direction::Forward);
            if is_index {
                names.push(name);
            }
        }
    }

    fn unindexed(&self, name: &str, indexed: &Ids, doubts: &mut Vec<Doubt>) -> Result<(), Error> {
        self.backend.scan(&Span::prefix(&keys::table(name)), Direction::Forward, &mut |key, _| {
            if !indexed.has(key) {
                let why = "no row of the index leads to it".to_owned();
                doubts.push(Doubt { key: key.to_vec(), unindexed: true, why });
            }
            ControlFlow::Continue(())
        })
    }
}

fn lock(seal: &Mutex<Seal>) -> std::sync::MutexGuard<'_, Seal> {
    seal.lock().expect("nobody panics while holding it")
}

/// The records that an index leads to, by a hash of their keys: a million ids in 16 MB.
#[derive(Default)]
struct Ids {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Ids {
    fn note(&mut self, index: &[u8], value: &[u8]) {
        if let (Some(table), Ok(id)) =
            (keys::table_of_index(index), codec::unframe_kind(value, BYTES_KIND))
        {
            let hash = self.hasher.hash_one([&table[..], id].concat());
            self.hashes.insert(hash);
        }
    }

    fn has(&self, record: &[u8]) -> bool {
        self.hashes.contains(&self.hasher.hash_one(record.to_vec()))
    }
}

/// Says which numbers are missing between two neighbours in a log.
fn gap(before: Option<&[u8]>, key: &[u8]) -> Option<String> {
    let (before, log) = before?.split_last_chunk::<8>().map(|(log, number)| (number, log))?;
    let (same_log, number) = key.split_last_chunk::<8>()?;
    let (before, number) = (u64::from_be_bytes(*before), u64::from_be_bytes(*number));
    (log == same_log && before + 1 != number)
        .then(|| format!("the entries between {before} and {number} are missing"))
}
