//! The queue of the group commit: batches in the order of their calls, readable before they are durable.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::batch::{Batch, Op};
use super::group::{Commit, Completion, Group, NewHead};
use super::observer::Observers;
use super::times::Growth;
use crate::storage::engine::backend::{Backend, Direction, Span, Write};
use crate::storage::engine::overlay::{Enqueued, Overlay, Value};
use crate::storage::error::Error;
use crate::storage::rows::keys;
use crate::storage::rows::seal::Seal;

/// A group is closed when it has this many writes.
const GROUP_WRITES: usize = 1024;
/// A group is closed when it has this many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// How long lazy batches wait for a group that is not lazy.
const LAZY_FOR: Duration = Duration::from_millis(500);

/// The queue between those who write and the committer.
pub(in crate::storage) struct Queue {
    state: Mutex<State>,
    /// Wakes the committer.
    work: Condvar,
    failed: watch::Sender<Option<Error>>,
    pub(in crate::storage) backend: Arc<dyn Backend>,
    pub(in crate::storage) observers: Observers,
    /// The seal over LDK's rows, as of the commit under way.
    pub(in crate::storage) seal: Mutex<Seal>,
    growth: Mutex<Growth>,
    opened: Opened,
}

/// The state of the store when it was opened.
struct Opened {
    at: Instant,
    disk_bytes: u64,
}

#[derive(Default)]
struct State {
    groups: VecDeque<Group>,
    overlay: Overlay,
    logs: HashMap<Vec<u8>, LogState>,
    next_number: u64,
    /// A batch waits that is not lazy.
    urgent: bool,
    /// The group that the committer writes.
    writing: Option<Arc<Completion>>,
    /// The committer waits on `work`.
    idle: bool,
    closed: bool,
}

struct LogState {
    next: u64,
    head: Arc<watch::Sender<u64>>,
}

/// What the committer does next.
pub(in crate::storage) enum Next {
    /// Writes a group.
    Group(Group),
    /// Looks after what is not a write.
    Tick,
    /// Ends: the queue is closed and empty.
    End,
}

impl Queue {
    pub(in crate::storage) fn new(backend: Arc<dyn Backend>, seal: Seal) -> Result<Self, Error> {
        let opened = Opened { at: Instant::now(), disk_bytes: backend.disk_bytes()? };
        Ok(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            failed: watch::Sender::new(None),
            backend,
            observers: Observers::default(),
            seal: Mutex::new(seal),
            growth: Mutex::default(),
            opened,
        })
    }

    /// Enqueues a batch; its place in the order is that of this call.
    pub(in crate::storage) fn enqueue(&self, batch: Batch) -> Commit {
        let mut state = self.lock();
        if let Some(error) = self.refusal(&state) {
            return Commit::settled(Err(error));
        }
        let lazy = batch.is_lazy();
        if state.groups.back().is_none_or(is_full) {
            state.groups.push_back(Group::default());
        }
        let mut group = state.groups.pop_back().expect("pushed above where there was none");
        for op in batch.into_ops() {
            let (key, value) = match op {
                Op::Put(key, value) => (key, Some(value)),
                Op::Delete(key) => (key, None),
                Op::Append(log, value) => match self.next_in_log(&mut state, log) {
                    Ok((key, head)) => {
                        group.heads.push(head);
                        (key, Some(value))
                    }
                    Err(error) => {
                        // Part of the batch is in the group already, which must not become durable.
                        state.groups.push_back(group);
                        self.fail_locked(&mut state, error.clone());
                        return Commit::settled(Err(error));
                    }
                },
            };
            group.bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
            state.next_number += 1;
            let write = Enqueued { key, value, number: state.next_number };
            state.overlay.put(&write);
            group.writes.push(write);
        }
        let done = group.done.clone();
        state.groups.push_back(group);
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
    pub(in crate::storage) fn enqueued(&self, key: &[u8]) -> Option<Option<Value>> {
        self.lock().overlay.get(key)
    }

    /// The enqueued writes in a span, in the order of a scan.
    pub(in crate::storage) fn enqueued_within(
        &self,
        span: &Span,
        direction: Direction,
    ) -> Vec<(Vec<u8>, Option<Value>)> {
        self.lock().overlay.within(span, direction)
    }

    /// The last durable number of a log, as it grows.
    pub(in crate::storage) fn log_head(&self, log: &[u8]) -> Result<watch::Receiver<u64>, Error> {
        let mut state = self.lock();
        Ok(self.log_state(&mut state, log.to_vec())?.head.subscribe())
    }

    /// Commits since the store was opened.
    pub(in crate::storage) fn growth(&self) -> Result<Growth, Error> {
        let written = *self.growth.lock().expect("nobody panics while holding it");
        let disk_bytes = self.backend.disk_bytes()?;
        Ok(Growth {
            secs: self.opened.at.elapsed().as_secs(),
            disk_bytes: disk_bytes.cast_signed() - self.opened.disk_bytes.cast_signed(),
            ..written
        })
    }

    pub(in crate::storage) fn failed(&self) -> watch::Receiver<Option<Error>> {
        self.failed.subscribe()
    }

    /// Lets the committer end once it has written all that is enqueued.
    pub(in crate::storage) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.work.notify_one();
    }

    /// Waits for the next group, for `tick_due`, or for the end.
    pub(in crate::storage) fn next(&self, tick_due: Instant) -> Next {
        let mut state = self.lock();
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
                    Some(group) => {
                        state.urgent &= !state.groups.is_empty();
                        state.writing = Some(group.done.clone());
                        return Next::Group(group);
                    }
                    None if state.closed => return Next::End,
                    None => state.urgent = false,
                }
            }
            let due = lazy_due.map_or(tick_due, |due| due.min(tick_due));
            state.idle = true;
            let woken = self.work.wait_timeout(state, due.saturating_duration_since(now));
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.idle = false;
        }
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

    pub(in crate::storage) fn grow(&self, writes: &[Write<'_>], took: Duration) {
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

    /// Runs a thread of the store; a panic in it fails the store, so that the daemon ends with its words.
    pub(in crate::storage) fn guard<T>(
        &self,
        thread: &'static str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            let error = Error::Panicked { thread, why: crate::tasks::panic_text(&*panic) };
            self.fail(error.clone());
            error
        })
    }

    /// Refuses all writes from now on, those that wait included.
    pub(in crate::storage) fn fail(&self, error: Error) {
        self.fail_locked(&mut self.lock(), error);
    }

    /// Forgets the writes of a group that the backend now holds.
    pub(in crate::storage) fn settle(&self, writes: Vec<Enqueued>) {
        let mut state = self.lock();
        state.writing = None;
        state.overlay.settle(writes);
    }

    fn fail_locked(&self, state: &mut State, error: Error) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(%error, "the store failed; refusing further writes");
                *failed = Some(error.clone());
            }
            first
        });
        let waiting = state.groups.drain(..).map(|group| group.done);
        for done in waiting.chain(state.writing.take()) {
            done.finish(Err(error.clone()));
        }
    }

    /// Whatever a panic left behind the lock: after it nothing is written any more, and waiters must hear of it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(group: &Group) -> bool {
    group.writes.len() >= GROUP_WRITES || group.bytes >= GROUP_BYTES
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
