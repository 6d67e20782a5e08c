//! Group commit: one thread gathers all waiting batches into one write and one fsync.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::backend::{Backend, Direction, Span, Write};
use super::batch::{Batch, Op, Value};
use super::chunks::Chunked;
use super::group::{Commit, Enqueued, Load, NewHead};
use super::open::number;
use super::overlay::Overlay;
use super::seal::Seal;
use super::space::SpaceWatch;
use super::stats::Growth;
use super::tap::Taps;
use super::witness::Witness;
use super::{Error, keys};

/// A group is closed when it has this many writes.
const GROUP_WRITES: usize = 1024;
/// A group is closed when it has this many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// How long lazy batches wait for company.
const LAZY_FOR: Duration = Duration::from_millis(500);
/// How far the witness may lag behind the store.
const WITNESS_LAG: Duration = Duration::from_millis(90);
/// How often the free space is looked at while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The queue between those who write and the committer.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the committer.
    work: Condvar,
    failed: watch::Sender<Option<Error>>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) taps: Taps,
    /// Of all rows of LDK's, as of the commit under way.
    pub(super) seal: Mutex<Seal>,
    growth: Mutex<Growth>,
    opened: Opened,
}

/// What the store was when it was opened.
struct Opened {
    at: Instant,
    disk_bytes: u64,
}

#[derive(Default)]
struct State {
    groups: VecDeque<Load>,
    overlay: Overlay,
    logs: HashMap<Vec<u8>, LogState>,
    next_number: u64,
    /// Since when something waits that is not lazy, or only lazy things.
    urgent: bool,
    /// The committer waits on `work`.
    idle: bool,
    closed: bool,
}

struct LogState {
    next: u64,
    head: Arc<watch::Sender<u64>>,
}

