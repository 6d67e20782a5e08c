//! The operator's rules for channels that peers open to us.

use std::str::FromStr as _;

use bitcoin::secp256k1::PublicKey;
use serde::{Deserialize, Serialize};

/// LDK forgets a request that nobody has answered after one to two minutes.
const MAX_DECISION_TIMEOUT_SECS: u64 = 50;

/// Section `[acceptance]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The only peers whose channels are accepted, by node id; empty for all.
    pub only_peers: Vec<String>,
    /// Peers whose channels are not accepted, by node id.
    pub refused_peers: Vec<String>,
    /// Peers whose channels are used before their funding is confirmed, by node id. Such a peer can take back what was
    /// paid over the channel until then.
    pub zero_conf_peers: Vec<String>,
    /// Whether channels are accepted that the network may hear of.
    pub public: bool,
    /// Whether channels are accepted that only both peers know.
    pub private: bool,
    /// Channels, open and pending, that a peer may have with us, no matter who opened them; 0 for any number.
    pub max_per_peer: usize,
    /// Announced channels that a peer must have with others; 0 asks for none.
    pub min_peer_channels: usize,
    /// What a peer's announced channels must hold together, in satoshis; 0 asks for nothing.
    pub min_peer_capacity_sat: u64,
    /// Seconds that a program has which decides about each open (`fulmen channel decide`); at most 50.
    pub decision_timeout_secs: u64,
    /// Whether an open is accepted that the program has not decided by then.
    pub accept_undecided: bool,
    /// Whether opens are refused while no program decides.
    pub needs_decision: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            only_peers: Vec::new(),
            refused_peers: Vec::new(),
            zero_conf_peers: Vec::new(),
            public: true,
            private: true,
            max_per_peer: 0,
            min_peer_channels: 0,
            min_peer_capacity_sat: 0,
            decision_timeout_secs: 10,
            accept_undecided: false,
            needs_decision: false,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (option, peers) in [
            ("only_peers", &self.only_peers),
            ("refused_peers", &self.refused_peers),
            ("zero_conf_peers", &self.zero_conf_peers),
        ] {
            let wrong = peers.iter().filter(|peer| PublicKey::from_str(peer).is_err());
            problems
                .extend(wrong.map(|peer| format!("acceptance.{option}: {peer} is not a node id")));
        }
        let contradicts = |peer: &&String| self.refused_peers.contains(*peer);
        let both = self.only_peers.iter().chain(&self.zero_conf_peers).find(contradicts);
        problems.extend(both.map(|peer| {
            format!("acceptance.refused_peers: {peer} is in only_peers or zero_conf_peers as well")
        }));
        if !(1..=MAX_DECISION_TIMEOUT_SECS).contains(&self.decision_timeout_secs) {
            problems.push(format!(
                "acceptance.decision_timeout_secs: {} is not between 1 and {MAX_DECISION_TIMEOUT_SECS}",
                self.decision_timeout_secs
            ));
        }
        problems
    }

    /// Whether a peer may open channels at all.
    pub fn admits(&self, peer: &PublicKey) -> bool {
        !names(&self.refused_peers, peer)
            && (self.only_peers.is_empty() || names(&self.only_peers, peer))
    }

    /// Whether a peer's channels are used before their funding is confirmed.
    pub fn trusts(&self, peer: &PublicKey) -> bool {
        names(&self.zero_conf_peers, peer)
    }

    /// Whether the graph must be asked about a peer.
    pub fn asks_for_size(&self) -> bool {
        self.min_peer_channels > 0 || self.min_peer_capacity_sat > 0
    }
}

fn names(peers: &[String], peer: &PublicKey) -> bool {
    peers.iter().any(|named| PublicKey::from_str(named).is_ok_and(|named| named == *peer))
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    #[test]
    fn problems_name_their_option() {
        assert!(Config::default().problems().is_empty());
        let peer = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".to_owned();
        let config = Config {
            only_peers: vec!["alice".to_owned(), peer.clone()],
            refused_peers: vec![peer],
            decision_timeout_secs: 60,
            ..Config::default()
        };
        let problems = config.problems();
        let options = ["only_peers: alice", "refused_peers: 0279", "decision_timeout_secs: 60"];
        for (problem, option) in problems.iter().zip(options) {
            assert!(problem.starts_with(&format!("acceptance.{option}")), "{problem}");
        }
        assert_eq!(problems.len(), options.len());
    }

    #[test]
    fn peers_are_admitted_refused_and_trusted_by_their_ids() {
        let peer = SecretKey::from_slice(&[7; 32]).expect("a key").public_key(&Secp256k1::new());
        let named = || vec![peer.to_string().to_uppercase()];
        assert!(Config::default().admits(&peer) && !Config::default().trusts(&peer));
        assert!(!Config { refused_peers: named(), ..Config::default() }.admits(&peer));
        assert!(Config { only_peers: named(), ..Config::default() }.admits(&peer));
        let others = vec!["02".repeat(33)];
        assert!(!Config { only_peers: others, ..Config::default() }.admits(&peer));
        assert!(Config { zero_conf_peers: named(), ..Config::default() }.trusts(&peer));
    }
}
