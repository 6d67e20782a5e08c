//! A backend that writes ahead: a batch is durable in the log at once and reaches the database behind it later.
//!
//! The database syncs each of its batches in several steps that wait for one another; the log needs one. Batches that
//! wait are read from memory, and go into the database together, the newest write of each key alone. What had not got
//! there at a crash is written to it before anybody reads.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Error;
use super::backend::{Backend, Direction, Span, Visit, Write};
use super::group::Enqueued;
use super::open::random;
use super::overlay::{self, Overlay};
use super::sled::Sled;
use super::wal::{Frames, Wal};

/// The one row of its own in the database: the log's id, and the last batch that the database has. Nobody above sees it.
const APPLIED: &[u8] = b"\0applied";
/// How long batches wait for company.
pub(super) const REST: Duration = Duration::from_millis(200);
/// Batches do not wait for company once they have so many bytes.
const ENOUGH_BYTES: usize = 2 << 20;
/// The database is given about so many bytes at a time,
const ROUND_BYTES: usize = 4 << 20;
/// and about so many writes.
const ROUND_WRITES: usize = 1024;

/// A database with its log.
pub(super) struct Ahead<B: Backend> {
    shared: Arc<Shared<B>>,
    wal: Mutex<Wal>,
    applier: Option<JoinHandle<()>>,
}

struct Shared<B> {
    base: B,
    /// The log's id.
    id: u64,
    rest: Duration,
    state: Mutex<State>,
    /// Wakes the applier.
    work: Condvar,
    /// Wakes whoever waits for the applier.
    progress: Condvar,
}

/// What is durable in the log and not known to be so in the database.
#[derive(Default)]
struct State {
    waiting: VecDeque<Logged>,
    waiting_bytes: usize,
    overlay: Overlay,
    /// The last batch that the database has.
    applied: u64,
    /// Somebody waits: no rest.
    urgent: bool,
    closed: bool,
    failed: Option<Error>,
}

/// A batch in the log.
struct Logged {
    number: u64,
    writes: Vec<Enqueued>,
    bytes: usize,
}

impl Ahead<Sled> {
    /// Opens the database in `directory` with its log, making empty ones where there are none.
    pub(super) fn open(directory: &Path, cache_mib: u64) -> Result<Self, Error> {
        Self::over(Sled::open(directory, cache_mib)?, directory, REST)
    }
}

impl<B: Backend> Ahead<B> {
    /// Opens the log of a database in `directory`, and gives the database what it lacks.
    pub(super) fn over(base: B, directory: &Path, rest: Duration) -> Result<Self, Error> {
        let (wal, id, applied, frames) = match read_applied(&base)? {
            Some((id, applied)) => {
                let (wal, mut frames) = Wal::open(directory, id)?;
                (wal, id, applied, frames.split_off(&(applied + 1)))
            }
            None => {
                let id = random(directory)?;
                let wal = Wal::create(directory, id)?;
                base.commit(&[applied_row(id, 0)])?;
                (wal, id, 0, Frames::new())
            }
        };
        find_gap(directory, applied, &frames)?;
        let shared = Arc::new(Shared {
            base,
            id,
            rest,
            state: Mutex::new(State { applied, ..State::default() }),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let applying = shared.clone();
        let applier = crate::tasks::thread("applier", move || applying.run())
            .map_err(|error| Error::io("start the applier of", directory, error))?;
        let ahead = Self { shared, wal: Mutex::new(wal), applier: Some(applier) };
        ahead.catch_up(applied, frames)?;
        Ok(ahead)
    }

    /// Gives the database what only the log has, and begins the log anew.
    fn catch_up(&self, applied: u64, frames: Frames) -> Result<(), Error> {
        let newest = frames.last_key_value().map_or(applied, |(newest, _)| *newest);
        if newest > applied {
            tracing::info!(batches = newest - applied, "the database takes what only the log has");
        }
        for (number, batch) in frames {
            self.shared.logged(number, &batch);
        }
        self.shared.wait_for(newest)?;
        self.wal.lock().expect("nobody panics while holding it").begin_after(newest);
        Ok(())
    }
}

impl<B: Backend> Backend for Ahead<B> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        let mut wal = self.wal.lock().expect("nobody panics while holding it");
        self.shared.health()?;
        if let Some(needed) = wal.due() {
            self.shared.wait_for(needed)?;
            wal.take_turns();
        }
        let number = wal.append(writes)?;
        self.shared.logged(number, writes);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // Before the database: what is applied meanwhile is then seen here, or there.
        let waiting = self.shared.lock().overlay.get(key);
        match waiting {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => self.shared.base.get(key),
        }
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        let waiting = self.shared.lock().overlay.within(span, direction);
        overlay::scan(&waiting, &self.shared.base, span, direction, &mut |key, value| {
            if key == APPLIED { ControlFlow::Continue(()) } else { visit(key, value) }
        })
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        let log_bytes = self.wal.lock().expect("nobody panics while holding it").disk_bytes();
        Ok(self.shared.base.disk_bytes()? + log_bytes)
    }

    fn health(&self) -> Result<(), Error> {
        self.shared.health()
    }
}

impl<B: Backend> Drop for Ahead<B> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        if let Some(applier) = self.applier.take()
            && applier.join().is_err()
        {
            tracing::error!("the applier panicked; the log has what the database lacks");
        }
    }
}

