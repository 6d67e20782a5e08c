//! LDK assembled: restored from the store, wired to chain, wallet and peers, and driven.
//!
//! The inner rooms, top to bottom; each uses only those below it, and [`Node`] stands between `run` and the others:
//!
//! - [`run`] restores, assembles and drives the node: the processing loop, sockets, sweeps, announcements;
//! - [`commit`] holds output back until the checkpoint that it follows from is durable;
//! - [`gossip`] and [`planner`] keep the network graph whole and find routes in it;
//! - [`ldk`] implements LDK's ground traits and spells its generics.

pub mod run;

pub mod commit;

pub mod gossip;
pub mod planner;

pub mod config;

pub mod address;
pub mod ldk;

use std::sync::Arc;

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::channelmonitor::Balance;
use lightning::ln::types::ChannelId;
use lightning::sign::{NodeSigner, Recipient};
use tokio::sync::Notify;

pub use config::Config;

use commit::checkpoint::CheckpointParts;
use commit::types::{Bumper, ChainMonitor, ChannelManager, OnionMessenger, PeerManager};
use gossip::order::{OrderedGossip, Resolving};
use gossip::spent::SpentChannels;
use ldk::keys::Keys;
use ldk::logger::Logger;
use ldk::slots::BELIEFS;
use ldk::types::{GossipSync, Graph, Scorer, Sweeper};
use planner::router::NodeRouter;
use planner::stored::StoredBeliefs;

use crate::clock::Clock;
use crate::metrics::Durations;
use crate::storage::{Commit, KvStore};
use crate::wallet::Wallet;

/// LDK's parts, wired together; shared by all rooms above.
pub struct Node {
    /// Runs channels and payments.
    pub channel_manager: Arc<ChannelManager>,
    /// Runs the connections to peers and their encryption.
    pub peer_manager: Arc<PeerManager>,
    /// Watches the chain for all channels.
    pub chain_monitor: Arc<ChainMonitor>,
    /// The network graph, from gossip.
    pub graph: Arc<Graph>,
    /// Verifies gossip and adds it to the graph.
    pub gossip: Arc<GossipSync>,
    /// Locked for writing while the outcome of a UTXO look-up is added to the graph.
    pub resolving: Resolving,
    /// [`Node::gossip`] as peers see it: ordered, with queries for what was lost.
    pub ordered_gossip: Arc<OrderedGossip>,
    /// The node's secrets.
    pub keys: Arc<Keys>,
    /// Sweeps outputs of closed channels to the wallet.
    pub sweeper: Arc<Sweeper>,
    /// Forgets channels that were closed on chain.
    pub spent_channels: Arc<SpentChannels>,
    /// What payments taught about the liquidity of channels.
    pub scorer: Arc<Scorer>,
    /// Finds routes for our own payments.
    pub router: Arc<NodeRouter>,
    /// Sends, forwards and receives onion messages (BOLT 4).
    pub onion_messenger: Arc<OnionMessenger>,
    /// Adds fees to commitments and HTLC claims.
    pub bumper: Bumper,
    /// Passes LDK's log on to ours.
    pub logger: Arc<Logger>,
    /// The on-chain wallet that pays for bumps and takes sweeps.
    pub wallet: Wallet,
    /// The chain.
    pub network: Network,
    /// Section `[node]`.
    pub config: Config,
    /// The wall clock.
    pub clock: Clock,
    /// How long checkpoints took, from their moment until they were durable.
    pub checkpoint_times: Durations,
    commit: CheckpointParts,
    kv: Arc<KvStore>,
    wake: Notify,
}

impl Node {
    /// Returns the node's public key.
    pub fn id(&self) -> PublicKey {
        self.keys
            .get_node_id(Recipient::Node)
            .expect("the key of the node itself is always available")
    }

    /// Returns how many channels may still need a transaction of ours bumped: open ones, and closed ones with
    /// a contested output.
    pub fn channels_to_defend(&self) -> usize {
        let open = self.channel_manager.list_channels();
        let is_contested = |id: &ChannelId| {
            let monitor = self.chain_monitor.get_monitor(*id);
            monitor.is_ok_and(|monitor| monitor.get_claimable_balances().iter().any(is_contested))
        };
        let closed = self.chain_monitor.list_monitors().into_iter();
        let closed = closed.filter(|id| open.iter().all(|channel| channel.channel_id != *id));
        open.len() + closed.filter(is_contested).count()
    }

    /// Enqueues the beliefs about liquidity, as the knowledge timer does every few minutes.
    pub fn keep_beliefs(&self) -> Commit {
        let rows = self.router.planner().believed().export().collect();
        BELIEFS.write(&self.kv, &StoredBeliefs(rows))
    }

    /// Completes when a checkpoint is durable that holds everything LDK has done by now.
    pub async fn checkpointed(&self) {
        self.commit.gate.passed().await;
    }

    /// Runs the processing loop now, after a call that gave LDK something to send or to report.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Whether somebody else could still take the money.
fn is_contested(balance: &Balance) -> bool {
    match balance {
        Balance::ContentiousClaimable { .. }
        | Balance::MaybeTimeoutClaimableHTLC { .. }
        | Balance::MaybePreimageClaimableHTLC { .. }
        | Balance::CounterpartyRevokedOutputClaimable { .. } => true,
        Balance::ClaimableOnChannelClose { .. }
        | Balance::ClaimableAwaitingConfirmations { .. } => false,
    }
}
