//! Decides which channels to query, at which peer, and when (BOLT 7, `query_short_channel_ids`).
//!
//! Gossip is sent once: a message that is lost, or that arrives before the channel it belongs to, is not repeated. On
//! mainnet thousands of channels lack one policy permanently, so queries are few, short and soon given up, and young
//! channels and our own come first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::routing::gossip::NodeId;
use tokio::time::Instant;

/// How long something has to be missing before the first query, and the pauses after queries in vain.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(600),
];
/// What an old channel lacks is mostly missing everywhere: one query.
const PAUSES_OF_OLD: [Duration; 1] = [Duration::from_secs(60)];
/// Most channels in a query; the answer has about a kilobyte for each.
const MOST_IN_A_QUESTION: usize = 50;
/// Most channels in all queries of one moment.
const MOST_AT_ONCE: usize = 200;
/// Most channels remembered as incomplete; mainnet has some thousands.
const MOST_WANTED: usize = 20_000;

/// A channel that our graph lacks, or one whose policy it lacks.
#[derive(Clone, Copy, Debug)]
pub struct Lacking {
    /// Which one.
    pub short_channel_id: u64,
    /// Nodes that are likely to know it: its ends, or the peer that listed it.
    pub known_to: [NodeId; 2],
    /// How much it matters.
    pub worth: Worth,
}

/// Blocks for which a channel counts as young: about a day.
pub(super) const YOUNG: u32 = 144;

/// How much a complete channel matters; the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Nobody can route through us without it.
    Ours,
    /// Announced lately: its gossip is still on its way.
    Young,
    /// Anything else.
    Old,
}

impl Worth {
    /// Returns the worth of a channel that is not ours at a tip of `height`.
    ///
    /// A short channel id begins with the height of the block that holds the funding (BOLT 7).
    pub fn of(short_channel_id: u64, height: u32) -> Self {
        match short_channel_id >> 40 >= u64::from(height.saturating_sub(YOUNG)) {
            true => Worth::Young,
            false => Worth::Old,
        }
    }
}

/// Channels to ask one peer for, in the order that BOLT 7 asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Who is asked.
    pub peer: PublicKey,
    /// For what.
    pub short_channel_ids: Vec<u64>,
}

/// Who can be asked, and what was asked for so far.
#[derive(Default)]
pub struct Asker {
    peers: BTreeMap<NodeId, Peer>,
    wanted: HashMap<u64, Want>,
}

struct Peer {
    id: PublicKey,
    /// BOLT 7 allows one question at a time; some implementations never answer.
    owes_an_answer: bool,
}

struct Want {
    asked: usize,
    /// None when it was asked for often enough.
    due: Option<Instant>,
}

impl Asker {
    /// A peer that understands gossip queries is there.
    pub fn connected(&mut self, peer: PublicKey) {
        self.peers.insert(NodeId::from_pubkey(&peer), Peer { id: peer, owes_an_answer: false });
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        self.peers.remove(&NodeId::from_pubkey(peer));
    }

    /// A peer has said all it knows. One without `full_information` does not follow our chain's gossip,
    /// and is not asked again while it is connected.
    pub fn answered(&mut self, peer: &PublicKey, full_information: bool) {
        if let Some(peer) = self.peers.get_mut(&NodeId::from_pubkey(peer)) {
            peer.owes_an_answer = !full_information;
        }
    }

    /// Returns what to ask for now, given everything that is lacking now.
    pub fn decide(&mut self, mut lacking: Vec<Lacking>, now: Instant) -> Vec<Question> {
        lacking.sort_by_key(|channel| (channel.worth, Reverse(channel.short_channel_id)));
        self.remember(&lacking, now);
        lacking.retain(|channel| {
            let want = self.wanted.get(&channel.short_channel_id);
            want.and_then(|want| want.due).is_some_and(|due| due <= now)
        });
        lacking.truncate(MOST_AT_ONCE);

        let mut asked: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for channel in &lacking {
            let Some(peer) = self.peer_for(channel, &asked) else { continue };
            asked.entry(peer).or_default().push(channel.short_channel_id);
            if let Some(want) = self.wanted.get_mut(&channel.short_channel_id) {
                want.asked += 1;
                want.due = pauses(channel.worth).get(want.asked).map(|pause| now + *pause);
            }
        }
        asked.into_iter().filter_map(|(peer, channels)| self.question(&peer, channels)).collect()
    }

