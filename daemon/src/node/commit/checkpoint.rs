//! Checkpoints: the channel manager, all monitor updates that it made, and the transactions that it sent and bitcoind
//! has not taken, durable together or not at all.
//!
//! With each update written for itself, a kill between an update and the next write of the manager leaves a manager
//! older than its monitors, and LDK closes such channels by force. Here updates are held back, and a checkpoint
//! writes them in one batch with a manager of the same moment. What LDK says meanwhile waits at the [gate](super::gate).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, ready};

use lightning::events::Event;
use lightning::io;
use lightning::ln::types::ChannelId;
use lightning::util::ser::{Writeable, Writer};
use tokio::time::{Instant, sleep_until};

use super::Node;
use super::broadcasts::Packages;
use super::restore::{BROADCASTS, MANAGER};
use super::together::Held;
use crate::storage::{Commit, Error};
use crate::tasks::Outcome;

/// After a checkpoint comes a rest of so many times as long as the encoding of the manager took: it grows with the
/// payments of the last minutes, and storing it must not crowd out the payments of this one.
const REST: u32 = 4;

/// Takes checkpoints of a node and lets out what waits for them.
///
/// One is under way at a time, so that a busy node takes them as often as the disk allows and no more often; but an
/// event that must not be told too early does not wait for that. Only the processing loop uses them.
pub struct Checkpoints<'a> {
    node: &'a Node,
    /// Told when a checkpoint is in the store's queue that holds none of the events handled so far.
    taken: &'a (dyn Fn() + Send + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// LDK has said that its manager has changed since the last checkpoint.
    dirty: bool,
    /// No events were made since the last checkpoint without a word of it.
    surely_unchanged: bool,
    /// When the next one may begin.
    rest_until: Option<Instant>,
    under_way: VecDeque<UnderWay>,
    /// The transactions of the last checkpoint, which need not be written again; not known after a start.
    broadcasts: Option<Packages>,
}

struct UnderWay {
    began: Instant,
    commit: Commit,
    number: u64,
    /// Updates that LDK waits for.
    updates: Vec<(ChannelId, u64)>,
}

/// What belongs to a checkpoint beside the manager.
struct Moment {
    number: u64,
    held: Held,
    broadcasts: Packages,
}

impl<'a> Checkpoints<'a> {
    /// Checkpoints of `node`; `taken` is called for each that was not taken in the midst of events.
    pub fn new(node: &'a Node, taken: &'a (dyn Fn() + Send + Sync)) -> Self {
        Self { node, taken, state: Mutex::default() }
    }

    /// Begins one if something waits for it and it is time.
    pub fn begin_if_due(&self) {
        let rest_until = self.state().rest_until;
        let rested = rest_until.is_none_or(|moment| Instant::now() >= moment);
        if rested && self.is_none_under_way() && self.is_wanted() {
            self.take();
            (self.taken)();
        }
    }

    /// LDK is about to look for events: it may make some, and say that it has changed only after they are handled.
    pub fn before_events(&self) {
        self.state().surely_unchanged = false;
    }

    /// Before an event is acted on: enqueues what it follows from, so that no record of it is durable earlier.
    ///
    /// Such a checkpoint still holds events that were handled a moment ago: LDK drops them once all are.
    pub fn cover(&self, event: &Event) {
        if tells_the_user(event) && !self.is_unchanged() {
            self.take();
        }
    }

    /// Completes when the first checkpoint under way is durable and what waited for it is on its way, or when one
    /// is wanted and its time has come; else never. May be dropped and called again.
    pub async fn durable_or_due(&self) -> Outcome {
        let wanted = self.is_none_under_way() && self.is_wanted();
        let due = wanted.then(|| self.state().rest_until.unwrap_or_else(Instant::now));
        tokio::select! {
            durable = self.first_durable() => self.tell(durable?),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => (),
        }
        Ok(())
    }

