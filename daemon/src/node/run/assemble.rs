//! Wires LDK's parts together, in the order in which they need each other.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::Network;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::{BestBlock, Listen};
use lightning::events::bump_transaction::sync::WalletSync;
use lightning::ln::channelmanager::ChainParameters;
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler};
use lightning::sign::{EntropySource, InMemorySigner, NodeSigner};
use lightning::util::config::UserConfig;
use tokio::sync::Notify;

use super::gate::Gate;
use super::gossip::answer::Answers;
use super::gossip::order::{OrderedGossip, Resolving};
use super::keys::Keys;
use super::logger::Logger;
use super::messages::ChannelMessages;
use super::router::NodeRouter;
use super::together::{HeldStore, Together};
use super::types::{
    Broadcaster, Bumper, ChainMonitor, ChannelManager, ChannelManagerReadArgs, GossipSync,
    HeldBroadcaster, HeldPersister, MessageRouter, MonitorPersister, OnionMessenger, PeerManager,
    RestoredMonitor, Sweeper,
};
use super::{Config, Node, restore};
use crate::chain::{Listener, UtxoCheck};
use crate::feerates::Feerates;
use crate::metrics::Durations;
use crate::storage::{KvStore, Store};
use crate::wallet::Wallet;

/// What the node is built from.
pub struct Materials {
    /// Section `[node]`.
    pub config: Config,
    /// How new channels are to be; existing ones keep what they agreed on.
    pub user_config: UserConfig,
    /// Which chain.
    pub network: Network,
    /// The 32 bytes all Lightning keys come from.
    pub seed: [u8; 32],
    /// Where everything is stored.
    pub store: Store,
    /// Sends transactions.
    pub broadcaster: Arc<Broadcaster>,
    /// Knows feerates.
    pub feerates: Arc<Feerates>,
    /// The on-chain wallet.
    pub wallet: Wallet,
    /// Checks announced channels against the chain.
    pub utxo_check: Arc<UtxoCheck>,
    /// Where a node that has no state yet begins.
    pub tip: BestBlock,
    /// Let LDK wait for its monitor updates; see [`super::together`].
    pub async_persistence: bool,
}

/// A node whose parts have not seen the newest blocks yet.
pub struct Assembled {
    /// The node; nothing drives it yet.
    pub node: Arc<Node>,
    manager_best: BestBlock,
    sweeper_best: BestBlock,
    monitors: Vec<Arc<RestoredMonitor>>,
}

