//! Which connections and disconnections of peers the journal tells: bounded for each peer, as a peer decides when it comes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use tokio::time::Instant;

use crate::journal::Entry;

/// So many changes of one peer become entries of the journal...
const CHANGES: usize = 10;
/// ... in this time; of a peer that goes on changing, the journal gets the state at the end of this time.
const WITHIN: Duration = Duration::from_secs(600);

/// The journal's last entry about each peer in this run.
#[derive(Default)]
pub struct Presence(HashMap<PublicKey, Told>);

#[derive(Default)]
struct Told {
    connected: bool,
    /// When, the oldest first.
    changes: VecDeque<Instant>,
}

impl Presence {
    /// Takes in which of the peers that matter are connected; returns the entries for the journal.
    pub fn see(
        &mut self,
        wanted: &HashSet<PublicKey>,
        connected: &HashSet<PublicKey>,
        now: Instant,
    ) -> Vec<Entry> {
        self.0.retain(|node_id, _| wanted.contains(node_id));
        let mut entries = Vec::new();
        for node_id in wanted {
            let is_connected = connected.contains(node_id);
            let told = self.0.entry(*node_id).or_default();
            if told.connected == is_connected || !told.may_change(now) {
                continue;
            }
            told.connected = is_connected;
            told.changes.push_back(now);
            entries.push(match is_connected {
                true => Entry::PeerConnected { node_id: *node_id },
                false => Entry::PeerDisconnected { node_id: *node_id },
            });
        }
        entries
    }
}

impl Told {
    fn may_change(&mut self, now: Instant) -> bool {
        while self.changes.front().is_some_and(|at| now.duration_since(*at) >= WITHIN) {
            self.changes.pop_front();
        }
        self.changes.len() < CHANGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_a_peer_that_flaps_is_bounded() {
        let text = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let node_id: PublicKey = text.parse().expect("a key");
        let (some, none) = (HashSet::from([node_id]), HashSet::new());
        let begin = Instant::now();
        let mut presence = Presence::default();
        let mut see = |connected: &HashSet<PublicKey>, secs| {
            presence.see(&some, connected, begin + Duration::from_secs(secs))
        };
        assert_eq!(see(&none, 0), [], "it was never connected");
        assert_eq!(see(&some, 1), [Entry::PeerConnected { node_id }]);
        assert_eq!(see(&some, 2), []);
        assert_eq!(see(&none, 3), [Entry::PeerDisconnected { node_id }]);
        let flapping = |second: u64| if second.is_multiple_of(2) { &some } else { &none };
        let told: usize = (4..600).map(|second| see(flapping(second), second).len()).sum();
        assert_eq!(told, 8, "ten in ten minutes");
        assert_eq!(see(&some, 700), [Entry::PeerConnected { node_id }], "as it is then");
        let mut presence = Presence::default();
        let to_strangers = presence.see(&HashSet::new(), &some, begin);
        assert_eq!(to_strangers, [], "strangers are none of the journal's business");
    }
}
