//! The checkpointer: batches that are durable in the log are kept in memory for readers and written to the database in
//! rounds.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::swap::{Copying, Swappable};
use crate::storage::engine::backend::{Backend, Write};
use crate::storage::engine::overlay::{Enqueued, Overlay, Value};
use crate::storage::engine::piece::pieces;
use crate::storage::error::Error;

/// A round begins at once when this many bytes wait.
const ENOUGH_BYTES: usize = 4 << 20;
/// A round holds at most this many bytes, or one batch.
const ROUND_BYTES: usize = 8 << 20;
/// A round holds about this many writes at most.
const ROUND_WRITES: usize = 8192;
/// A database that accepts nothing for this long counts as failed; otherwise the log would grow without a reason given.
const STUCK_AFTER: Duration = Duration::from_secs(300);
/// Poll interval of waiters for a stuck database.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Moves batches from the log into the database; shared by writers, readers and the checkpointer's thread.
pub(in crate::storage) struct Checkpointer<B> {
    /// Where the database is.
    directory: PathBuf,
    pub(in crate::storage) base: Swappable<B>,
    /// The copy that compaction fills; no round is written while this lock is held.
    copying: Mutex<Copying<B>>,
    /// The log's id.
    id: u64,
    rest: Duration,
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes waiters for a round.
    progress: Condvar,
}

/// Batches that are not known to be durable in the database.
struct State {
    waiting: VecDeque<LoggedBatch>,
    waiting_bytes: usize,
    overlay: Overlay,
    /// The last batch that was added.
    newest: u64,
    /// The last batch that the database has.
    applied: u64,
    /// When the last round ended, or when the database last had everything.
    progressed: Instant,
    /// A caller waits for a round: no rest.
    urgent: bool,
    closed: bool,
    failed: Option<Error>,
}

/// A batch in the log.
struct LoggedBatch {
    number: u64,
    writes: Vec<Enqueued>,
    bytes: usize,
}

