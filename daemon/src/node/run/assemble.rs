//! Wires LDK's parts together, in the order in which they need each other.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::{BlockHash, Network};
use lightning::chain::BestBlock;
use lightning::chain::chainmonitor::Persist;
use lightning::events::bump_transaction::sync::WalletSync;
use lightning::ln::channelmanager::ChainParameters;
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler};
use lightning::sign::{EntropySource, InMemorySigner, NodeSigner};
use lightning::util::config::UserConfig;
use tokio::sync::{Notify, watch};

use super::catch_up::Assembled;
use super::restore;
use crate::admission::AdmissionCheck;
use crate::chain::UtxoCheck;
use crate::clock::Clock;
use crate::feerates::Feerates;
use crate::metrics::Durations;
use crate::node::commit::buckets::Buckets;
use crate::node::commit::checkpoint::CheckpointParts;
use crate::node::commit::deferred_persister::{DeferredPersister, DeferredStore};
use crate::node::commit::gate::OutputGate;
use crate::node::commit::held_messages::HeldMessages;
use crate::node::commit::types::{
    Bumper, ChainMonitor, ChannelManager, ChannelManagerReadArgs, DeferredMonitorPersister,
    HeldBroadcaster, MonitorPersister, OnionMessenger, PeerManager,
};
use crate::node::gossip::answer::QueryResponder;
use crate::node::gossip::order::{OrderedGossip, Resolving};
use crate::node::gossip::spent::SpentChannels;
use crate::node::ldk::keys::Keys;
use crate::node::ldk::logger::Logger;
use crate::node::ldk::offer_requests::OfferRequests;
use crate::node::ldk::slots::Error;
use crate::node::ldk::types::{
    Broadcaster, ChannelMonitor, GossipSync, Graph, MessageRouter, Scorer, Sweeper,
};
use crate::node::negotiation::closes::{ClosePolicy, Closes, LookUp, Sides};
use crate::node::planner::router::NodeRouter;
use crate::node::{Config, Node};
use crate::storage::{KvStore, Store};
use crate::wallet::Wallet;

/// What the node is built from.
pub struct Materials {
    /// Section `[node]`.
    pub config: Config,
    /// LDK's defaults for new channels; existing ones keep what they agreed on.
    pub user_config: UserConfig,
    /// The chain.
    pub network: Network,
    /// The 32 bytes that all Lightning keys are derived from.
    pub seed: [u8; 32],
    /// Where everything is stored.
    pub store: Store,
    /// Sends transactions.
    pub broadcaster: Arc<Broadcaster>,
    /// How the fees of closes are negotiated.
    pub close_policy: ClosePolicy,
    /// Estimates feerates.
    pub feerates: Arc<Feerates>,
    /// The on-chain wallet.
    pub wallet: Wallet,
    /// Checks announced channels against the chain.
    pub utxo_check: Arc<UtxoCheck>,
    /// The best block of a node that has no state yet.
    pub tip: BestBlock,
    /// Lets LDK wait for its monitor updates; see [`DeferredPersister`].
    pub async_persistence: bool,
    /// The wall clock.
    pub clock: Clock,
    /// While it refuses, HTLCs are failed back.
    pub admission: AdmissionCheck,
}