    /// Takes the last ones, until nothing changes any more.
    pub async fn finish(&self) -> Outcome {
        while self.is_wanted() || !self.is_none_under_way() {
            if self.is_wanted() {
                self.take();
                (self.taken)();
            }
            self.tell(self.first_durable().await?);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    fn is_none_under_way(&self) -> bool {
        self.state().under_way.is_empty()
    }

    fn is_wanted(&self) -> bool {
        // What bitcoind has taken leaves the store soon, or the next start would send it again.
        let settled = self.node.broadcasts.settle();
        self.state().dirty |= settled;
        self.is_dirty() || !self.node.held.is_empty() || self.node.gate.wants_checkpoint()
    }

    /// Whether LDK has said that its manager has changed since the last checkpoint.
    fn is_dirty(&self) -> bool {
        let changed = self.node.channel_manager.get_and_clear_needs_persistence();
        let mut state = self.state();
        state.dirty |= changed;
        state.dirty
    }

    /// Whether all that LDK has done by now is in the last checkpoint.
    fn is_unchanged(&self) -> bool {
        // LDK shows an event a moment before it says that it has changed; it says so before this lock is free.
        drop(self.node.channel_manager.write(&mut Refusing));
        !self.is_dirty() && self.node.held.is_empty() && self.state().surely_unchanged
    }

    fn take(&self) {
        {
            let mut state = self.state();
            (state.dirty, state.surely_unchanged) = (false, true);
        }
        let began = Instant::now();
        let mut moment = None;
        let mut encoding =
            Encoding { bytes: Vec::new(), at_first: Some(|| moment = Some(self.now())) };
        self.node.channel_manager.write(&mut encoding).expect("memory takes all bytes");
        let manager = MANAGER.holding(encoding.bytes);
        let Moment { number, held, broadcasts } = moment.expect("a manager has at least a version");
        let ended = Instant::now();

        let mut state = self.state();
        state.rest_until = Some(ended + (ended - began) * REST);
        let changed = state.broadcasts.as_ref() != Some(&broadcasts);
        let slot = changed.then(|| BROADCASTS.holding(broadcasts.encode()));
        state.broadcasts = Some(broadcasts);
        let writes = held.writes.into_iter().chain([manager]).chain(slot);
        let commit = self.node.kv.commit_all(writes);
        state.under_way.push_back(UnderWay { began, commit, number, updates: held.updates });
    }

    /// Called while LDK's manager stands still.
    fn now(&self) -> Moment {
        Moment {
            number: self.node.gate.begin(),
            held: self.node.held.take(),
            broadcasts: self.node.broadcasts.unsent(),
        }
    }

    async fn first_durable(&self) -> Result<UnderWay, Error> {
        poll_fn(|context| {
            let mut state = self.state();
            let Some(first) = state.under_way.front_mut() else { return Poll::Pending };
            ready!(Pin::new(&mut first.commit).poll(context))?;
            Poll::Ready(Ok(state.under_way.pop_front().expect("polled above")))
        })
        .await
    }

    /// Messages go out when the peer manager is run next.
    fn tell(&self, durable: UnderWay) {
        self.node.gate.pass(durable.number);
        self.node.checkpoint_times.add(durable.began.elapsed());
        self.node.broadcasts.release();
        for (channel_id, update) in durable.updates {
            if let Err(error) = self.node.chain_monitor.channel_monitor_updated(channel_id, update)
            {
                tracing::error!(?error, %channel_id, update, "LDK does not know a durable update");
            }
        }
    }
}

/// Whether somebody is told of an event, or it is counted: then it must not be told and undone by a crash.
///
/// The others teach, go on with something, are broadcasts (which wait at the gate themselves), or are as true after
/// a crash: a preimage is known for ever.
fn tells_the_user(event: &Event) -> bool {
    !matches!(
        event,
        Event::OpenChannelRequest { .. }
            | Event::FundingGenerationReady { .. }
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

/// Takes LDK's bytes, and notices the moment at which it begins to write them.
///
/// LDK writes its manager under a lock that all changes to channels hold: from the first byte to the last nothing
/// moves, and what is held of the monitors at the first is what the manager knows of them.
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

/// Takes nothing: LDK only takes its lock and leaves it.
struct Refusing;

impl Writer for Refusing {
    fn write_all(&mut self, _: &[u8]) -> Result<(), io::Error> {
        Err(io::Error::new(io::ErrorKind::Other, "nothing is to be written"))
    }
}

#[cfg(test)]
mod tests {
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
    fn what_is_counted_or_told_is_covered() {
        let failed = Event::PaymentFailed {
            payment_id: lightning::ln::channelmanager::PaymentId([1; 32]),
            payment_hash: None,
            reason: None,
        };
        assert!(tells_the_user(&failed));
        let found = Event::ProbeSuccessful {
            payment_id: lightning::ln::channelmanager::PaymentId([1; 32]),
            payment_hash: lightning::types::payment::PaymentHash([1; 32]),
            path: lightning::routing::router::Path { hops: Vec::new(), blinded_tail: None },
        };
        assert!(!tells_the_user(&found));
    }
}