    /// Begins to wait for what is newly missed, and forgets what has come.
    fn remember(&mut self, lacking: &[Lacking], now: Instant) {
        let still: HashSet<u64> = lacking.iter().map(|channel| channel.short_channel_id).collect();
        self.wanted.retain(|short_channel_id, _| still.contains(short_channel_id));
        for channel in lacking {
            if self.wanted.len() >= MOST_WANTED {
                return;
            }
            let first = || Want { asked: 0, due: Some(now + pauses(channel.worth)[0]) };
            self.wanted.entry(channel.short_channel_id).or_insert_with(first);
        }
    }

    /// An end of the channel knows best; the others take turns, so that each try asks somebody else.
    fn peer_for(&self, channel: &Lacking, asked: &BTreeMap<NodeId, Vec<u64>>) -> Option<NodeId> {
        let has_room = |id: &NodeId| {
            self.peers.get(id).is_some_and(|peer| !peer.owes_an_answer)
                && asked.get(id).is_none_or(|channels| channels.len() < MOST_IN_A_QUESTION)
        };
        let tried = self.wanted.get(&channel.short_channel_id).map_or(0, |want| want.asked);
        let end = channel.known_to.iter().find(|end| has_room(end));
        end.copied().or_else(|| {
            let candidates: Vec<_> = self.peers.keys().filter(|id| has_room(id)).collect();
            let block_and_transaction = (channel.short_channel_id >> 16) as usize;
            let place = block_and_transaction.wrapping_add(tried).checked_rem(candidates.len())?;
            candidates.get(place).map(|id| **id)
        })
    }

    fn question(&mut self, peer: &NodeId, mut channels: Vec<u64>) -> Option<Question> {
        let peer = self.peers.get_mut(peer)?;
        peer.owes_an_answer = true;
        channels.sort_unstable();
        Some(Question { peer: peer.id, short_channel_ids: channels })
    }
}

