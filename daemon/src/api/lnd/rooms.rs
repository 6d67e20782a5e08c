//! The rooms that lnd's services convert to and from.

use std::sync::Arc;

use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::chain::Tip;
use crate::channels::Channels;
use crate::feerates::Feerates;
use crate::forwards::Forwards;
use crate::invoices::Invoices;
use crate::journal::Journal;
use crate::node::Node;
use crate::payments::Payments;
use crate::peers::Peers;
use crate::tasks::Tasks;
use crate::wallet::Wallet;

/// Handles of the rooms; clones share them.
#[derive(Clone)]
pub struct LndRooms {
    /// LDK.
    pub node: Arc<Node>,
    /// Channels.
    pub channels: Channels,
    /// Outgoing payments.
    pub payments: Payments,
    /// Incoming payments.
    pub invoices: Invoices,
    /// Forwards.
    pub forwards: Forwards,
    /// Peers.
    pub peers: Peers,
    /// On-chain money.
    pub wallet: Wallet,
    /// On-chain fees.
    pub feerates: Feerates,
    /// What happened, in order.
    pub journal: Journal,
    /// The last block that all listeners have seen.
    pub tip: watch::Receiver<Tip>,
    /// Whether anything new may be taken on.
    pub admission: Admission,
    /// The daemon's tasks, which `StopDaemon` ends.
    pub tasks: Tasks,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

impl LndRooms {
    /// Returns the height of the last block that all listeners have seen.
    pub fn height(&self) -> u32 {
        self.tip.borrow().height
    }

    /// Returns the alias that a node announced; empty where there is none.
    pub fn alias(&self, node: &NodeId) -> String {
        let graph = self.node.graph.read_only();
        let announced = graph.node(node).and_then(|info| info.announcement_info.as_ref());
        announced.map(|announced| announced.alias().to_string()).unwrap_or_default()
    }

    /// Returns open channels: those that both sides have called ready.
    pub fn open_channels(&self) -> Vec<ChannelDetails> {
        let mut channels = self.channels.list(None);
        channels.retain(|channel| channel.is_channel_ready);
        channels
    }
}
