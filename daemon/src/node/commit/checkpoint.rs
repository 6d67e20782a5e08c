//! Checkpoints: the channel manager, all its monitor updates, and the transactions that bitcoind has not accepted,
//! written in one atomic batch.
//!
//! If each update were written by itself, a kill between an update and the next write of the manager would leave a
//! manager older than its monitors, and LDK force-closes such channels. Here updates are deferred, and a checkpoint
//! writes them in one batch with a manager of the same moment. LDK's output meanwhile waits at the
//! [gate](super::gate).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, ready};

use lightning::events::Event;
use lightning::io;
use lightning::ln::types::ChannelId;
use lightning::util::ser::{Writeable, Writer};
use tokio::time::{Instant, sleep_until};

use super::costs::Costs;
use super::deferred_persister::{DeferredStore, PendingWrites};
use super::gate::OutputGate;
use super::held_broadcaster::Packages;
use super::manager_rows::ManagerRows;
use super::types::{ChainMonitor, ChannelManager, HeldBroadcaster};
use crate::node::ldk::slots::BROADCASTS;
use crate::storage::{Commit, Error, KvStore, KvWrite};
use crate::tasks::Outcome;

/// Pause after a checkpoint, as a multiple of the time that encoding the manager took.
///
/// The encoding grows with the number of channels, and must not crowd out payments: it takes at most a fifth of a core.
const REST: u32 = 4;

/// What a checkpoint is made of, and what it releases.
pub struct CheckpointParts {
    /// The manager that is written.
    pub channel_manager: Arc<ChannelManager>,
    /// Hears which monitor updates are durable.
    pub chain_monitor: Arc<ChainMonitor>,
    /// Monitor updates that wait for the next checkpoint.
    pub deferred: Arc<DeferredStore>,
    /// Releases messages and transactions.
    pub gate: Arc<OutputGate>,
    /// Transactions that wait, and those that bitcoind has not accepted.
    pub broadcasts: Arc<HeldBroadcaster>,
    /// Where checkpoints are written.
    pub kv: Arc<KvStore>,
    /// Counts what checkpoints cost.
    pub costs: Costs,
}

/// Takes checkpoints of a node and releases the output that waits for them.
///
/// One is in progress at a time, so that a busy node takes them as often as the disk allows and no more often; but an
/// event that must not be reported too early does not wait for that. Only the processing loop uses them.
pub struct Checkpoints<'a> {
    parts: &'a CheckpointParts,
    /// Called when the store's queue holds a checkpoint without any of the events handled so far.
    taken: &'a (dyn Fn() + Send + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// LDK has reported a change of its manager since the last checkpoint.
    dirty: bool,
    /// LDK has made no events since the last checkpoint without reporting a change.
    surely_unchanged: bool,
    /// When the next checkpoint may begin.
    rest_until: Option<Instant>,
    in_progress: VecDeque<InProgress>,
    /// The transactions of the last checkpoint, which need not be written again; unknown after a start.
    broadcasts: Option<Packages>,
    /// How the last manager was written.
    rows: ManagerRows,
    /// Kept for its memory: the next manager is encoded into it.
    buffer: Vec<u8>,
}

struct InProgress {
    began: Instant,
    commit: Commit,
    number: u64,
    /// Monitor updates that LDK waits for.
    updates: Vec<(ChannelId, u64)>,
}

/// The rest of a checkpoint, of the same moment as the manager.
struct Moment {
    number: u64,
    pending: PendingWrites,
    broadcasts: Packages,
}

impl<'a> Checkpoints<'a> {
    /// Takes checkpoints of `parts`; `taken` is called for each that was not taken between events.
    pub fn new(parts: &'a CheckpointParts, taken: &'a (dyn Fn() + Send + Sync)) -> Self {
        Self { parts, taken, state: Mutex::default() }
    }

    /// Begins a checkpoint if something waits for it and the pause is over.
    pub fn begin_if_due(&self) {
        let rest_until = self.state().rest_until;
        let rested = rest_until.is_none_or(|moment| Instant::now() >= moment);
        if rested && self.is_idle() && self.is_wanted() {
            self.take();
            (self.taken)();
        }
    }

