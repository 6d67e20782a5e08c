//! Drives LDK: events out, HTLCs onwards, state into the store, timers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lightning::events::{Event, ReplayEvent};
use lightning::sign::EntropySource;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpoints;
use super::restore::{BELIEFS, GRAPH, SCORER, StoredBeliefs};
use super::{Node, gossip, sweep};
use crate::storage::Commit;
use crate::tasks::Outcome;

/// What becomes of an event; [`ReplayEvent`] asks LDK to tell it again.
pub type Handled = Pin<Box<dyn Future<Output = Result<(), ReplayEvent>> + Send>>;

/// Who is told of what LDK says; handed in, since the node does not know the rooms above.
pub struct Outlet {
    /// Handles one event; the next one comes after it is handled.
    pub event: Box<dyn Fn(Event) -> Handled + Send + Sync>,
    /// The manager as it is now is in the store's queue: LDK has forgotten the events handled so far.
    pub manager_stored: Box<dyn Fn() + Send + Sync>,
    /// All events that were stored before the start have been told again.
    pub replay_ended: Box<dyn Fn() + Send + Sync>,
}

const CHANNEL_TICK: Duration = Duration::from_secs(60);
const PEER_TICK: Duration = Duration::from_secs(10);
const REBROADCAST_TICK: Duration = Duration::from_secs(30);
const KNOWLEDGE_TICK: Duration = Duration::from_secs(300);
const PRUNE_TICK: Duration = Duration::from_secs(3600);

/// Runs until `stopping`, then stores what changed last.
///
/// Safe at a kill between any two lines: an event is forgotten by LDK only in a checkpoint that is taken
/// after the event was handled, what LDK knew is in the queue before anybody is told of the event, and the store
/// makes writes durable in the order in which they were made: at worst an event is told again.
pub async fn run(node: Arc<Node>, outlet: Outlet, stopping: CancellationToken) -> Outcome {
    let mut timers = Timers::new();
    let checkpoints = Checkpoints::new(&node, &*outlet.manager_stored);
    let handle = |event: Event| {
        checkpoints.cover(&event);
        (outlet.event)(event)
    };
    let mut forward_at: Option<Instant> = None;
    checkpoints.before_events();
    node.channel_manager.process_pending_events_async(handle).await;
    node.chain_monitor.process_pending_events_async(handle).await;
    (outlet.replay_ended)();
    while !stopping.is_cancelled() {
        let manager_changed = node.channel_manager.get_event_or_persistence_needed_future();
        let monitor_changed = node.chain_monitor.get_update_future();
        let message_changed = node.onion_messenger.get_update_future();

        // Events first: what a failure teaches has to be known before LDK retries the payment.
        checkpoints.before_events();
        node.channel_manager.process_pending_events_async(handle).await;
        forward_at = forward(&node, forward_at);
        node.chain_monitor.process_pending_events_async(handle).await;
        node.onion_messenger.process_pending_events_async(handle).await;
        node.peer_manager.process_events();
        checkpoints.begin_if_due();

        tokio::select! {
            () = stopping.cancelled() => (),
            () = node.wake.notified() => (),
            () = manager_changed => (),
            () = monitor_changed => (),
            () = message_changed => (),
            () = sleep_until(forward_at.unwrap_or_else(Instant::now)), if forward_at.is_some() => (),
            () = node.held.more() => (),
            () = node.gate.someone_waits() => (),
            durable_or_due = checkpoints.durable_or_due() => durable_or_due?,
            tick = timers.next() => tick.act(&node),
        }
    }
    checkpoints.before_events();
    node.channel_manager.process_pending_events_async(handle).await;
    checkpoints.finish().await?;
    GRAPH.write(&node.kv, &*node.graph).await?;
    store_scorer(&node).await?;
    store_beliefs(&node).await?;
    Ok(())
}

/// Forwards and claims what has waited long enough; returns when to look again.
fn forward(node: &Node, due: Option<Instant>) -> Option<Instant> {
    if !node.channel_manager.needs_pending_htlc_processing() {
        return None;
    }
    let longest_ms = node.config.forward_delay_ms;
    if longest_ms == 0 {
        node.channel_manager.process_pending_htlc_forwards();
        return None;
    }
    match due {
        Some(due) if due <= Instant::now() => {
            node.channel_manager.process_pending_htlc_forwards();
            None
        }
        Some(due) => Some(due),
        None => {
            let random = node.keys.get_secure_random_bytes();
            let random = u64::from_le_bytes(random[..8].try_into().expect("eight of 32 bytes"));
            Some(Instant::now() + Duration::from_millis(random % longest_ms.saturating_add(1)))
        }
    }
}

fn store_scorer(node: &Node) -> Commit {
    let scorer = node.scorer.read().expect("no panic while held");
    SCORER.write(&node.kv, &*scorer)
}

fn store_beliefs(node: &Node) -> Commit {
    let rows = node.router.planner().believed().export().collect();
    BELIEFS.write(&node.kv, &StoredBeliefs(rows))
}

/// The clockwork that LDK asks its user for.
struct Timers {
    channels: tokio::time::Interval,
    peers: tokio::time::Interval,
    rebroadcast: tokio::time::Interval,
    announce: tokio::time::Interval,
    knowledge: tokio::time::Interval,
    prune: tokio::time::Interval,
    announcer: gossip::Announcer,
}

enum Tick<'a> {
    Channels,
    Peers,
    Rebroadcast,
    Announce(&'a mut gossip::Announcer),
    Knowledge,
    Prune,
}

impl Timers {
    fn new() -> Self {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
            ticks
        };
        Self {
            channels: every(CHANNEL_TICK),
            peers: every(PEER_TICK),
            rebroadcast: every(REBROADCAST_TICK),
            announce: every(gossip::TICK),
            knowledge: every(KNOWLEDGE_TICK),
            prune: every(PRUNE_TICK),
            announcer: gossip::Announcer::default(),
        }
    }

    async fn next(&mut self) -> Tick<'_> {
        tokio::select! {
            _ = self.channels.tick() => Tick::Channels,
            _ = self.peers.tick() => Tick::Peers,
            _ = self.rebroadcast.tick() => Tick::Rebroadcast,
            _ = self.announce.tick() => Tick::Announce(&mut self.announcer),
            _ = self.knowledge.tick() => Tick::Knowledge,
            _ = self.prune.tick() => Tick::Prune,
        }
    }
}

impl Tick<'_> {
    fn act(self, node: &Node) {
        match self {
            Tick::Channels => node.channel_manager.timer_tick_occurred(),
            Tick::Peers => {
                node.peer_manager.timer_tick_occurred();
                lightning::ln::msgs::OnionMessageHandler::timer_tick_occurred(
                    &*node.onion_messenger,
                );
            }
            Tick::Rebroadcast => {
                node.chain_monitor.rebroadcast_pending_claims();
                node.broadcasts.retry();
                sweep::retry(node);
            }
            Tick::Announce(announcer) => {
                announcer.announce_if_due(node);
                announcer.heal(node);
            }
            Tick::Knowledge => {
                // Lost at a crash, both are learnt again: nobody waits for them.
                drop(GRAPH.write(&node.kv, &*node.graph));
                drop(store_scorer(node));
                drop(store_beliefs(node));
            }
            Tick::Prune => {
                node.graph.remove_stale_channels_and_tracking();
                node.chain_monitor.archive_fully_resolved_channel_monitors();
            }
        }
    }
}
