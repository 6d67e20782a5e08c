//! LDK's `RoutingMessageHandler` around its own gossip: keeps messages in order, queries what was lost, and replies.
//!
//! LDK holds back the policies of a channel whose funding output is being looked up. When the look-up
//! ends it takes the channel out of what is pending, verifies its signatures, and only then puts it into the
//! graph: a policy that arrives in between finds the channel in neither place, is dropped, and is not sent
//! again. So messages wait for the fraction of a millisecond that this takes.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    BaseMessageHandler, ChannelAnnouncement, ChannelUpdate, Init, LightningError, MessageSendEvent,
    NodeAnnouncement, QueryChannelRange, QueryShortChannelIds, ReplyChannelRange,
    ReplyShortChannelIdsEnd, RoutingMessageHandler,
};
use lightning::routing::gossip::NodeId;
use lightning::types::features::{InitFeatures, NodeFeatures};
use tokio::time::Instant;

use super::answer::QueryResponder;
use super::ask::{Asker, Lacking};
use super::first_update::FirstUpdates;
use super::survey::Survey;
use crate::node::ldk::types::GossipSync;

/// Held for writing while the outcome of a look-up goes into the graph. LDK is called under it, against
/// our habit: that is its purpose, and neither side takes another lock of ours meanwhile.
pub type Resolving = Arc<RwLock<()>>;

/// LDK's gossip, one message after the outcomes before it, and complete.
pub struct OrderedGossip {
    gossip: Arc<GossipSync>,
    resolving: Resolving,
    answers: Arc<QueryResponder>,
    asker: Mutex<Asker>,
    survey: Mutex<Survey>,
    outgoing: Mutex<Vec<MessageSendEvent>>,
    first_updates: Mutex<FirstUpdates>,
    unverified: Unverified,
}

/// Channels that bitcoind cannot vouch for, since it has pruned their blocks.
#[derive(Default)]
struct Unverified {
    pruned_below: AtomicU32,
    accepted: AtomicUsize,
}

/// Most channels that are accepted without a look-up; mainnet has fewer.
const MOST_UNVERIFIED: usize = 60_000;

impl OrderedGossip {
    /// Wraps `gossip`; look-ups are resolved with `resolving` locked for writing.
    pub fn new(
        gossip: Arc<GossipSync>,
        resolving: Resolving,
        answers: Arc<QueryResponder>,
    ) -> Self {
        let (asker, survey, outgoing, first_updates) = Default::default();
        let unverified = Unverified::default();
        Self { gossip, resolving, answers, asker, survey, outgoing, first_updates, unverified }
    }

    /// Sends everything that the graph holds of a channel to all peers again, wherever it came from.
    pub fn repeat(&self, short_channel_id: u64) {
        let graph = self.gossip.network_graph().read_only();
        let Some(channel) = graph.channel(short_channel_id) else { return };
        let announcement = channel.announcement_message.clone();
        let policies = [&channel.one_to_two, &channel.two_to_one]
            .map(|policy| policy.as_ref().and_then(|policy| policy.last_update_message.clone()));
        let mut outgoing = lock(&self.outgoing);
        outgoing.extend(
            announcement.map(|msg| MessageSendEvent::BroadcastChannelAnnouncement {
                msg,
                update_msg: None,
            }),
        );
        outgoing.extend(
            policies
                .into_iter()
                .flatten()
                .map(|msg| MessageSendEvent::BroadcastChannelUpdate { msg }),
        );
    }