    /// Call it before LDK processes events: it may make some, and report the change only after they are handled.
    pub fn before_events(&self) {
        self.state().surely_unchanged = false;
    }

    /// Call it before an event is handled: enqueues the state it follows from, so that no record of it is durable
    /// earlier.
    ///
    /// Such a checkpoint still holds events that were handled a moment ago: LDK drops them once all are handled.
    pub fn cover(&self, event: &Event) {
        if is_reported(event) && !self.is_unchanged() {
            self.take();
        }
    }

    /// Completes when the first checkpoint in progress is durable and its output is released, or when one is wanted
    /// and due; otherwise never. Cancel safe.
    pub async fn durable_or_due(&self) -> Outcome {
        let wanted = self.is_idle() && self.is_wanted();
        let due = wanted.then(|| self.state().rest_until.unwrap_or_else(Instant::now));
        tokio::select! {
            durable = self.first_durable() => self.release(durable?),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => (),
        }
        Ok(())
    }

    /// Takes checkpoints until nothing changes any more.
    pub async fn finish(&self) -> Outcome {
        while self.is_wanted() || !self.is_idle() {
            if self.is_wanted() {
                self.take();
                (self.taken)();
            }
            self.release(self.first_durable().await?);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    fn is_idle(&self) -> bool {
        self.state().in_progress.is_empty()
    }

    fn is_wanted(&self) -> bool {
        // What bitcoind has accepted is removed from the store soon, or the next start would send it again.
        let settled = self.parts.broadcasts.settle();
        self.state().dirty |= settled;
        self.is_dirty() || !self.parts.deferred.is_empty() || self.parts.gate.wants_checkpoint()
    }

    /// Returns whether LDK has reported a change of its manager since the last checkpoint.
    fn is_dirty(&self) -> bool {
        let changed = self.parts.channel_manager.get_and_clear_needs_persistence();
        let mut state = self.state();
        state.dirty |= changed;
        state.dirty
    }

    /// Returns whether the last checkpoint holds everything that LDK has done by now.
    fn is_unchanged(&self) -> bool {
        // LDK shows an event a moment before it reports the change; it does so before this lock is free.
        drop(self.parts.channel_manager.write(&mut Refusing));
        !self.is_dirty() && self.parts.deferred.is_empty() && self.state().surely_unchanged
    }

    fn take(&self) {
        let buffer = {
            let mut state = self.state();
            (state.dirty, state.surely_unchanged) = (false, true);
            std::mem::take(&mut state.buffer)
        };
        let began = Instant::now();
        let mut moment = None;
        let mut encoding = Encoding { bytes: buffer, at_first: Some(|| moment = Some(self.now())) };
        self.parts.channel_manager.write(&mut encoding).expect("memory takes all bytes");
        let mut manager = encoding.bytes;
        let Moment { number, pending, broadcasts } =
            moment.expect("a manager has at least a version");
        let ended = Instant::now();

        let mut state = self.state();
        state.rest_until = Some(ended + (ended - began) * REST);
        let changed = state.broadcasts.as_ref() != Some(&broadcasts);
        let slot = changed.then(|| BROADCASTS.holding(broadcasts.encode()));
        state.broadcasts = Some(broadcasts);
        let rows = state.rows.writes(&mut manager);
        state.buffer = manager;
        let writes: Vec<KvWrite> = pending.writes.into_iter().chain(rows).chain(slot).collect();
        self.parts.costs.add_writes(&writes);
        let commit = self.parts.kv.commit_all(writes);
        state.in_progress.push_back(InProgress { began, commit, number, updates: pending.updates });
    }

    /// Called under LDK's lock, while its manager cannot change.
    fn now(&self) -> Moment {
        Moment {
            number: self.parts.gate.begin(),
            pending: self.parts.deferred.take(),
            broadcasts: self.parts.broadcasts.unsent(),
        }
    }

    async fn first_durable(&self) -> Result<InProgress, Error> {
        poll_fn(|context| {
            let mut state = self.state();
            let Some(first) = state.in_progress.front_mut() else { return Poll::Pending };
            ready!(Pin::new(&mut first.commit).poll(context))?;
            Poll::Ready(Ok(state.in_progress.pop_front().expect("polled above")))
        })
        .await
    }

    /// Messages leave when the peer manager runs next.
    fn release(&self, durable: InProgress) {
        self.parts.gate.pass(durable.number);
        self.parts.costs.add_time(durable.began.elapsed());
        self.parts.broadcasts.release();
        for (channel_id, update) in durable.updates {
            if let Err(error) = self.parts.chain_monitor.channel_monitor_updated(channel_id, update)
            {
                tracing::error!(?error, %channel_id, update, "could not report a durable monitor update to LDK");
            }
        }
    }
}

/// Returns whether an event is reported or counted: then a crash must not undo it after the report.
///
/// The others teach, continue something, are broadcasts (which wait at the gate themselves), or stay true after a
/// crash: a preimage stays known, and an HTLC was failed even if it is handled once more. Anybody can make an HTLC fail,
/// for free: a checkpoint for each would let a stranger fill the disk.
fn is_reported(event: &Event) -> bool {
    !matches!(
        event,
        Event::OpenChannelRequest { .. }
            | Event::FundingGenerationReady { .. }
            | Event::HTLCHandlingFailed { .. }
            | Event::PaymentClaimable { .. }
            | Event::PaymentSent { .. }
            | Event::PaymentPathSuccessful { .. }
            | Event::PaymentPathFailed { .. }
            | Event::ProbeSuccessful { .. }
            | Event::ProbeFailed { .. }
            | Event::BumpTransaction { .. }
            | Event::ConnectionNeeded { .. }
    )
}

/// Collects LDK's bytes, and notices the moment of the first one.
///
/// LDK writes its manager under a lock that all changes to channels take: nothing changes from the first byte to the
/// last, and the monitor updates pending at the first are those that the manager knows.
struct Encoding<F> {
    bytes: Vec<u8>,
    at_first: Option<F>,
}

impl<F: FnOnce()> Writer for Encoding<F> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        if let Some(at_first) = self.at_first.take() {
            at_first();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Refuses the first byte: LDK only takes and releases its lock.
struct Refusing;

impl Writer for Refusing {
    fn write_all(&mut self, _: &[u8]) -> Result<(), io::Error> {
        Err(io::Error::new(io::ErrorKind::Other, "only the lock is wanted"))
    }
}

#[cfg(test)]
mod tests {
    use lightning::events::HTLCHandlingFailureType;

    use super::*;

    #[test]
    fn the_moment_is_that_of_the_first_byte() {
        let mut moments = 0;
        let mut encoding = Encoding { bytes: Vec::new(), at_first: Some(|| moments += 1) };
        (1_u8, 2_u8).write(&mut encoding).expect("memory takes all bytes");
        assert_eq!(encoding.bytes, [1, 2]);
        assert_eq!(moments, 1);
        assert!((1_u8, 2_u8).write(&mut Refusing).is_err());
    }

    #[test]
    fn reported_and_counted_events_are_covered() {
        let failed = Event::PaymentFailed {
            payment_id: lightning::ln::channelmanager::PaymentId([1; 32]),
            payment_hash: None,
            reason: None,
        };
        assert!(is_reported(&failed));
        let stranger = Event::HTLCHandlingFailed {
            prev_channel_id: ChannelId([1; 32]),
            failure_type: HTLCHandlingFailureType::InvalidOnion,
            failure_reason: None,
        };
        assert!(!is_reported(&stranger));
        let found = Event::ProbeSuccessful {
            payment_id: lightning::ln::channelmanager::PaymentId([1; 32]),
            payment_hash: lightning::types::payment::PaymentHash([1; 32]),
            path: lightning::routing::router::Path { hops: Vec::new(), blinded_tail: None },
        };
        assert!(!is_reported(&found));
    }
}
