//! Every LDK generic spelled once.

use std::sync::{Arc, RwLock};

use lightning::chain::{self, chainmonitor, channelmonitor};
use lightning::events::bump_transaction::sync::{BumpTransactionEventHandlerSync, WalletSync};
use lightning::ln::peer_handler::IgnoringMessageHandler;
use lightning::ln::{channelmanager, peer_handler};
use lightning::onion_message::messenger;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringFeeParameters};
use lightning::routing::{gossip, router};
use lightning::sign::InMemorySigner;
use lightning::util::{persist, sweep};

use super::broadcasts;
use super::gossip::answer::Answers;
use super::gossip::order::OrderedGossip;
use super::keys::Keys;
use super::logger::Logger;
use super::messages::ChannelMessages;
use super::router::NodeRouter;
use super::together::HeldStore;
use crate::chain::UtxoCheck;
use crate::feerates::Feerates;
use crate::storage::KvStore;
use crate::wallet::{self, Wallet};

type Filter = Arc<dyn chain::Filter + Send + Sync>;

/// Sends transactions, after the wallet has seen them.
pub type Broadcaster = wallet::Announcer<crate::chain::Broadcaster>;

/// The same for what LDK sends: it waits until the store knows why.
pub type HeldBroadcaster = broadcasts::HeldBroadcaster<Broadcaster>;

/// Watches the chain for our channels.
pub type ChainMonitor = chainmonitor::ChainMonitor<
    InMemorySigner,
    Filter,
    Arc<HeldBroadcaster>,
    Arc<Feerates>,
    Arc<Logger>,
    Arc<dyn chainmonitor::Persist<InMemorySigner> + Send + Sync>,
    Arc<Keys>,
>;

/// Stores monitors as a base and its updates.
pub type MonitorPersister = persist::MonitorUpdatingPersister<
    Arc<KvStore>,
    Arc<Logger>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<HeldBroadcaster>,
    Arc<Feerates>,
>;

/// The same, over a store that holds its writes back.
pub type HeldPersister = persist::MonitorUpdatingPersister<
    Arc<HeldStore>,
    Arc<Logger>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<HeldBroadcaster>,
    Arc<Feerates>,
>;

/// What enforces one channel on chain.
pub type ChannelMonitor = channelmonitor::ChannelMonitor<InMemorySigner>;

/// Runs all channels.
pub type ChannelManager = channelmanager::ChannelManager<
    Arc<ChainMonitor>,
    Arc<HeldBroadcaster>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Feerates>,
    Arc<NodeRouter>,
    Arc<MessageRouter>,
    Arc<Logger>,
>;

/// What is needed to read a [`ChannelManager`] from its bytes.
pub type ChannelManagerReadArgs<'a> = channelmanager::ChannelManagerReadArgs<
    'a,
    Arc<ChainMonitor>,
    Arc<HeldBroadcaster>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Feerates>,
    Arc<NodeRouter>,
    Arc<MessageRouter>,
    Arc<Logger>,
>;

/// The network as gossip tells it.
pub type Graph = gossip::NetworkGraph<Arc<Logger>>;

/// Takes gossip in and serves it to peers.
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

/// Sends, forwards and receives onion messages.
pub type OnionMessenger = messenger::OnionMessenger<
    Arc<Keys>,
    Arc<Keys>,
    Arc<Logger>,
    Arc<ChannelManager>,
    Arc<MessageRouter>,
    Arc<ChannelManager>,
    Arc<ChannelManager>,
    Arc<ChannelManager>,
    Arc<IgnoringMessageHandler>,
>;

/// Connections to peers over TCP.
pub type PeerManager = peer_handler::PeerManager<
    lightning_net_tokio::SocketDescriptor,
    Arc<ChannelMessages>,
    Arc<OrderedGossip>,
    Arc<OnionMessenger>,
    Arc<Logger>,
    Arc<Answers>,
    Arc<Keys>,
    Arc<ChainMonitor>,
>;

/// Brings the money of closed channels back to the wallet.
pub type Sweeper = sweep::OutputSweeperSync<
    Arc<Broadcaster>,
    Arc<Wallet>,
    Arc<Feerates>,
    Filter,
    Arc<KvStore>,
    Arc<Logger>,
    Arc<Keys>,
>;

/// Adds fees to commitments and HTLC claims from the wallet.
pub type Bumper = BumpTransactionEventHandlerSync<
    Arc<HeldBroadcaster>,
    Arc<WalletSync<Arc<Wallet>, Arc<Logger>>>,
    Arc<Keys>,
    Arc<Logger>,
>;

/// A monitor on its way from the store to the [`ChainMonitor`]: it takes in the blocks it missed first.
pub type RestoredMonitor = (ChannelMonitor, Arc<HeldBroadcaster>, Arc<Feerates>, Arc<Logger>);
