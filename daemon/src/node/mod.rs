//! LDK assembled: restored from the store, wired to chain, wallet and peers, and driven.

pub mod assemble;
pub mod broadcasts;
pub mod checkpoint;
pub mod config;
pub mod decode;
pub mod gate;
pub mod gossip;
pub mod keys;
pub mod logger;
pub mod messages;
pub mod net;
pub mod outstanding;
pub mod planner;
pub mod process;
pub mod restore;
pub mod router;
pub mod scorer;
pub mod sweep;
pub mod together;
pub mod types;

use std::sync::Arc;

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::channelmonitor::Balance;
use lightning::ln::types::ChannelId;
use lightning::sign::{NodeSigner, Recipient};
use tokio::sync::Notify;

pub use config::Config;

use crate::metrics::Durations;
use crate::wallet::Wallet;

/// LDK's parts, wired together; shared by all rooms above.
pub struct Node {
    /// Channels, payments and the messages about them.
    pub channel_manager: Arc<types::ChannelManager>,
    /// Connections and their encryption.
    pub peer_manager: Arc<types::PeerManager>,
    /// The on-chain watch over all channels.
    pub chain_monitor: Arc<types::ChainMonitor>,
    /// The network as gossip tells it.
    pub graph: Arc<types::Graph>,
    /// Verifies and takes in gossip.
    pub gossip: Arc<types::GossipSync>,
    /// Held for writing while the proof of a channel goes into the graph.
    pub resolving: gossip::order::Resolving,
    /// The same as peers see it: in order, asked for and repeated where a part was lost.
    pub ordered_gossip: Arc<gossip::order::OrderedGossip>,
    /// The node's secrets.
    pub keys: Arc<keys::Keys>,
    /// Brings the money of closed channels back to the wallet.
    pub sweeper: Arc<types::Sweeper>,
    /// What payments taught about the liquidity of channels.
    pub scorer: Arc<types::Scorer>,
    /// Finds routes.
    pub router: Arc<router::NodeRouter>,
    /// Messages over onions (BOLT 12 and the like).
    pub onion_messenger: Arc<types::OnionMessenger>,
    /// Adds fees to commitments and HTLC claims.
    pub bumper: types::Bumper,
    /// LDK's log, handed on to ours.
    pub logger: Arc<logger::Logger>,
    /// The on-chain wallet that pays fees and takes sweeps.
    pub wallet: Wallet,
    /// Which chain this is.
    pub network: Network,
    /// The configuration of this room.
    pub config: Config,
    /// How long checkpoints took from the moment that they hold until they were durable.
    pub checkpoint_times: Durations,
    /// Monitor updates that wait for the next checkpoint.
    held: Arc<together::HeldStore>,
    /// What waits for it to be durable.
    gate: Arc<gate::Gate>,
    /// The same for transactions.
    broadcasts: Arc<types::HeldBroadcaster>,
    kv: Arc<crate::storage::KvStore>,
    wake: Notify,
}

impl Node {
    /// Returns the node's public key.
    pub fn id(&self) -> PublicKey {
        self.keys
            .get_node_id(Recipient::Node)
            .expect("the key of the node itself is always available")
    }

    /// How many channels may yet need a transaction of ours bumped: open ones, and closed ones of which
    /// something is still to be claimed before somebody else does.
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

    /// Enqueues all that is believed of other nodes' channels, as the timer does now and then.
    pub fn keep_beliefs(&self) -> crate::storage::Commit {
        let rows = self.router.planner().believed().export().collect();
        restore::BELIEFS.write(&self.kv, &restore::StoredBeliefs(rows))
    }

    /// Completes when a checkpoint is durable that holds all that LDK has done by now.
    pub async fn checkpointed(&self) {
        self.gate.passed().await;
    }

    /// Makes the processing loop run now, after a call that left LDK something to send or to tell.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

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
