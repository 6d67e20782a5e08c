//! Asks peers in turn which young channels they know, so that none stays unknown to us (BOLT 7,
//! `query_channel_range`).
//!
//! LDK asks its first few peers for the whole network and then relies on relayed gossip, which is not repeated. The
//! channels of a day are a few hundred: the answer is a kilobyte or two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::routing::gossip::NodeId;
use tokio::time::Instant;

use super::ask::{Lacking, Worth, YOUNG};

/// Pause between two queries.
const PAUSE: Duration = Duration::from_secs(30);
/// Pause after a peer has connected: it may send gossip by itself, or know what no other peer does.
const PAUSE_FOR_A_NEWCOMER: Duration = Duration::from_secs(5);
/// Most unknown channels that one peer may list: what it makes up takes no place from others.
const MOST_OF_A_PEER: usize = 200;
/// Most unknown channels of all peers.
const MOST_OF_ALL: usize = 2_000;

/// The blocks whose channels a peer is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Who is asked.
    pub peer: PublicKey,
    /// The first block.
    pub first_block: u32,
    /// How many blocks.
    pub blocks: u32,
}

/// Whose turn it is, and which unknown channels peers listed.
#[derive(Default)]
pub struct Survey {
    turns: VecDeque<PublicKey>,
    /// BOLT 7 allows one question at a time; a peer that never answers is not asked again.
    asked: BTreeSet<PublicKey>,
    next: Option<Instant>,
    unheard_of: BTreeMap<u64, NodeId>,
}

impl Survey {
    /// A peer that understands gossip queries is there; it is the next one.
    pub fn connected(&mut self, peer: PublicKey, now: Instant) {
        self.disconnected(&peer);
        self.turns.push_front(peer);
        let soon = now + PAUSE_FOR_A_NEWCOMER;
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        self.asked.remove(peer);
        self.turns.retain(|other| other != peer);
    }

    /// Returns the next query, if one is due.
    pub fn decide(&mut self, height: u32, now: Instant) -> Option<Question> {
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        let peer = self.turns.pop_front()?;
        self.asked.insert(peer);
        self.next = Some(now + PAUSE);
        let first_block = height.saturating_sub(YOUNG);
        Some(Question { peer, first_block, blocks: height - first_block + 1 })
    }

    /// Records channels that a peer listed and our graph lacks; `complete` with the last part of its reply.
    pub fn record_reply(
        &mut self,
        peer: &PublicKey,
        unheard_of: impl IntoIterator<Item = u64>,
        complete: bool,
    ) {
        if !self.asked.contains(peer) {
            return;
        }
        let id = NodeId::from_pubkey(peer);
        let of_peer = self.unheard_of.values().filter(|lister| **lister == id).count();
        let room = MOST_OF_A_PEER
            .saturating_sub(of_peer)
            .min(MOST_OF_ALL.saturating_sub(self.unheard_of.len()));
        for short_channel_id in unheard_of.into_iter().take(room) {
            self.unheard_of.entry(short_channel_id).or_insert(id);
        }
        if complete && self.asked.remove(peer) {
            self.turns.push_back(*peer);
        }
    }

    /// Returns the young channels that peers listed, known by now or not.
    pub fn listed(&mut self, height: u32) -> Vec<Lacking> {
        self.unheard_of.retain(|scid, _| Worth::of(*scid, height) == Worth::Young);
        let lacking = self.unheard_of.iter().map(|(short_channel_id, lister)| Lacking {
            short_channel_id: *short_channel_id,
            known_to: [*lister, *lister],
            worth: Worth::Young,
        });
        lacking.collect()
    }

    /// Forgets channels that are known by now.
    pub fn forget(&mut self, known: &[Lacking]) {
        for channel in known {
            self.unheard_of.remove(&channel.short_channel_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    fn key(number: u8) -> PublicKey {
        let secret = SecretKey::from_slice(&[number; 32]).expect("a valid secret");
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    fn at(block: u64, transaction: u64) -> u64 {
        (block << 40) | (transaction << 16)
    }

    #[test]
    fn peers_take_turns_and_the_silent_lose_theirs() {
        let mut survey = Survey::default();
        let began = Instant::now();
        assert_eq!(survey.decide(800, began), None, "nobody is there");
        for peer in [3, 2, 1] {
            survey.connected(key(peer), began);
        }
        let mut asked = Vec::new();
        for second in 0..200 {
            let now = began + Duration::from_secs(second);
            if let Some(question) = survey.decide(800, now) {
                assert_eq!((question.first_block, question.blocks), (656, 145));
                if question.peer != key(2) {
                    survey.record_reply(&question.peer, [], true);
                }
                asked.push((second, question.peer));
            }
        }
        let expected = [(5, 1), (35, 2), (65, 3), (95, 1), (125, 3), (155, 1), (185, 3)];
        assert_eq!(asked, expected.map(|(second, peer)| (second, key(peer))));
        let now = began + Duration::from_secs(200);
        survey.connected(key(2), now);
        assert_eq!(survey.decide(800, now), None);
        let soon = survey.decide(800, now + PAUSE_FOR_A_NEWCOMER);
        assert_eq!(soon.map(|question| question.peer), Some(key(2)));
        let early = Survey { turns: [key(1)].into(), ..Survey::default() }.decide(10, began);
        assert_eq!(early, Some(Question { peer: key(1), first_block: 0, blocks: 11 }));
    }

    #[test]
    fn a_listed_channel_is_lacking_until_it_is_known_or_old() {
        let mut survey = Survey::default();
        let began = Instant::now();
        survey.connected(key(1), began);
        survey.record_reply(&key(1), [at(790, 1)], true);
        assert_eq!(survey.listed(800).len(), 0, "nobody asked");
        survey.decide(800, began + PAUSE);
        survey.record_reply(&key(1), [at(790, 1), at(795, 1), at(3, 1)], false);
        survey.record_reply(&key(1), [at(799, 1)], true);
        let ids = |survey: &mut Survey, height| -> Vec<u64> {
            let listed = survey.listed(height).into_iter();
            listed.map(|channel| channel.short_channel_id).collect()
        };
        assert_eq!(ids(&mut survey, 800), [at(790, 1), at(795, 1), at(799, 1)]);
        let known = survey.listed(800).remove(1);
        survey.forget(&[known]);
        assert_eq!(ids(&mut survey, 800), [at(790, 1), at(799, 1)]);
        assert_eq!(ids(&mut survey, 940), [at(799, 1)]);
    }

    #[test]
    fn one_peer_cannot_fill_the_list() {
        let mut survey = Survey::default();
        let began = Instant::now();
        for peer in 1..=12 {
            survey.connected(key(peer), began);
        }
        for turn in 0..12 {
            let question = survey.decide(800, began + PAUSE * (turn + 1)).expect("somebody's turn");
            let made_up = (0..1_000).map(|number| at(700 + u64::from(turn), number));
            survey.record_reply(&question.peer, made_up, true);
            let expected = MOST_OF_ALL.min(MOST_OF_A_PEER * (turn as usize + 1));
            assert_eq!(survey.listed(800).len(), expected);
        }
    }
}