/// Restores all parts, or makes those that were never stored.
///
/// # Errors
/// Fails if a stored part cannot be read; then nothing has been changed.
pub fn assemble(materials: Materials) -> Result<Assembled, Error> {
    let ground = Ground::new(&materials);
    let output = Output::new(&materials, &ground)?;
    let monitors = restore::monitors(&stored_monitors(&materials, &ground, &output))?;
    let chain_monitor = Arc::new(chain_monitor(&materials, &ground, &output));
    let routing = Routing::restore(&materials, &ground)?;
    let channel_manager =
        channel_manager(&materials, &ground, &output, &routing, &chain_monitor, &monitors)?;
    let channel_manager = Arc::new(channel_manager);
    let manager_best = channel_manager.current_best_block();
    let (sweeper_best, sweeper) = sweeper(&materials, &ground, manager_best)?;
    let offer_requests = Arc::new(OfferRequests::new(channel_manager.clone(), ground.keys.clone()));
    let onion_messenger =
        Arc::new(onion_messenger(&ground, &routing, &channel_manager, &offer_requests));
    let gossip = Gossip::new(&materials, &ground, &routing);
    let closes = Arc::new(closes(&materials, &channel_manager));
    let messages = HeldMessages::new(
        channel_manager.clone(),
        output.message_gate.clone(),
        materials.admission.clone(),
        Buckets::new(materials.config.max_htlcs_per_minute),
        closes.clone(),
        ground.keys.clone(),
    );
    let peer_manager = peer_manager(&ground, messages, &gossip, &chain_monitor, &onion_messenger);

    let into_restored = |(_, monitor): (BlockHash, ChannelMonitor)| {
        let feerates = materials.feerates.clone();
        Arc::new((monitor, output.broadcasts.clone(), feerates, ground.logger.clone()))
    };
    let monitors = monitors.into_iter().map(into_restored).collect();
    let bumper = Bumper::new(
        output.broadcasts.clone(),
        Arc::new(WalletSync::new(ground.wallet.clone(), ground.logger.clone())),
        ground.keys.clone(),
        ground.logger.clone(),
    );
    let checkpoint_times = Durations::new(
        "fulmen_checkpoint_duration_seconds",
        "How long checkpoints took from the moment that they hold until they were durable.",
    );
    let commit = CheckpointParts {
        channel_manager: channel_manager.clone(),
        chain_monitor: chain_monitor.clone(),
        deferred: output.deferred,
        gate: output.gate,
        broadcasts: output.broadcasts,
        kv: ground.kv.clone(),
        times: checkpoint_times.clone(),
    };
    let node = Arc::new(Node {
        channel_manager,
        peer_manager: Arc::new(peer_manager),
        chain_monitor,
        spent_channels: Arc::new(SpentChannels::new(routing.graph.clone())),
        graph: routing.graph,
        gossip: gossip.sync,
        resolving: gossip.resolving,
        ordered_gossip: gossip.ordered,
        keys: ground.keys,
        sweeper: Arc::new(sweeper),
        scorer: routing.scorer,
        router: routing.router,
        onion_messenger,
        offer_requests,
        bumper,
        logger: ground.logger,
        wallet: materials.wallet,
        closes,
        network: materials.network,
        config: materials.config,
        clock: materials.clock,
        checkpoint_times,
        commit,
        kv: ground.kv,
        wake: Notify::new(),
        channels_changed: watch::Sender::new(()),
    });
    Ok(Assembled { node, manager_best, sweeper_best, monitors })
}

/// What nearly every part needs.
struct Ground {
    logger: Arc<Logger>,
    kv: Arc<KvStore>,
    keys: Arc<Keys>,
    wallet: Arc<Wallet>,
    started_at: Duration,
}

impl Ground {
    fn new(materials: &Materials) -> Self {
        let started_at = materials.clock.since_epoch();
        Self {
            logger: Arc::new(Logger::default()),
            kv: Arc::new(KvStore::new(materials.store.clone())),
            keys: Arc::new(Keys::new(&materials.seed, started_at, materials.wallet.clone())),
            wallet: Arc::new(materials.wallet.clone()),
            started_at,
        }
    }

    /// Seconds since the epoch as LDK takes them.
    fn started_at_secs(&self) -> u32 {
        u32::try_from(self.started_at.as_secs()).unwrap_or(u32::MAX)
    }
}

/// What holds output back until a checkpoint is durable.
struct Output {
    gate: Arc<OutputGate>,
    message_gate: Arc<OutputGate>,
    broadcasts: Arc<HeldBroadcaster>,
    deferred: Arc<DeferredStore>,
}

