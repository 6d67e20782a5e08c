//! Replies to `query_short_channel_ids` (BOLT 7), which LDK does not.
//!
//! The answers go out as custom messages, because LDK has no event for their end, nor for the
//! announcement of a node to one peer; their types are those of BOLT 7.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::io;
use lightning::ln::msgs::{
    DecodeError, ErrorAction, Init, LightningError, QueryShortChannelIds, ReplyShortChannelIdsEnd,
    WarningMessage,
};
use lightning::ln::peer_handler::CustomMessageHandler;
use lightning::ln::types::ChannelId;
use lightning::ln::wire::{CustomMessageReader, Type};
use lightning::routing::gossip::{NodeAnnouncementInfo, ReadOnlyNetworkGraph};
use lightning::types::features::{InitFeatures, NodeFeatures};
use lightning::util::logger::Level;
use lightning::util::ser::{LengthLimitedRead, Writeable, Writer};

use crate::node::ldk::types::Graph;

/// Most channels sent in reply to one query in a second: about 100 kB, as other implementations limit it.
const MOST_FOR_ONE: usize = 100;
/// Most channels sent in reply to all queries in a second.
const MOST_FOR_ALL: usize = 400;

/// Queries of peers, answered from the graph little by little.
pub struct QueryResponder {
    graph: Arc<Graph>,
    waiting: Mutex<Waiting>,
}

/// A message of BOLT 7 as it goes out.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    type_id: u16,
    encoded: Vec<u8>,
}

impl QueryResponder {
    /// Answers from `graph`.
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph, waiting: Mutex::new(Waiting::new()) }
    }

    /// Takes a query; the reply goes out with the next messages, as far as the limits allow.
    ///
    /// # Errors
    /// A warning for a peer whose last query has not been answered yet.
    pub fn take(
        &self,
        peer: PublicKey,
        question: QueryShortChannelIds,
    ) -> Result<(), LightningError> {
        let our_chain = self.graph.get_chain_hash();
        match self.waiting().take(peer, question, our_chain) {
            true => Ok(()),
            false => Err(still_answering()),
        }
    }

    /// Allows another second's worth of replies.
    pub fn refill(&self) {
        self.waiting().refill();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn still_answering() -> LightningError {
    let data = "query_short_channel_ids before the end of the last one".to_owned();
    LightningError {
        err: data.clone(),
        action: ErrorAction::SendWarningMessage {
            msg: WarningMessage { channel_id: ChannelId::new_zero(), data },
            log_level: Level::Debug,
        },
    }
}

/// Queries in the order in which they are answered.
struct Waiting {
    questions: VecDeque<Question>,
    allowance: usize,
}

struct Question {
    peer: PublicKey,
    short_channel_ids: VecDeque<u64>,
    allowance: usize,
    end: ReplyShortChannelIdsEnd,
}

/// What goes to a peer at once; with `reply_short_channel_ids_end` if it is the last part.
#[derive(Debug, PartialEq, Eq)]
struct Portion {
    peer: PublicKey,
    short_channel_ids: Vec<u64>,
    end: Option<ReplyShortChannelIdsEnd>,
}

impl Waiting {
    fn new() -> Self {
        Self { questions: VecDeque::new(), allowance: MOST_FOR_ALL }
    }

    /// Returns false if the peer has a query here already: at most one for each.
    fn take(&mut self, peer: PublicKey, asked: QueryShortChannelIds, our_chain: ChainHash) -> bool {
        if self.questions.iter().any(|question| question.peer == peer) {
            return false;
        }
        let full_information = asked.chain_hash == our_chain;
        let asked_for: BTreeSet<u64> = match full_information {
            true => asked.short_channel_ids.into_iter().collect(),
            false => BTreeSet::new(),
        };
        self.questions.push_back(Question {
            peer,
            short_channel_ids: asked_for.into_iter().collect(),
            allowance: MOST_FOR_ONE,
            end: ReplyShortChannelIdsEnd { chain_hash: asked.chain_hash, full_information },
        });
        true
    }

    fn refill(&mut self) {
        self.allowance = MOST_FOR_ALL;
        for question in &mut self.questions {
            question.allowance = MOST_FOR_ONE;
        }
    }

    fn forget(&mut self, peer: &PublicKey) {
        self.questions.retain(|question| question.peer != *peer);
    }

    /// Takes out what may be sent now.
    fn portions(&mut self) -> Vec<Portion> {
        let mut portions = Vec::new();
        for _ in 0..self.questions.len() {
            let Some(mut question) = self.questions.pop_front() else { break };
            let size = question.short_channel_ids.len().min(question.allowance).min(self.allowance);
            question.allowance -= size;
            self.allowance -= size;
            let short_channel_ids: Vec<u64> = question.short_channel_ids.drain(..size).collect();
            let peer = question.peer;
            if question.short_channel_ids.is_empty() {
                portions.push(Portion { peer, short_channel_ids, end: Some(question.end) });
                continue;
            }
            if size > 0 {
                portions.push(Portion { peer, short_channel_ids, end: None });
            }
            self.questions.push_back(question);
        }
        portions
    }
}

/// Returns the announcements of the channels, each with its updates, and then those of their nodes.
fn replies(graph: &ReadOnlyNetworkGraph<'_>, portion: &Portion) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut ends = BTreeSet::new();
    for short_channel_id in &portion.short_channel_ids {
        let Some(channel) = graph.channel(*short_channel_id) else { continue };
        // A peer ignores a channel without its signed announcement.
        let Some(announcement) = &channel.announcement_message else { continue };
        let policies = [&channel.one_to_two, &channel.two_to_one].into_iter().flatten();
        let updates: Vec<_> = policies.filter_map(|it| it.last_update_message.as_ref()).collect();
        if updates.is_empty() {
            continue;
        }
        replies.push(Reply::of(announcement));
        replies.extend(updates.into_iter().map(Reply::of));
        ends.extend([channel.node_one, channel.node_two]);
    }
    for end in ends {
        let known = graph.node(&end).and_then(|node| node.announcement_info.as_ref());
        if let Some(NodeAnnouncementInfo::Relayed(announcement)) = known {
            replies.push(Reply::of(announcement));
        }
    }
    replies.extend(portion.end.as_ref().map(Reply::of));
    replies
}

impl Reply {
    fn of(message: &impl Type) -> Self {
        Self { type_id: message.type_id(), encoded: message.encode() }
    }
}

impl Type for Reply {
    fn type_id(&self) -> u16 {
        self.type_id
    }
}

impl Writeable for Reply {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), io::Error> {
        writer.write_all(&self.encoded)
    }
}

