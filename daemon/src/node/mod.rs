//! LDK assembled: restored from the store, wired to chain, wallet and peers, and driven.
//!
//! The inner rooms, top to bottom; each uses only those below it, and [`Node`] stands between `run` and the others:
//!
//! - [`run`] restores, assembles and drives the node: the processing loop, sockets, sweeps, announcements;
//! - [`negotiation`] narrows what LDK agrees to while it opens and closes channels;
//! - [`commit`] holds output back until the checkpoint that it follows from is durable;
//! - [`gossip`] and [`planner`] keep the network graph whole and find routes in it;
//! - [`ldk`] implements LDK's ground traits and spells its generics.

pub mod run;

pub mod commit;

pub mod gossip;
pub mod planner;

pub mod negotiation;

pub mod config;

pub mod address;
pub mod ldk;

use std::sync::Arc;

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::channelmonitor::Balance;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::sign::{NodeSigner, Recipient};
use tokio::sync::{Notify, watch};

pub use config::Config;

use commit::checkpoint::CheckpointParts;
use commit::types::{Bumper, ChainMonitor, ChannelManager, OnionMessenger, PeerManager};
use gossip::order::{OrderedGossip, Resolving};
use gossip::spent::SpentChannels;
use ldk::keys::Keys;
use ldk::logger::Logger;
use ldk::offer_requests::OfferRequests;
use ldk::slots::BELIEFS;
use ldk::types::{GossipSync, Graph, Scorer, Sweeper};
use negotiation::closes::Closes;
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
    /// Lets requests for invoices to our offers through, or refuses them.
    pub offer_requests: Arc<OfferRequests<ChannelManager>>,
    /// Adds fees to commitments and HTLC claims.
    pub bumper: Bumper,
    /// Passes LDK's log on to ours.
    pub logger: Arc<Logger>,
    /// The on-chain wallet that pays for bumps and takes sweeps.
    pub wallet: Wallet,
    /// Closes whose fee is negotiated.
    pub closes: Arc<Closes>,
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
    /// A channel has come, confirmed, or gone: the anchor reserve is another one, and so is the backup.
    channels_changed: watch::Sender<()>,
}

impl Node {
    /// Returns the node's public key.
    pub fn id(&self) -> PublicKey {
        self.keys
            .get_node_id(Recipient::Node)
            .expect("the key of the node itself is always available")
    }

    /// Returns, for each closed channel of which an output is still contested, the amounts of those outputs in satoshis.
    ///
    /// `open` are the channels that LDK lists.
    pub fn contested_sat(&self, open: &[ChannelDetails]) -> Vec<Vec<u64>> {
        let of = |id: &ChannelId| {
            let monitor = self.chain_monitor.get_monitor(*id).ok()?;
            Some(monitor.get_claimable_balances().iter().filter_map(contested_sat).collect())
        };
        let monitors = self.chain_monitor.list_monitors().into_iter();
        monitors
            .filter(|id| open.iter().all(|channel| channel.channel_id != *id))
            .filter_map(|id| of(&id).filter(|amounts: &Vec<u64>| !amounts.is_empty()))
            .collect()
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

    /// Tells that a channel has come, confirmed, or gone.
    pub fn channels_changed(&self) {
        self.channels_changed.send_replace(());
    }

    /// Returns a receiver that changes when a channel has come, confirmed, or gone.
    pub fn watch_channels(&self) -> watch::Receiver<()> {
        self.channels_changed.subscribe()
    }

    /// Runs the processing loop now, after a call that gave LDK something to send or to report.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Returns the amount in satoshis if somebody else could still take the money.
fn contested_sat(balance: &Balance) -> Option<u64> {
    match balance {
        Balance::ContentiousClaimable { amount_satoshis, .. }
        | Balance::MaybeTimeoutClaimableHTLC { amount_satoshis, .. }
        | Balance::MaybePreimageClaimableHTLC { amount_satoshis, .. }
        | Balance::CounterpartyRevokedOutputClaimable { amount_satoshis, .. } => {
            Some(*amount_satoshis)
        }
        Balance::ClaimableOnChannelClose { .. }
        | Balance::ClaimableAwaitingConfirmations { .. } => None,
    }
}
