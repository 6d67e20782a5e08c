//! LDK's generics over what holds output back: everything that speaks to peers or to the chain.

use std::sync::Arc;

use lightning::chain::chainmonitor;
use lightning::events::bump_transaction::sync::{BumpTransactionEventHandlerSync, WalletSync};
use lightning::ln::peer_handler::IgnoringMessageHandler;
use lightning::ln::{channelmanager, peer_handler};
use lightning::onion_message::messenger;
use lightning::sign::InMemorySigner;
use lightning::util::persist;

use super::deferred_persister::DeferredStore;
use super::held_broadcaster;
use super::held_messages::HeldMessages;
use crate::feerates::Feerates;
use crate::node::gossip::answer::QueryResponder;
use crate::node::gossip::order::OrderedGossip;
use crate::node::ldk::keys::Keys;
use crate::node::ldk::logger::Logger;
use crate::node::ldk::offer_requests::OfferRequests;
use crate::node::ldk::types::{Broadcaster, ChannelMonitor, Filter, MessageRouter};
use crate::node::planner::router::NodeRouter;
use crate::storage::KvStore;
use crate::wallet::Wallet;

/// Sends LDK's transactions once the store holds what they follow from.
pub type HeldBroadcaster = held_broadcaster::HeldBroadcaster<Broadcaster>;

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

/// Stores each monitor as a base and its updates.
pub type MonitorPersister = persist::MonitorUpdatingPersister<
    Arc<KvStore>,
    Arc<Logger>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<HeldBroadcaster>,
    Arc<Feerates>,
>;

/// [`MonitorPersister`] over a store that defers its writes to the next checkpoint.
pub type DeferredMonitorPersister = persist::MonitorUpdatingPersister<
    Arc<DeferredStore>,
    Arc<Logger>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<HeldBroadcaster>,
    Arc<Feerates>,
>;

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

/// Arguments for reading a [`ChannelManager`] from its bytes.
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

/// Sends, forwards and receives onion messages.
pub type OnionMessenger = messenger::OnionMessenger<
    Arc<Keys>,
    Arc<Keys>,
    Arc<Logger>,
    Arc<ChannelManager>,
    Arc<MessageRouter>,
    Arc<OfferRequests<ChannelManager>>,
    Arc<ChannelManager>,
    Arc<ChannelManager>,
    Arc<IgnoringMessageHandler>,
>;

/// Runs the connections to peers over TCP.
pub type PeerManager = peer_handler::PeerManager<
    lightning_net_tokio::SocketDescriptor,
    Arc<HeldMessages<ChannelManager>>,
    Arc<OrderedGossip>,
    Arc<OnionMessenger>,
    Arc<Logger>,
    Arc<QueryResponder>,
    Arc<Keys>,
    Arc<ChainMonitor>,
>;

/// Adds fees to commitments and HTLC claims from the wallet.
pub type Bumper = BumpTransactionEventHandlerSync<
    Arc<HeldBroadcaster>,
    Arc<WalletSync<Arc<Wallet>, Arc<Logger>>>,
    Arc<Keys>,
    Arc<Logger>,
>;

/// A monitor between the store and the [`ChainMonitor`], while it catches up with the chain.
pub type RestoredMonitor = (ChannelMonitor, Arc<HeldBroadcaster>, Arc<Feerates>, Arc<Logger>);
