//! LDK's generics over our ground types; those over what holds output back are in `commit/types.rs`.

use std::sync::{Arc, RwLock};

use lightning::chain::{self, channelmonitor};
use lightning::onion_message::messenger;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringFeeParameters};
use lightning::routing::{gossip, router};
use lightning::sign::InMemorySigner;
use lightning::util::sweep;

use super::keys::Keys;
use super::logger::Logger;
use crate::chain::UtxoCheck;
use crate::feerates::Feerates;
use crate::storage::KvStore;
use crate::wallet::{self, Wallet};

/// Which outputs LDK wants to hear of; unused, since it sees whole blocks.
pub type Filter = Arc<dyn chain::Filter + Send + Sync>;

/// Sends transactions, after the wallet has recorded them.
pub type Broadcaster = wallet::RecordingBroadcaster<crate::chain::Broadcaster>;

/// Enforces one channel on chain.
pub type ChannelMonitor = channelmonitor::ChannelMonitor<InMemorySigner>;

/// The network graph, from gossip.
pub type Graph = gossip::NetworkGraph<Arc<Logger>>;

/// Verifies gossip, adds it to the graph and serves it to peers.
pub type GossipSync = gossip::P2PGossipSync<Arc<Graph>, Arc<UtxoCheck>, Arc<Logger>>;

/// What payments taught about the liquidity of channels.
pub type Scorer = RwLock<ProbabilisticScorer<Arc<Graph>, Arc<Logger>>>;

/// LDK's own router.
pub type LdkRouter = router::DefaultRouter<
    Arc<Graph>,
    Arc<Logger>,
    Arc<Keys>,
    Arc<Scorer>,
    ProbabilisticScoringFeeParameters,
    ProbabilisticScorer<Arc<Graph>, Arc<Logger>>,
>;

/// Finds paths for onion messages.
pub type MessageRouter = messenger::DefaultMessageRouter<Arc<Graph>, Arc<Logger>, Arc<Keys>>;

/// Sweeps outputs of closed channels to the wallet.
pub type Sweeper = sweep::OutputSweeperSync<
    Arc<Broadcaster>,
    Arc<Wallet>,
    Arc<Feerates>,
    Filter,
    Arc<KvStore>,
    Arc<Logger>,
    Arc<Keys>,
>;