impl Output {
    /// Sends the transactions of the last checkpoint again.
    fn new(materials: &Materials, ground: &Ground) -> Result<Self, Error> {
        let gate = Arc::new(OutputGate::default());
        // With asynchronous persistence LDK holds its messages back itself, but not its transactions.
        let message_gate = match materials.async_persistence {
            true => Arc::new(OutputGate::open()),
            false => gate.clone(),
        };
        let broadcasts = HeldBroadcaster::new(materials.broadcaster.clone(), gate.clone());
        broadcasts.resume(restore::broadcasts(&ground.kv)?);
        Ok(Self {
            gate,
            message_gate,
            broadcasts: Arc::new(broadcasts),
            deferred: Arc::new(DeferredStore::new(ground.kv.clone())),
        })
    }
}

/// LDK itself never writes a whole monitor for the number of its updates: [`DeferredPersister`] does for their weight.
const WHOLE_AFTER_UPDATES: u64 = u64::MAX;

fn stored_monitors(materials: &Materials, ground: &Ground, output: &Output) -> MonitorPersister {
    MonitorPersister::new(
        ground.kv.clone(),
        ground.logger.clone(),
        WHOLE_AFTER_UPDATES,
        ground.keys.clone(),
        ground.keys.clone(),
        output.broadcasts.clone(),
        materials.feerates.clone(),
    )
}

fn chain_monitor(materials: &Materials, ground: &Ground, output: &Output) -> ChainMonitor {
    let persister = DeferredMonitorPersister::new(
        output.deferred.clone(),
        ground.logger.clone(),
        WHOLE_AFTER_UPDATES,
        ground.keys.clone(),
        ground.keys.clone(),
        output.broadcasts.clone(),
        materials.feerates.clone(),
    );
    let ldk_waits = materials.async_persistence;
    let persister: Arc<dyn Persist<InMemorySigner> + Send + Sync> =
        Arc::new(DeferredPersister::new(persister, output.deferred.clone(), ldk_waits));
    ChainMonitor::new(
        None,
        output.broadcasts.clone(),
        ground.logger.clone(),
        materials.feerates.clone(),
        persister,
        ground.keys.clone(),
        ground.keys.get_peer_storage_key(),
    )
}

/// The network graph and what finds paths in it.
struct Routing {
    graph: Arc<Graph>,
    scorer: Arc<Scorer>,
    router: Arc<NodeRouter>,
    message_router: Arc<MessageRouter>,
}

impl Routing {
    fn restore(materials: &Materials, ground: &Ground) -> Result<Self, Error> {
        let Ground { logger, kv, keys, .. } = ground;
        let graph = Arc::new(restore::graph(kv, materials.network, logger)?);
        let scorer = Arc::new(restore::scorer(kv, &graph, logger)?);
        let router = Arc::new(NodeRouter::new(
            materials.config.router,
            graph.clone(),
            logger.clone(),
            keys.clone(),
            scorer.clone(),
            restore::beliefs(kv)?,
            materials.clock.clone(),
        ));
        let message_router = Arc::new(MessageRouter::new(graph.clone(), keys.clone()));
        Ok(Self { graph, scorer, router, message_router })
    }
}

fn channel_manager(
    materials: &Materials,
    ground: &Ground,
    output: &Output,
    routing: &Routing,
    chain_monitor: &Arc<ChainMonitor>,
    monitors: &[(BlockHash, ChannelMonitor)],
) -> Result<ChannelManager, Error> {
    let args = ChannelManagerReadArgs::new(
        ground.keys.clone(),
        ground.keys.clone(),
        ground.keys.clone(),
        materials.feerates.clone(),
        chain_monitor.clone(),
        output.broadcasts.clone(),
        routing.router.clone(),
        routing.message_router.clone(),
        ground.logger.clone(),
        materials.user_config.clone(),
        monitors.iter().map(|(_, monitor)| monitor).collect(),
    );
    if let Some((_, restored)) = restore::manager(&ground.kv, args)? {
        return Ok(restored);
    }
    Ok(ChannelManager::new(
        materials.feerates.clone(),
        chain_monitor.clone(),
        output.broadcasts.clone(),
        routing.router.clone(),
        routing.message_router.clone(),
        ground.logger.clone(),
        ground.keys.clone(),
        ground.keys.clone(),
        ground.keys.clone(),
        materials.user_config.clone(),
        ChainParameters { network: materials.network, best_block: materials.tip },
        ground.started_at_secs(),
    ))
}