impl Queue {
    pub(super) fn new(backend: Arc<dyn Backend>, seal: Seal) -> Result<Self, Error> {
        let opened = Opened { at: Instant::now(), disk_bytes: backend.disk_bytes()? };
        Ok(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            failed: watch::Sender::new(None),
            backend,
            taps: Taps::default(),
            seal: Mutex::new(seal),
            growth: Mutex::default(),
            opened,
        })
    }

    /// Enqueues a batch; its place in the order is that of this call.
    pub(super) fn enqueue(&self, batch: Batch) -> Commit {
        let mut state = self.lock();
        if let Some(error) = self.refusal(&state) {
            return Commit::settled(Err(error));
        }
        let lazy = batch.is_lazy();
        if state.groups.back().is_none_or(is_full) {
            state.groups.push_back(Load::default());
        }
        let mut load = state.groups.pop_back().expect("pushed above where there was none");
        for op in batch.into_ops() {
            let (key, value) = match op {
                Op::Put(key, value) => (key, Some(value)),
                Op::Delete(key) => (key, None),
                Op::Append(log, value) => match self.next_in_log(&mut state, log) {
                    Ok((key, head)) => {
                        load.heads.push(head);
                        (key, Some(value))
                    }
                    Err(error) => {
                        // Part of the batch is in the group already, which must not become durable.
                        state.groups.push_back(load);
                        self.fail(&mut state, error.clone());
                        return Commit::settled(Err(error));
                    }
                },
            };
            load.bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
            state.next_number += 1;
            let write = Enqueued { key, value, number: state.next_number };
            state.overlay.put(&write);
            load.writes.push(write);
        }
        let done = load.done.clone();
        state.groups.push_back(load);
        if !lazy {
            state.urgent = true;
            if state.idle {
                state.idle = false;
                self.work.notify_one();
            }
        } else if state.idle && !state.urgent {
            self.work.notify_one();
        }
        Commit::waiting(done)
    }

    /// The enqueued value of a key; the outer none means that the backend's value holds.
    pub(super) fn enqueued(&self, key: &[u8]) -> Option<Option<Value>> {
        self.lock().overlay.get(key)
    }

    /// The enqueued writes in a span, in the order of a scan.
    pub(super) fn enqueued_within(
        &self,
        span: &Span,
        direction: Direction,
    ) -> Vec<(Vec<u8>, Option<Value>)> {
        self.lock().overlay.within(span, direction)
    }

    /// The last durable number of a log, as it grows.
    pub(super) fn log_head(&self, log: &[u8]) -> Result<watch::Receiver<u64>, Error> {
        let mut state = self.lock();
        Ok(self.log_state(&mut state, log.to_vec())?.head.subscribe())
    }

    /// What was committed since the start.
    pub(super) fn growth(&self) -> Result<Growth, Error> {
        let written = *self.growth.lock().expect("nobody panics while holding it");
        let disk_bytes = self.backend.disk_bytes()?;
        Ok(Growth {
            secs: self.opened.at.elapsed().as_secs(),
            disk_bytes: disk_bytes.cast_signed() - self.opened.disk_bytes.cast_signed(),
            ..written
        })
    }

    pub(super) fn failed(&self) -> watch::Receiver<Option<Error>> {
        self.failed.subscribe()
    }

    /// Lets the committer end once it has written all that is enqueued.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.work.notify_one();
    }

    fn next_in_log(&self, state: &mut State, log: Vec<u8>) -> Result<(Vec<u8>, NewHead), Error> {
        let prefix = log.clone();
        let log = self.log_state(state, log)?;
        let number = log.next;
        log.next += 1;
        let head = NewHead { head: log.head.clone(), number };
        Ok(([&prefix[..], &number.to_be_bytes()].concat(), head))
    }

    fn log_state<'a>(&self, state: &'a mut State, log: Vec<u8>) -> Result<&'a mut LogState, Error> {
        use std::collections::hash_map::Entry;
        match state.logs.entry(log) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let last = last_in_log(&*self.backend, unknown.key())?;
                let head = Arc::new(watch::Sender::new(last));
                Ok(unknown.insert(LogState { next: last + 1, head }))
            }
        }
    }

    fn grow(&self, writes: &[Write<'_>], took: Duration) {
        let bytes = |write: &Write<'_>| {
            write.key.len() + write.value.as_ref().map_or(0, |value| value.len())
        };
        let mut growth = self.growth.lock().expect("nobody panics while holding it");
        growth.commits += 1;
        growth.times.add(took);
        growth.writes += writes.len() as u64;
        growth.bytes += writes.iter().map(bytes).sum::<usize>() as u64;
    }

    fn refusal(&self, state: &State) -> Option<Error> {
        self.failed.borrow().clone().or_else(|| state.closed.then_some(Error::Closed))
    }

    fn fail(&self, state: &mut State, error: Error) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(%error, "the store failed; nothing more becomes durable");
                *failed = Some(error.clone());
            }
            first
        });
        for load in state.groups.drain(..) {
            load.done.finish(Err(error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

fn is_full(load: &Load) -> bool {
    load.writes.len() >= GROUP_WRITES || load.bytes >= GROUP_BYTES
}

fn last_in_log(backend: &dyn Backend, log: &[u8]) -> Result<u64, Error> {
    let mut last = Ok(0);
    backend.scan(&Span::prefix(log), Direction::Backward, &mut |key, _| {
        last = key[log.len()..].try_into().map(u64::from_be_bytes).map_err(|_| Error::Corrupt {
            place: keys::place(key),
            why: "it is not a number in a log".to_owned(),
        });
        ControlFlow::Break(())
    })?;
    last
}

/// The thread that alone writes to the backend.
pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) chunked: Chunked,
    pub(super) space: Arc<SpaceWatch>,
    pub(super) witness: Option<Witness>,
    /// The number of the last commit in the backend.
    pub(super) last_commit: u64,
}

enum Next {
    Group(Load),
    Tick,
    End,
}

impl Committer {
    /// Writes group after group until the queue is closed and empty, or a write fails.
    pub(super) fn run(mut self) {
        let mut last_tick = Instant::now();
        loop {
            let lag = if self.is_witness_behind() { WITNESS_LAG } else { LOOK_EVERY };
            let done = match self.next(last_tick + lag) {
                Next::Group(load) => self.write(load),
                Next::Tick => {
                    last_tick = Instant::now();
                    self.space.look();
                    self.queue.backend.health().and_then(|()| self.note_witness())
                }
                Next::End => {
                    if let Err(error) = self.note_witness() {
                        tracing::warn!(%error, "the witness is behind the store");
                    }
                    return;
                }
            };
            if let Err(error) = done {
                self.queue.fail(&mut self.queue.lock(), error);
                return;
            }
        }
    }

    fn next(&self, tick_due: Instant) -> Next {
        let mut state = self.queue.lock();
        let mut lazy_since = None;
        loop {
            let now = Instant::now();
            if tick_due <= now {
                return Next::Tick;
            }
            let lazy_due = if state.groups.is_empty() {
                None
            } else {
                Some(*lazy_since.get_or_insert(now) + LAZY_FOR)
            };
            if state.urgent || state.closed || lazy_due.is_some_and(|due| due <= now) {
                match state.groups.pop_front() {
                    Some(load) => {
                        state.urgent &= !state.groups.is_empty();
                        return Next::Group(load);
                    }
                    None if state.closed => return Next::End,
                    None => state.urgent = false,
                }
            }
            let due = lazy_due.map_or(tick_due, |due| due.min(tick_due));
            state.idle = true;
            let woken = self.queue.work.wait_timeout(state, due.saturating_duration_since(now));
            state = woken.expect("nobody panics while holding it").0;
            state.idle = false;
        }
    }

    fn write(&mut self, load: Load) -> Result<(), Error> {
        let Load { writes, heads, done, .. } = load;
        if writes.is_empty() {
            // Somebody waits for what was written before, and that is durable.
            done.finish(Ok(()));
            return Ok(());
        }
        let mut split = self.chunked.split(&writes);
        let commit = self.last_commit + 1;
        let sum = self.queue.seal.lock().expect("nobody panics while holding it").apply(&split);
        split.push(sum);
        split.push(number(keys::meta(COMMIT_SEQ), commit));
        let began = Instant::now();
        let written = self.queue.backend.commit(&split);
        let took = began.elapsed();
        if let Err(error) = written {
            // Whoever is told of the failure finds the store failed.
            self.queue.fail(&mut self.queue.lock(), error.clone());
            done.finish(Err(error.clone()));
            return Err(error);
        }
        self.last_commit = commit;
        self.queue.taps.show(&split);
        self.queue.grow(&split, took);
        drop(split);
        // Whoever waited for an entry finds it in its log; the overlay may be tidied after the waiters are awake.
        for NewHead { head, number } in heads {
            head.send_replace(number);
        }
        done.finish(Ok(()));
        self.queue.lock().overlay.settle(writes);
        Ok(())
    }

    fn is_witness_behind(&self) -> bool {
        self.witness.as_ref().is_some_and(|witness| witness.last() < self.last_commit)
    }

    fn note_witness(&mut self) -> Result<(), Error> {
        match &mut self.witness {
            Some(witness) if witness.last() < self.last_commit => witness.note(self.last_commit),
            _ => Ok(()),
        }
    }
}

/// The name under which each commit keeps its number.
pub(super) const COMMIT_SEQ: &str = "commit_seq";