impl<B: Backend> Checkpointer<B> {
    /// Returns the checkpointer of a database that has all batches up to `applied`; `rest` is the pause before a round.
    pub(in crate::storage) fn new(
        base: B,
        directory: PathBuf,
        id: u64,
        applied: u64,
        rest: Duration,
    ) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            overlay: Overlay::default(),
            newest: applied,
            applied,
            progressed: Instant::now(),
            urgent: false,
            closed: false,
            failed: None,
        };
        Self {
            directory,
            base: Swappable::new(base),
            copying: Mutex::new(None),
            id,
            rest,
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    /// Adds a batch that is durable in the log.
    pub(in crate::storage) fn add(&self, number: u64, batch: &[Write<'_>]) {
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
        if first {
            state.progressed = Instant::now();
        }
        state.newest = number;
        state.waiting_bytes += bytes;
        let enough = state.waiting_bytes >= ENOUGH_BYTES;
        state.waiting.push_back(LoggedBatch { number, writes, bytes });
        if first || enough {
            self.work.notify_one();
        }
    }

    /// Waits until the database has batch `number`.
    pub(in crate::storage) fn wait_for(&self, number: u64) -> Result<(), Error> {
        let mut state = self.lock();
        while state.applied < number {
            self.check(&mut state)?;
            state.urgent = true;
            self.work.notify_one();
            let woken = self.progress.wait_timeout(state, LOOK_EVERY);
            state = woken.expect("nobody panics while holding it").0;
        }
        Ok(())
    }

    /// Waits until the database has all batches that were added before the call.
    pub(in crate::storage) fn wait_for_all(&self) -> Result<(), Error> {
        let newest = self.lock().newest;
        self.wait_for(newest)
    }

    /// The value of a key that the database does not have yet; the outer none means that the database's value holds.
    pub(in crate::storage) fn get(&self, key: &[u8]) -> Option<Option<Value>> {
        self.lock().overlay.get(key)
    }

    /// Reads the writes that the database does not have yet.
    pub(in crate::storage) fn read_waiting<T>(&self, read: impl FnOnce(&Overlay) -> T) -> T {
        read(&self.lock().overlay)
    }

    /// The copy that compaction fills; no round is written while the guard is held.
    pub(in crate::storage) fn copying(&self) -> MutexGuard<'_, Copying<B>> {
        self.copying.lock().expect("nobody panics while holding it")
    }

    /// Fails when no more batches can be added.
    pub(in crate::storage) fn health(&self) -> Result<(), Error> {
        self.check(&mut self.lock())
    }

    /// Refuses further batches.
    pub(in crate::storage) fn fail(&self, error: Error) {
        self.lock().failed.get_or_insert(error);
        self.progress.notify_all();
    }

    /// Lets the thread end once the database has everything.
    pub(in crate::storage) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// The thread's work: writes round after round until the checkpointer is closed and nothing waits.
    pub(in crate::storage) fn run(&self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.apply_all()));
        let failed = ended.unwrap_or_else(|panic| {
            let (what, why) = ("accept batches from the log", crate::tasks::panic_text(&*panic));
            Err(Error::Backend { directory: self.directory.clone(), what, why })
        });
        if let Err(error) = failed {
            tracing::warn!(%error, "cannot write logged batches to the database");
            self.fail(error);
        }
    }

    fn apply_all(&self) -> Result<(), Error> {
        while let Some(round) = self.next_round() {
            let last = self.apply(&round)?;
            let mut state = self.lock();
            state.applied = last;
            state.progressed = Instant::now();
            for LoggedBatch { writes, .. } in round {
                state.overlay.settle(writes);
            }
            drop(state);
            self.progress.notify_all();
        }
        Ok(())
    }

    fn next_round(&self) -> Option<Vec<LoggedBatch>> {
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
            let wait = rested.map_or(LOOK_EVERY, |rested| self.rest - rested);
            let woken = self.work.wait_timeout(state, wait);
            state = woken.expect("nobody panics while holding it").0;
        }
    }

    /// Writes the newest value of each key in a round, and then the number of its last batch.
    fn apply(&self, round: &[LoggedBatch]) -> Result<u64, Error> {
        let last = round.last().map_or(0, |logged| logged.number);
        let writes = round.iter().flat_map(|logged| &logged.writes);
        let newest: BTreeMap<_, _> = writes.map(|write| (&write.key, &write.value)).collect();
        let rows = newest.into_iter().map(|(key, value)| Write {
            key: Cow::Borrowed(key.as_slice()),
            value: value.as_ref().map(|value| Cow::Borrowed(value.as_slice())),
        });
        // Until the last row is there, a crash has the log replay all of the round; readers find it in memory.
        let batch: Vec<_> = rows.chain([applied_row(self.id, last)]).collect();
        let mut copying = self.copying();
        let base = self.base.get();
        for piece in pieces(&batch) {
            base.commit(piece)?;
            if let Some(Ok(copy)) = &*copying
                && let Err(error) = copy.commit(piece)
            {
                *copying = Some(Err(error));
            }
        }
        Ok(last)
    }

    fn check(&self, state: &mut State) -> Result<(), Error> {
        let lacks = state.failed.is_none() && !state.waiting.is_empty();
        if lacks && state.progressed.elapsed() > STUCK_AFTER {
            let why = format!("it accepted nothing for {} s", STUCK_AFTER.as_secs());
            let (directory, what) = (self.directory.clone(), "accept batches from the log");
            state.failed = Some(Error::Backend { directory, what, why });
        }
        state.failed.clone().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// Takes the first batches that fit into a round, at least one.
fn take_round(waiting: &mut VecDeque<LoggedBatch>) -> Vec<LoggedBatch> {
    let (mut bytes, mut writes) = (0, 0);
    let fitting = waiting.iter().take_while(|logged| {
        let first = writes == 0;
        bytes += logged.bytes;
        writes += logged.writes.len().max(1);
        first || (bytes <= ROUND_BYTES && writes <= ROUND_WRITES)
    });
    let count = fitting.count();
    waiting.drain(..count).collect()
}

/// The checkpointer's own row in the database: the log's id, and the last batch that the database has.
pub(in crate::storage) const APPLIED: &[u8] = b"\0applied";

/// The write of that row.
pub(in crate::storage) fn applied_row(id: u64, applied: u64) -> Write<'static> {
    let value = [id, applied].map(u64::to_be_bytes).as_flattened().to_vec();
    Write { key: APPLIED.into(), value: Some(value.into()) }
}

/// Reads that row; none in a database that never had a log.
pub(in crate::storage) fn read_applied(base: &impl Backend) -> Result<Option<(u64, u64)>, Error> {
    let Some(stored) = base.get(APPLIED)? else { return Ok(None) };
    let numbers = stored.split_first_chunk().and_then(|(id, rest)| Some((id, rest.first_chunk()?)));
    let (id, applied) = numbers.ok_or_else(|| Error::Corrupt {
        place: "the number of the last batch".to_owned(),
        why: format!("it has {} bytes", stored.len()),
    })?;
    Ok(Some((u64::from_be_bytes(*id), u64::from_be_bytes(*applied))))
}