impl CustomMessageReader for QueryResponder {
    type CustomMessage = Reply;

    /// LDK reads all messages of BOLT 7 itself.
    fn read<R: LengthLimitedRead>(
        &self,
        _message_type: u16,
        _buffer: &mut R,
    ) -> Result<Option<Reply>, DecodeError> {
        Ok(None)
    }
}

impl CustomMessageHandler for QueryResponder {
    fn handle_custom_message(
        &self,
        _message: Reply,
        _from: PublicKey,
    ) -> Result<(), LightningError> {
        Ok(())
    }

    fn get_and_clear_pending_msg(&self) -> Vec<(PublicKey, Reply)> {
        let portions = self.waiting().portions();
        if portions.is_empty() {
            return Vec::new();
        }
        let graph = self.graph.read_only();
        let to_peer = |portion: &Portion| {
            let peer = portion.peer;
            replies(&graph, portion).into_iter().map(move |reply| (peer, reply))
        };
        portions.iter().flat_map(to_peer).collect()
    }

    fn peer_disconnected(&self, their_node_id: PublicKey) {
        self.waiting().forget(&their_node_id);
    }

    fn peer_connected(&self, _peer: PublicKey, _init: &Init, _inbound: bool) -> Result<(), ()> {
        Ok(())
    }

    fn provided_node_features(&self) -> NodeFeatures {
        NodeFeatures::empty()
    }

