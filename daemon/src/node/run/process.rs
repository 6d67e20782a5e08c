//! The processing loop: passes LDK's events on, forwards HTLCs, takes checkpoints, runs LDK's timers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lightning::events::{Event, ReplayEvent};
use lightning::sign::EntropySource;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::announce::NodeAnnouncer;
use super::heal::{self, Healer};
use super::replay::Replay;
use super::sweep;
use crate::node::Node;
use crate::node::commit::checkpoint::Checkpoints;
use crate::node::commit::finished::Finished;
use crate::node::ldk::slots::{GRAPH, SCORER};
use crate::storage::Commit;
use crate::tasks::Outcome;

/// The outcome of an event; [`ReplayEvent`] makes LDK repeat it.
pub type Handled = Pin<Box<dyn Future<Output = Result<(), ReplayEvent>> + Send>>;

/// Callbacks into the rooms above, which the node does not know.
pub struct Outlet {
    /// Handles one event; LDK waits with the next.
    pub event: Box<dyn Fn(Event) -> Handled + Send + Sync>,
    /// Called when the store's queue holds a manager without any of the events handled so far.
    pub manager_stored: Box<dyn Fn() + Send + Sync>,
    /// Called when all events that were stored before the start have been replayed.
    pub replay_ended: Box<dyn Fn() + Send + Sync>,
}

const CHANNEL_TICK: Duration = Duration::from_secs(60);
const PEER_TICK: Duration = Duration::from_secs(10);
const REBROADCAST_TICK: Duration = Duration::from_secs(30);
const KNOWLEDGE_TICK: Duration = Duration::from_secs(300);
const PRUNE_TICK: Duration = Duration::from_secs(3600);

/// Runs until `stopping`, then stores what changed last.
///
/// Safe at a kill between any two lines: LDK forgets an event only in a checkpoint that is taken after the event was
/// handled, the state that the event follows from is in the queue before the event is handled, and the store makes
/// writes durable in the order in which they were enqueued: at worst an event is replayed.
pub async fn run(node: Arc<Node>, outlet: Outlet, stopping: CancellationToken) -> Outcome {
    let mut timers = Timers::new();
    let checkpoints = Checkpoints::new(&node.commit, &*outlet.manager_stored);
    let replay = Replay::default();
    let finished = Finished::at_start(&node.channel_manager);
    let handle = |event: Event| {
        checkpoints.cover(&event);
        finished.note(&event);
        let handled = (outlet.event)(event);
        let replay = &replay;
        Box::pin(async move {
            let outcome = handled.await;
            replay.record(&outcome);
            outcome
        })
    };
    let mut forward_at: Option<Instant> = None;
    checkpoints.before_events();
    node.channel_manager.process_pending_events_async(handle).await;
    finished.forget(&node.channel_manager);
    node.chain_monitor.process_pending_events_async(handle).await;
    (outlet.replay_ended)();
    while !stopping.is_cancelled() {
        let manager_changed = node.channel_manager.get_event_or_persistence_needed_future();
        let monitor_changed = node.chain_monitor.get_update_future();
        let message_changed = node.onion_messenger.get_update_future();

        let paused_until = replay.pause_until()?;
        if paused_until.is_none() {
            // Events first: a failure has to be learnt before LDK retries the payment.
            checkpoints.before_events();
            node.channel_manager.process_pending_events_async(handle).await;
            finished.forget(&node.channel_manager);
            forward_at = forward(&node, forward_at);
            node.chain_monitor.process_pending_events_async(handle).await;
            node.onion_messenger.process_pending_events_async(handle).await;
        }
        node.peer_manager.process_events();
        checkpoints.begin_if_due();

        let replay_at = replay.pause_until()?;
        tokio::select! {
            () = stopping.cancelled() => (),
            () = node.wake.notified() => (),
            () = manager_changed => (),
            () = monitor_changed => (),
            () = message_changed => (),
            () = sleep_until(forward_at.unwrap_or_else(Instant::now)), if forward_at.is_some() => (),
            () = sleep_until(replay_at.unwrap_or_else(Instant::now)), if replay_at.is_some() => (),
            () = node.commit.deferred.added() => (),
            () = node.commit.gate.output_waits() => (),
            durable_or_due = checkpoints.durable_or_due() => durable_or_due?,
            tick = timers.next() => tick.act(&node),
        }
    }
    checkpoints.before_events();
    node.channel_manager.process_pending_events_async(handle).await;
    finished.forget(&node.channel_manager);
    checkpoints.finish().await?;
    GRAPH.write(&node.kv, &*node.graph).await?;
    store_scorer(&node).await?;
    node.keep_beliefs().await?;
    Ok(())
}

/// Forwards and claims HTLCs that have waited long enough; returns when to call it again.
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

/// The timers that LDK requires of its user, and our own.
struct Timers {
    channels: tokio::time::Interval,
    peers: tokio::time::Interval,
    rebroadcast: tokio::time::Interval,
    gossip: tokio::time::Interval,
    knowledge: tokio::time::Interval,
    prune: tokio::time::Interval,
    announcer: NodeAnnouncer,
    healer: Healer,
}

enum Tick<'a> {
    Channels,
    Peers,
    Rebroadcast,
    Gossip(&'a mut NodeAnnouncer, &'a mut Healer),
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
            gossip: every(heal::TICK),
            knowledge: every(KNOWLEDGE_TICK),
            prune: every(PRUNE_TICK),
            announcer: NodeAnnouncer::default(),
            healer: Healer::default(),
        }
    }

    async fn next(&mut self) -> Tick<'_> {
        tokio::select! {
            _ = self.channels.tick() => Tick::Channels,
            _ = self.peers.tick() => Tick::Peers,
            _ = self.rebroadcast.tick() => Tick::Rebroadcast,
            _ = self.gossip.tick() => Tick::Gossip(&mut self.announcer, &mut self.healer),
            _ = self.knowledge.tick() => Tick::Knowledge,
            _ = self.prune.tick() => Tick::Prune,
        }
    }
}

impl Tick<'_> {
    fn act(self, node: &Node) {
        match self {
            Tick::Channels => {
                // LDK forces a close whose negotiation outlasts two ticks on one connection; the next one begins anew.
                for peer in node.closes.peers_that_disagree() {
                    node.peer_manager.disconnect_by_node_id(peer);
                }
                node.channel_manager.timer_tick_occurred();
                node.logger.report_suppressed();
            }
            Tick::Peers => {
                node.peer_manager.timer_tick_occurred();
                lightning::ln::msgs::OnionMessageHandler::timer_tick_occurred(
                    &*node.onion_messenger,
                );
            }
            Tick::Rebroadcast => {
                node.chain_monitor.rebroadcast_pending_claims();
                node.commit.broadcasts.retry();
                sweep::retry(node);
            }
            Tick::Gossip(announcer, healer) => {
                announcer.announce_if_due(node);
                healer.heal(node);
            }
            Tick::Knowledge => {
                // Not awaited: what a crash loses of them is learnt again.
                drop(GRAPH.write(&node.kv, &*node.graph));
                drop(store_scorer(node));
                drop(node.keep_beliefs());
            }
            Tick::Prune => {
                node.graph.remove_stale_channels_and_tracking();
                node.chain_monitor.archive_fully_resolved_channel_monitors();
            }
        }
    }
}