    /// Queries peers for what is `lacking`, and for channels that they list and we do not know, within the limits of
    /// [`Asker`] and [`Survey`]; `height` is that of our tip.
    pub fn ask_for(&self, mut lacking: Vec<Lacking>, height: u32) {
        let now = Instant::now();
        let listed = lock(&self.survey).listed(height);
        let (known, unheard_of): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|channel| self.is_known(channel.short_channel_id));
        lock(&self.survey).forget(&known);
        lacking.extend(unheard_of);
        let range = lock(&self.survey).decide(height, now);
        let questions = lock(&self.asker).decide(lacking, now);
        let chain_hash = self.gossip.network_graph().get_chain_hash();
        let range = range.map(|question| MessageSendEvent::SendChannelRangeQuery {
            node_id: question.peer,
            msg: QueryChannelRange {
                chain_hash,
                first_blocknum: question.first_block,
                number_of_blocks: question.blocks,
            },
        });
        let channels = questions.into_iter().map(|question| {
            let short_channel_ids = question.short_channel_ids;
            tracing::debug!(peer = %question.peer, ?short_channel_ids, "asking for channels");
            let msg = QueryShortChannelIds { chain_hash, short_channel_ids };
            MessageSendEvent::SendShortIdsQuery { node_id: question.peer, msg }
        });
        lock(&self.outgoing).extend(range.into_iter().chain(channels));
    }

    /// Goes on replying to peers; call it every second.
    pub fn refill_answers(&self) {
        self.answers.refill();
    }

    /// Says which blocks bitcoind has pruned: all below this height.
    ///
    /// Channels of those blocks are accepted by their signatures alone, up to a limit. To look them up would make
    /// bitcoind fetch megabytes from its peers for each announcement that somebody makes up, and a planner that meets a
    /// channel which does not exist learns so at its first attempt.
    pub fn set_pruned_below(&self, height: u32) {
        self.unverified.pruned_below.store(height, Ordering::Relaxed);
    }

    /// Returns whether a channel is accepted without a look-up; counts it then.
    fn accepts_unverified(&self, short_channel_id: u64) -> bool {
        let pruned_below = u64::from(self.unverified.pruned_below.load(Ordering::Relaxed));
        short_channel_id >> 40 < pruned_below
            && !self.is_known(short_channel_id)
            && self.unverified.accepted.fetch_add(1, Ordering::Relaxed) < MOST_UNVERIFIED
    }

    fn has_update(&self, short_channel_id: u64) -> bool {
        let graph = self.gossip.network_graph().read_only();
        let channel = graph.channel(short_channel_id);
        channel.is_some_and(|channel| channel.one_to_two.is_some() || channel.two_to_one.is_some())
    }

    /// Returns whether a message of LDK's may go out now; an announcement without updates has to wait.
    fn may_go_out(&self, message: &MessageSendEvent) -> bool {
        let MessageSendEvent::BroadcastChannelAnnouncement { msg, update_msg: None } = message
        else {
            return true;
        };
        let short_channel_id = msg.contents.short_channel_id;
        let has_update = self.has_update(short_channel_id);
        if !has_update {
            lock(&self.first_updates).hold_back(short_channel_id);
        }
        has_update
    }

    fn is_known(&self, short_channel_id: u64) -> bool {
        self.gossip.network_graph().read_only().channel(short_channel_id).is_some()
    }

    fn settled(&self) -> RwLockReadGuard<'_, ()> {
        self.resolving.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BaseMessageHandler for OrderedGossip {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let mut events = self.gossip.get_and_clear_pending_msg_events();
        events.retain(|event| self.may_go_out(event));
        events.append(&mut lock(&self.outgoing));
        events
    }

    fn peer_disconnected(&self, their_node_id: PublicKey) {
        lock(&self.asker).disconnected(&their_node_id);
        lock(&self.survey).disconnected(&their_node_id);
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
        self.gossip.peer_connected(their_node_id, msg, inbound)?;
        if msg.features.supports_gossip_queries() {
            lock(&self.asker).connected(their_node_id);
            lock(&self.survey).connected(their_node_id, Instant::now());
        }
        Ok(())
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
        let short_channel_id = msg.contents.short_channel_id;
        let is_new = match self.accepts_unverified(short_channel_id) {
            true => {
                let graph = self.gossip.network_graph();
                graph.update_channel_from_announcement_no_lookup(msg).map(|()| true)?
            }
            false => self.gossip.handle_channel_announcement(their_node_id, msg)?,
        };
        if is_new && !self.has_update(short_channel_id) {
            lock(&self.first_updates).hold_back(short_channel_id);
            return Ok(false);
        }
        Ok(is_new)
    }

    fn handle_channel_update(
        &self,
        their_node_id: Option<PublicKey>,
        msg: &ChannelUpdate,
    ) -> Result<bool, LightningError> {
        let _settled = self.settled();
        let is_new = self.gossip.handle_channel_update(their_node_id, msg)?;
        let short_channel_id = msg.contents.short_channel_id;
        if is_new && lock(&self.first_updates).release(short_channel_id) {
            // The announcement first, and this update after it.
            self.repeat(short_channel_id);
            return Ok(false);
        }
        Ok(is_new)
    }

    fn get_next_channel_announcement(
        &self,
        starting_point: u64,
    ) -> Option<(ChannelAnnouncement, Option<ChannelUpdate>, Option<ChannelUpdate>)> {
        let mut start = starting_point;
        loop {
            let (announcement, one, two) = self.gossip.get_next_channel_announcement(start)?;
            if one.is_some() || two.is_some() {
                return Some((announcement, one, two));
            }
            start = announcement.contents.short_channel_id.checked_add(1)?;
        }
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
        let ids = msg.short_channel_ids.iter().copied();
        let unheard_of: Vec<u64> = ids.filter(|id| !self.is_known(*id)).collect();
        lock(&self.survey).record_reply(&their_node_id, unheard_of, msg.sync_complete);
        self.gossip.handle_reply_channel_range(their_node_id, msg)
    }

    fn handle_reply_short_channel_ids_end(
        &self,
        their_node_id: PublicKey,
        msg: ReplyShortChannelIdsEnd,
    ) -> Result<(), LightningError> {
        lock(&self.asker).answered(&their_node_id, msg.full_information);
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
        self.answers.take(their_node_id, msg)
    }

    fn processing_queue_high(&self) -> bool {
        self.gossip.processing_queue_high()
    }
}