fn sweeper(
    materials: &Materials,
    ground: &Ground,
    manager_best: BestBlock,
) -> Result<(BestBlock, Sweeper), Error> {
    let args = (
        materials.broadcaster.clone(),
        materials.feerates.clone(),
        None,
        ground.keys.clone(),
        ground.wallet.clone(),
        ground.kv.clone(),
        ground.logger.clone(),
    );
    if let Some(restored) = restore::sweeper(&ground.kv, args)? {
        return Ok(restored);
    }
    let sweeper = Sweeper::new(
        manager_best,
        materials.broadcaster.clone(),
        materials.feerates.clone(),
        None,
        ground.keys.clone(),
        ground.wallet.clone(),
        ground.kv.clone(),
        ground.logger.clone(),
    );
    Ok((manager_best, sweeper))
}

fn onion_messenger(
    ground: &Ground,
    routing: &Routing,
    channel_manager: &Arc<ChannelManager>,
    offer_requests: &Arc<OfferRequests<ChannelManager>>,
) -> OnionMessenger {
    OnionMessenger::new(
        ground.keys.clone(),
        ground.keys.clone(),
        ground.logger.clone(),
        channel_manager.clone(),
        routing.message_router.clone(),
        offer_requests.clone(),
        channel_manager.clone(),
        channel_manager.clone(),
        Arc::new(IgnoringMessageHandler {}),
    )
}

/// LDK's gossip and what completes it.
struct Gossip {
    sync: Arc<GossipSync>,
    resolving: Resolving,
    ordered: Arc<OrderedGossip>,
    answers: Arc<QueryResponder>,
}

impl Gossip {
    fn new(materials: &Materials, ground: &Ground, routing: &Routing) -> Self {
        let check = Some(materials.utxo_check.clone());
        let sync = Arc::new(GossipSync::new(routing.graph.clone(), check, ground.logger.clone()));
        let resolving = Resolving::default();
        let answers = Arc::new(QueryResponder::new(routing.graph.clone()));
        let ordered =
            Arc::new(OrderedGossip::new(sync.clone(), resolving.clone(), answers.clone()));
        Self { sync, resolving, ordered, answers }
    }
}

/// Negotiates closes of the manager's channels.
fn closes(materials: &Materials, channel_manager: &Arc<ChannelManager>) -> Closes {
    let manager = channel_manager.clone();
    let look_up: LookUp = Box::new(move |peer, channel_id| {
        let with_peer = manager.list_channels_with_counterparty(peer);
        let channel = with_peer.iter().find(|channel| channel.channel_id == *channel_id)?;
        Some(Sides::of(channel))
    });
    Closes::new(materials.feerates.clone(), materials.close_policy, look_up)
}

fn peer_manager(
    ground: &Ground,
    messages: HeldMessages<ChannelManager>,
    gossip: &Gossip,
    chain_monitor: &Arc<ChainMonitor>,
    onion_messenger: &Arc<OnionMessenger>,
) -> PeerManager {
    PeerManager::new(
        MessageHandler {
            chan_handler: Arc::new(messages),
            route_handler: gossip.ordered.clone(),
            onion_message_handler: onion_messenger.clone(),
            custom_message_handler: gossip.answers.clone(),
            send_only_message_handler: chain_monitor.clone(),
        },
        ground.started_at_secs(),
        &ground.keys.get_secure_random_bytes(),
        ground.logger.clone(),
        ground.keys.clone(),
    )
}
