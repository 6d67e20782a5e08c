//! Keeps gossip in order while a channel is being proved against the chain.
//!
//! LDK holds back the policies of a channel whose funding output is being looked up. When the look-up
//! ends it takes the channel out of what is pending, verifies its signatures, and only then puts it into the
//! graph: a policy that comes in between finds the channel in neither place and is dropped, and nobody
//! sends it again. So messages wait for the fraction of a millisecond that this takes.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    BaseMessageHandler, ChannelAnnouncement, ChannelUpdate, Init, LightningError, MessageSendEvent,
    NodeAnnouncement, QueryChannelRange, QueryShortChannelIds, ReplyChannelRange,
    ReplyShortChannelIdsEnd, RoutingMessageHandler,
};
use lightning::routing::gossip::NodeId;
use lightning::types::features::{InitFeatures, NodeFeatures};

use super::types::GossipSync;

/// Held for writing while the outcome of a look-up goes into the graph. LDK is called under it, against
/// our habit: that is its purpose, and neither side takes another lock of ours meanwhile.
pub type Resolving = Arc<RwLock<()>>;

/// LDK's gossip, one message after the outcomes before it.
pub struct OrderedGossip {
    gossip: Arc<GossipSync>,
    resolving: Resolving,
    repeated: Mutex<Vec<MessageSendEvent>>,
}

impl OrderedGossip {
    /// Wraps `gossip`; whoever resolves look-ups holds `resolving` for writing.
    pub fn new(gossip: Arc<GossipSync>, resolving: Resolving) -> Self {
        Self { gossip, resolving, repeated: Mutex::default() }
    }

    /// Sends what the graph holds of a channel to all peers once more, whoever said it.
    pub fn repeat(&self, short_channel_id: u64) {
        let graph = self.gossip.network_graph().read_only();
        let Some(channel) = graph.channel(short_channel_id) else { return };
        let announcement = channel.announcement_message.clone();
        let policies = [&channel.one_to_two, &channel.two_to_one]
            .map(|policy| policy.as_ref().and_then(|policy| policy.last_update_message.clone()));
        let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        repeated.extend(
            announcement.map(|msg| MessageSendEvent::BroadcastChannelAnnouncement {
                msg,
                update_msg: None,
            }),
        );
        repeated.extend(
            policies
                .into_iter()
                .flatten()
                .map(|msg| MessageSendEvent::BroadcastChannelUpdate { msg }),
        );
    }

    fn settled(&self) -> RwLockReadGuard<'_, ()> {
        self.resolving.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BaseMessageHandler for OrderedGossip {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let mut events = self.gossip.get_and_clear_pending_msg_events();
        let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        events.append(&mut repeated);
        events
    }

    fn peer_disconnected(&self, their_node_id: PublicKey) {
        self.gossip.peer_disconnected(their_node_id);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.gossip.provided_node_features()
    }

    fn provided_init_features(&self, their_node_id: PublicKey) -> InitFeatures {
        self.gossip.provided_init_features(their_node_id)
    }

    fn peer_connected(
        &self,
        their_node_id: PublicKey,
        msg: &Init,
        inbound: bool,
    ) -> Result<(), ()> {
        self.gossip.peer_connected(their_node_id, msg, inbound)
    }
}

impl RoutingMessageHandler for OrderedGossip {
    fn handle_node_announcement(
        &self,
        their_node_id: Option<PublicKey>,
        msg: &NodeAnnouncement,
    ) -> Result<bool, LightningError> {
        let _settled = self.settled();
        self.gossip.handle_node_announcement(their_node_id, msg)
    }

    fn handle_channel_announcement(
        &self,
        their_node_id: Option<PublicKey>,
        msg: &ChannelAnnouncement,
    ) -> Result<bool, LightningError> {
        let _settled = self.settled();
        self.gossip.handle_channel_announcement(their_node_id, msg)
    }

    fn handle_channel_update(
        &self,
        their_node_id: Option<PublicKey>,
        msg: &ChannelUpdate,
    ) -> Result<bool, LightningError> {
        let _settled = self.settled();
        self.gossip.handle_channel_update(their_node_id, msg)
    }

    fn get_next_channel_announcement(
        &self,
        starting_point: u64,
    ) -> Option<(ChannelAnnouncement, Option<ChannelUpdate>, Option<ChannelUpdate>)> {
        self.gossip.get_next_channel_announcement(starting_point)
    }

    fn get_next_node_announcement(
        &self,
        starting_point: Option<&NodeId>,
    ) -> Option<NodeAnnouncement> {
        self.gossip.get_next_node_announcement(starting_point)
    }

    fn handle_reply_channel_range(
        &self,
        their_node_id: PublicKey,
        msg: ReplyChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_reply_channel_range(their_node_id, msg)
    }

    fn handle_reply_short_channel_ids_end(
        &self,
        their_node_id: PublicKey,
        msg: ReplyShortChannelIdsEnd,
    ) -> Result<(), LightningError> {
        self.gossip.handle_reply_short_channel_ids_end(their_node_id, msg)
    }

    fn handle_query_channel_range(
        &self,
        their_node_id: PublicKey,
        msg: QueryChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_channel_range(their_node_id, msg)
    }

    fn handle_query_short_channel_ids(
        &self,
        their_node_id: PublicKey,
        msg: QueryShortChannelIds,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_short_channel_ids(their_node_id, msg)
    }

    fn processing_queue_high(&self) -> bool {
        self.gossip.processing_queue_high()
    }
}