/// Restores or makes all parts.
///
/// # Errors
/// Whatever keeps the stored state from being read; nothing has been changed then.
pub fn assemble(materials: Materials) -> Result<Assembled, restore::Error> {
    let Materials {
        config,
        user_config,
        network,
        seed,
        store,
        broadcaster,
        feerates,
        wallet,
        utxo_check,
        tip,
        async_persistence,
    } = materials;
    let logger = Arc::new(Logger);
    let kv = Arc::new(KvStore::new(store));
    let wallet_source = Arc::new(wallet.clone());
    let started_at = since_epoch();
    let keys = Arc::new(Keys::new(&seed, started_at, wallet.clone()));

    let gate = Arc::new(Gate::default());
    // Where LDK itself waits with its messages, only its transactions have to be held back.
    let message_gate = if async_persistence { Arc::new(Gate::open()) } else { gate.clone() };
    let broadcasts = Arc::new(HeldBroadcaster::new(broadcaster.clone(), gate.clone()));
    broadcasts.resume(restore::broadcasts(&kv)?);

    let stored = MonitorPersister::new(
        kv.clone(),
        logger.clone(),
        config.monitor_updates_before_rewrite,
        keys.clone(),
        keys.clone(),
        broadcasts.clone(),
        feerates.clone(),
    );
    let monitors = restore::monitors(&stored)?;
    let held = Arc::new(HeldStore::new(kv.clone()));
    let persister = HeldPersister::new(
        held.clone(),
        logger.clone(),
        config.monitor_updates_before_rewrite,
        keys.clone(),
        keys.clone(),
        broadcasts.clone(),
        feerates.clone(),
    );
    let persister: Arc<dyn Persist<InMemorySigner> + Send + Sync> =
        Arc::new(Together::new(persister, held.clone(), async_persistence));
    let chain_monitor = Arc::new(ChainMonitor::new(
        None,
        broadcasts.clone(),
        logger.clone(),
        feerates.clone(),
        persister,
        keys.clone(),
        keys.get_peer_storage_key(),
    ));

    let graph = Arc::new(restore::graph(&kv, network, &logger)?);
    let scorer = Arc::new(restore::scorer(&kv, &graph, &logger)?);
    let beliefs = restore::beliefs(&kv)?;
    let router = Arc::new(NodeRouter::new(
        config.router,
        graph.clone(),
        logger.clone(),
        keys.clone(),
        scorer.clone(),
        beliefs,
    ));
    let message_router = Arc::new(MessageRouter::new(graph.clone(), keys.clone()));

    let restored = restore::manager(
        &kv,
        ChannelManagerReadArgs::new(
            keys.clone(),
            keys.clone(),
            keys.clone(),
            feerates.clone(),
            chain_monitor.clone(),
            broadcasts.clone(),
            router.clone(),
            message_router.clone(),
            logger.clone(),
            user_config.clone(),
            monitors.iter().map(|(_, monitor)| monitor).collect(),
        ),
    )?;
    let channel_manager = Arc::new(match restored {
        Some((_, channel_manager)) => channel_manager,
        None => ChannelManager::new(
            feerates.clone(),
            chain_monitor.clone(),
            broadcasts.clone(),
            router.clone(),
            message_router.clone(),
            logger.clone(),
            keys.clone(),
            keys.clone(),
            keys.clone(),
            user_config,
            ChainParameters { network, best_block: tip },
            u32::try_from(started_at.as_secs()).unwrap_or(u32::MAX),
        ),
    });
    let manager_best = channel_manager.current_best_block();

    let (sweeper_best, sweeper) = restore::sweeper(
        &kv,
        (
            broadcaster.clone(),
            feerates.clone(),
            None,
            keys.clone(),
            wallet_source.clone(),
            kv.clone(),
            logger.clone(),
        ),
    )?
    .unwrap_or_else(|| {
        let sweeper = Sweeper::new(
            manager_best,
            broadcaster.clone(),
            feerates.clone(),
            None,
            keys.clone(),
            wallet_source.clone(),
            kv.clone(),
            logger.clone(),
        );
        (manager_best, sweeper)
    });

    let gossip = Arc::new(GossipSync::new(graph.clone(), Some(utxo_check), logger.clone()));
    let resolving = Resolving::default();
    let onion_messenger = Arc::new(OnionMessenger::new(
        keys.clone(),
        keys.clone(),
        logger.clone(),
        channel_manager.clone(),
        message_router,
        channel_manager.clone(),
        channel_manager.clone(),
        channel_manager.clone(),
        Arc::new(IgnoringMessageHandler {}),
    ));
    let answers = Arc::new(Answers::new(graph.clone()));
    let ordered_gossip =
        Arc::new(OrderedGossip::new(gossip.clone(), resolving.clone(), answers.clone()));
    let peer_manager = Arc::new(PeerManager::new(
        MessageHandler {
            chan_handler: Arc::new(ChannelMessages::new(channel_manager.clone(), message_gate)),
            route_handler: ordered_gossip.clone(),
            onion_message_handler: onion_messenger.clone(),
            custom_message_handler: answers,
            send_only_message_handler: chain_monitor.clone(),
        },
        u32::try_from(started_at.as_secs()).unwrap_or(u32::MAX),
        &keys.get_secure_random_bytes(),
        logger.clone(),
        keys.clone(),
    ));
    let bumper = Bumper::new(
        broadcasts.clone(),
        Arc::new(WalletSync::new(wallet_source, logger.clone())),
        keys.clone(),
        logger.clone(),
    );

    let monitors = monitors
        .into_iter()
        .map(|(_, monitor)| {
            Arc::new((monitor, broadcasts.clone(), feerates.clone(), logger.clone()))
        })
        .collect();
    let node = Arc::new(Node {
        channel_manager,
        peer_manager,
        chain_monitor,
        graph,
        gossip,
        ordered_gossip,
        resolving,
        keys,
        sweeper: Arc::new(sweeper),
        scorer,
        router,
        onion_messenger,
        bumper,
        logger,
        wallet,
        network,
        config,
        checkpoint_times: Durations::new(
            "fulmen_checkpoint_duration_seconds",
            "How long checkpoints took from the moment that they hold until they were durable.",
        ),
        held,
        gate,
        broadcasts,
        kv,
        wake: Notify::new(),
    });
    Ok(Assembled { node, manager_best, sweeper_best, monitors })
}

impl Assembled {
    /// Who has to see the blocks that were missed, each from its own best block, in the order in which
    /// a block is told: the manager before the monitors, so that a monitor that fails an HTLC back
    /// finds the manager at the same height; the sweeper last, since monitors give it its outputs.
    pub fn catching_up(&self) -> Vec<Listener> {
        let mut listeners = vec![Listener {
            name: "channel manager",
            best: self.manager_best,
            listen: self.node.channel_manager.clone(),
        }];
        listeners.extend(self.monitors.iter().map(|monitor| Listener {
            name: "channel monitor",
            best: monitor.0.current_best_block(),
            listen: monitor.clone(),
        }));
        listeners.push(Listener {
            name: "sweeper",
            best: self.sweeper_best,
            listen: self.node.sweeper.clone(),
        });
        listeners
    }

    /// Hands the monitors, which have seen all blocks by now, to the chain monitor.
    ///
    /// Call it after the listeners of [`Assembled::catching_up`] have been dropped.
    pub fn finish(self) -> Arc<Node> {
        for monitor in self.monitors {
            let (monitor, ..) = Arc::into_inner(monitor)
                .expect("the listeners that shared the monitor have been dropped");
            let channel_id = monitor.channel_id();
            let update = monitor.get_latest_update_id();
            self.node
                .chain_monitor
                .load_existing_monitor(channel_id, monitor)
                .expect("monitors in the store have distinct channel ids");
            // LDK regenerates what was under way at a kill, but for a channel's first monitor: a manager
            // written while LDK waited for it waits for word of it, and its channel would stay pending.
            self.node
                .chain_monitor
                .channel_monitor_updated(channel_id, update)
                .expect("the monitor has just been loaded");
        }
        self.node
    }
}

/// Who is told of each new block once the node runs, in this order, and what each has seen.
pub fn following(
    node: &Arc<Node>,
) -> Vec<(&'static str, BestBlock, Arc<dyn Listen + Send + Sync>)> {
    let best = node.channel_manager.current_best_block();
    let swept = node.sweeper.current_best_block();
    vec![
        ("channel manager", best, node.channel_manager.clone()),
        ("chain monitor", best, node.chain_monitor.clone()),
        ("sweeper", swept, node.sweeper.clone()),
    ]
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