impl<B: Backend> Shared<B> {
    /// Takes in a batch that is durable in the log.
    fn logged(&self, number: u64, batch: &[Write<'_>]) {
        let own = |write: &Write<'_>| Enqueued {
            key: write.key.to_vec(),
            value: write.value.as_ref().map(|value| Arc::new(value.to_vec())),
            number,
        };
        let writes: Vec<_> = batch.iter().map(own).collect();
        let bytes = writes
            .iter()
            .map(|write| write.key.len() + write.value.as_ref().map_or(0, |value| value.len()))
            .sum();
        let mut state = self.lock();
        for write in &writes {
            state.overlay.put(write);
        }
        let first = state.waiting.is_empty();
        state.waiting_bytes += bytes;
        let enough = state.waiting_bytes >= ENOUGH_BYTES;
        state.waiting.push_back(Logged { number, writes, bytes });
        if first || enough {
            self.work.notify_one();
        }
    }

    /// Waits until the database has batch `number`.
    fn wait_for(&self, number: u64) -> Result<(), Error> {
        let mut state = self.lock();
        while state.applied < number {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            state.urgent = true;
            self.work.notify_one();
            state = self.progress.wait(state).expect("nobody panics while holding it");
        }
        Ok(())
    }

    /// Gives the database batch after batch until there is none and no more will come.
    fn run(&self) {
        while let Some(round) = self.next_round() {
            let applied = self.apply(&round);
            let mut state = self.lock();
            match applied {
                Ok(number) => {
                    state.applied = number;
                    for Logged { writes, .. } in round {
                        state.overlay.settle(writes);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the database does not take what the log has");
                    state.failed = Some(error);
                }
            }
            self.progress.notify_all();
            if state.failed.is_some() {
                return;
            }
        }
    }

    fn next_round(&self) -> Option<Vec<Logged>> {
        let mut state = self.lock();
        let mut since = None;
        loop {
            let rested = if state.waiting.is_empty() {
                state.urgent = false;
                None
            } else {
                Some(since.get_or_insert_with(Instant::now).elapsed())
            };
            let at_once = state.urgent || state.closed || state.waiting_bytes >= ENOUGH_BYTES;
            match rested {
                None if state.closed => return None,
                Some(rested) if at_once || rested >= self.rest => {
                    let round = take_round(&mut state.waiting);
                    state.waiting_bytes -= round.iter().map(|logged| logged.bytes).sum::<usize>();
                    return Some(round);
                }
                _ => (),
            }
            let wait = rested.map_or(Duration::MAX, |rested| self.rest - rested);
            let woken = self.work.wait_timeout(state, wait);
            state = woken.expect("nobody panics while holding it").0;
        }
    }

    /// Gives the database the newest write of each key in a round, with the number of its last batch, as one batch.
    fn apply(&self, round: &[Logged]) -> Result<u64, Error> {
        let last = round.last().map_or(0, |logged| logged.number);
        let writes = round.iter().flat_map(|logged| &logged.writes);
        let newest: BTreeMap<_, _> = writes.map(|write| (&write.key, &write.value)).collect();
        let rows = newest.into_iter().map(|(key, value)| Write {
            key: Cow::Borrowed(key.as_slice()),
            value: value.as_ref().map(|value| Cow::Borrowed(value.as_slice())),
        });
        let batch: Vec<_> = rows.chain([applied_row(self.id, last)]).collect();
        self.base.commit(&batch)?;
        Ok(last)
    }

    fn health(&self) -> Result<(), Error> {
        self.lock().failed.clone().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// The first batches that fit into a round, one at least.
fn take_round(waiting: &mut VecDeque<Logged>) -> Vec<Logged> {
    let (mut bytes, mut writes) = (0, 0);
    let fitting = waiting.iter().take_while(|logged| {
        let fits = bytes < ROUND_BYTES && writes < ROUND_WRITES;
        bytes += logged.bytes;
        writes += logged.writes.len();
        fits
    });
    let count = fitting.count();
    waiting.drain(..count).collect()
}

/// Says which batch is missing of those that the log has and the database lacks.
fn find_gap(directory: &Path, applied: u64, frames: &Frames) -> Result<(), Error> {
    let newest = frames.last_key_value().map_or(applied, |(newest, _)| *newest);
    let missing = (applied + 1..newest).find(|number| !frames.contains_key(number));
    missing.map_or(Ok(()), |missing| {
        Err(Error::Corrupt {
            place: format!("the write-ahead log in {}", directory.display()),
            why: format!(
                "batch {missing} is missing or cannot be read, the log goes on to {newest}, and the database ends at \
                 {applied}: it is an older copy, or a disk has lost what was acknowledged"
            ),
        })
    })
}

fn read_applied(base: &impl Backend) -> Result<Option<(u64, u64)>, Error> {
    let Some(stored) = base.get(APPLIED)? else { return Ok(None) };
    let numbers = stored.split_first_chunk().and_then(|(id, rest)| Some((id, rest.first_chunk()?)));
    let (id, applied) = numbers.ok_or_else(|| Error::Corrupt {
        place: "the number of the last batch".to_owned(),
        why: format!("it has {} bytes", stored.len()),
    })?;
    Ok(Some((u64::from_be_bytes(*id), u64::from_be_bytes(*applied))))
}

fn applied_row(id: u64, applied: u64) -> Write<'static> {
    let value = [id, applied].map(u64::to_be_bytes).as_flattened().to_vec();
    Write { key: APPLIED.into(), value: Some(value.into()) }
}