fn pauses(worth: Worth) -> &'static [Duration] {
    match worth {
        Worth::Ours | Worth::Young => &PAUSES,
        Worth::Old => &PAUSES_OF_OLD,
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

    fn channel(short_channel_id: u64, ends: [u8; 2], worth: Worth) -> Lacking {
        let known_to = ends.map(|end| NodeId::from_pubkey(&key(end)));
        Lacking { short_channel_id, known_to, worth }
    }

    fn asker(peers: &[u8]) -> Asker {
        let mut asker = Asker::default();
        for peer in peers {
            asker.connected(key(*peer));
        }
        asker
    }

    /// Lets everything that is lacking become due.
    fn after_the_first_pause(asker: &mut Asker, lacking: &[Lacking]) -> (Vec<Question>, Instant) {
        let now = Instant::now();
        assert_eq!(asker.decide(lacking.to_vec(), now), [], "gossip may still be on its way");
        let later = now + Duration::from_secs(60);
        (asker.decide(lacking.to_vec(), later), later)
    }

    #[test]
    fn an_end_is_asked_before_others_and_ids_ascend() {
        let lacking = [
            channel(9, [1, 7], Worth::Old),
            channel(4, [7, 1], Worth::Young),
            channel(6, [7, 8], Worth::Old),
        ];
        let (questions, _) = after_the_first_pause(&mut asker(&[1]), &lacking);
        assert_eq!(questions, [Question { peer: key(1), short_channel_ids: vec![4, 6, 9] }]);

        let (questions, _) = after_the_first_pause(&mut asker(&[1, 2, 3]), &lacking[..2]);
        assert_eq!(questions, [Question { peer: key(1), short_channel_ids: vec![4, 9] }]);

        let (questions, _) = after_the_first_pause(&mut asker(&[]), &lacking);
        assert_eq!(questions, []);
    }

    #[test]
    fn a_peer_is_asked_once_at_a_time_and_not_again_if_it_knows_nothing() {
        let lacking = [channel(4, [1, 7], Worth::Ours)];
        for (answer, asked_again) in [(None, false), (Some(true), true), (Some(false), false)] {
            let mut asker = asker(&[1]);
            let (questions, now) = after_the_first_pause(&mut asker, &lacking);
            assert_eq!(questions.len(), 1);
            if let Some(full_information) = answer {
                asker.answered(&key(1), full_information);
            }
            let later = now + Duration::from_secs(3_600);
            let again = asker.decide(lacking.to_vec(), later);
            assert_eq!(!again.is_empty(), asked_again, "{answer:?}");
            // A new connection starts over.
            asker.disconnected(&key(1));
            asker.connected(key(1));
            assert_eq!(asker.decide(lacking.to_vec(), later).is_empty(), asked_again);
        }
    }

    #[test]
    fn vain_questions_come_more_rarely_and_end() {
        for (worth, expected) in [(Worth::Young, vec![3, 18, 78, 678]), (Worth::Old, vec![60])] {
            let lacking = [channel(4, [7, 8], worth)];
            let mut asker = asker(&[1, 2]);
            let began = Instant::now();
            let asked_at: Vec<u64> = (0..10_000)
                .filter(|seconds| {
                    let now = began + Duration::from_secs(*seconds);
                    let questions = asker.decide(lacking.to_vec(), now);
                    for question in &questions {
                        asker.answered(&question.peer, true);
                    }
                    !questions.is_empty()
                })
                .collect();
            assert_eq!(asked_at, expected, "{worth:?}");
            // What was complete in between is asked for again when it lacks something again.
            let later = began + Duration::from_secs(20_000);
            assert_eq!(asker.decide(Vec::new(), later), []);
            assert_eq!(asker.decide(lacking.to_vec(), later), []);
            let questions = asker.decide(lacking.to_vec(), later + Duration::from_secs(60));
            assert_eq!(questions.len(), 1);
        }
    }

    #[test]
    fn tries_ask_different_peers() {
        let lacking = [channel(4, [7, 8], Worth::Young)];
        let mut asker = asker(&[1, 2, 3]);
        let (first, now) = after_the_first_pause(&mut asker, &lacking);
        asker.answered(&first[0].peer, true);
        let second = asker.decide(lacking.to_vec(), now + Duration::from_secs(60));
        assert_ne!(first[0].peer, second[0].peer);
    }

    #[test]
    fn thousands_are_asked_for_in_small_portions_the_young_first() {
        let mut lacking: Vec<_> = (0..30_000).map(|id| channel(id, [7, 8], Worth::Old)).collect();
        lacking.push(channel(40_000, [7, 8], Worth::Young));
        let (questions, _) = after_the_first_pause(&mut asker(&[1, 2]), &lacking);
        assert_eq!(questions.len(), 2);
        for question in &questions {
            assert_eq!(question.short_channel_ids.len(), MOST_IN_A_QUESTION);
        }
        assert!(questions.iter().any(|question| question.short_channel_ids.contains(&40_000)));
        let many: Vec<u8> = (1..=9).collect();
        let (questions, _) = after_the_first_pause(&mut asker(&many), &lacking);
        let all: usize = questions.iter().map(|question| question.short_channel_ids.len()).sum();
        assert_eq!(all, MOST_AT_ONCE);
    }

    #[test]
    fn channels_of_the_last_day_are_young() {
        let at = |block: u64| (block << 40) | (7 << 16) | 1;
        for (block, height, expected) in [
            (1_000, 1_006, Worth::Young),
            (1_000, 1_144, Worth::Young),
            (1_000, 1_145, Worth::Old),
            (1_000, 999, Worth::Young),
            (3, 100, Worth::Young),
        ] {
            assert_eq!(Worth::of(at(block), height), expected, "{block} at {height}");
        }
    }
}