    fn provided_init_features(&self, _their_node_id: PublicKey) -> InitFeatures {
        InitFeatures::empty()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;
    use crate::node::ldk::logger::Logger;

    fn key(number: u8) -> PublicKey {
        let secret = SecretKey::from_slice(&[number; 32]).expect("a valid secret");
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    const OURS: ChainHash = ChainHash::REGTEST;

    fn question(short_channel_ids: impl IntoIterator<Item = u64>) -> QueryShortChannelIds {
        let short_channel_ids = short_channel_ids.into_iter().collect();
        QueryShortChannelIds { chain_hash: OURS, short_channel_ids }
    }

    fn end(chain_hash: ChainHash, full_information: bool) -> Option<ReplyShortChannelIdsEnd> {
        Some(ReplyShortChannelIdsEnd { chain_hash, full_information })
    }

    #[test]
    fn a_short_question_is_answered_at_once_each_channel_once() {
        let mut waiting = Waiting::new();
        assert!(waiting.take(key(1), question([5, 3, 5]), OURS));
        let portion = Portion { peer: key(1), short_channel_ids: vec![3, 5], end: end(OURS, true) };
        assert_eq!(waiting.portions(), [portion]);
        assert_eq!(waiting.portions(), []);
    }

    #[test]
    fn of_another_chain_nothing_is_known() {
        let mut waiting = Waiting::new();
        let other = ChainHash::SIGNET;
        let asked = QueryShortChannelIds { chain_hash: other, short_channel_ids: vec![3] };
        assert!(waiting.take(key(1), asked, OURS));
        let portion = Portion { peer: key(1), short_channel_ids: vec![], end: end(other, false) };
        assert_eq!(waiting.portions(), [portion]);
    }

    #[test]
    fn a_peer_asks_one_question_at_a_time() {
        let mut waiting = Waiting::new();
        assert!(waiting.take(key(1), question(0..500), OURS));
        assert!(!waiting.take(key(1), question([3]), OURS));
        assert!(waiting.take(key(2), question([3]), OURS));
        waiting.forget(&key(1));
        assert!(waiting.take(key(1), question([3]), OURS));
    }

    #[test]
    fn a_long_answer_takes_its_time_and_leaves_room_for_others() {
        let mut waiting = Waiting::new();
        assert!(waiting.take(key(1), question(0..250), OURS));
        assert!(waiting.take(key(2), question([7]), OURS));
        let sizes = |waiting: &mut Waiting| -> Vec<(PublicKey, usize, bool)> {
            let portions = waiting.portions().into_iter();
            portions.map(|it| (it.peer, it.short_channel_ids.len(), it.end.is_some())).collect()
        };
        assert_eq!(sizes(&mut waiting), [(key(1), 100, false), (key(2), 1, true)]);
        assert_eq!(sizes(&mut waiting), []);
        waiting.refill();
        assert_eq!(sizes(&mut waiting), [(key(1), 100, false)]);
        waiting.refill();
        assert_eq!(sizes(&mut waiting), [(key(1), 50, true)]);
    }

    #[test]
    fn all_together_get_no_more_than_their_share() {
        let mut waiting = Waiting::new();
        for peer in 1..=6 {
            assert!(waiting.take(key(peer), question(0..200), OURS));
        }
        let answered = |waiting: &mut Waiting| -> Vec<PublicKey> {
            waiting.portions().into_iter().map(|portion| portion.peer).collect()
        };
        assert_eq!(answered(&mut waiting), [1, 2, 3, 4].map(key));
        waiting.refill();
        assert_eq!(answered(&mut waiting).len(), 4, "each of the next four ends or goes on");
    }

    #[test]
    fn unknown_channels_are_passed_over_and_the_end_says_so() {
        let graph = Arc::new(Graph::new(Network::Regtest, Arc::new(Logger::default())));
        let answers = QueryResponder::new(graph);
        answers.take(key(1), question([1, 2])).expect("the first question");
        let replies = answers.get_and_clear_pending_msg();
        let [(peer, reply)] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!((*peer, reply.type_id()), (key(1), 262));
        let mut expected = OURS.to_bytes().to_vec();
        expected.push(1);
        assert_eq!(reply.encode(), expected);
    }
}
