//! LDK assembled: restored from the store, wired to chain, wallet and peers, and driven.

pub mod assemble;
pub mod config;
pub mod decode;
pub mod gossip;
pub mod gossip_order;
pub mod keys;
pub mod logger;
pub mod net;
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
use lightning::sign::{NodeSigner, Recipient};
use tokio::sync::Notify;

pub use config::Config;

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
    pub resolving: gossip_order::Resolving,
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
    /// Monitor updates that wait for the manager; none where each is written for itself.
    held: Option<Arc<together::HeldStore>>,
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

    /// Makes the processing loop run now, after a call that left LDK something to send or to tell.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}
