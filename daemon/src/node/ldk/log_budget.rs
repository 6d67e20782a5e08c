//! How many lines above DEBUG each peer may cause in the log within a minute.

use std::collections::HashMap;

use bitcoin::secp256k1::PublicKey;

/// Lines of one peer within a minute.
const PER_PEER: u64 = 20;
/// Lines of all peers together within a minute: strangers make node ids at will.
const IN_ALL: u64 = 200;
/// Peers that are counted apart; the others count together.
const PEERS: usize = 256;

/// Counts lines by peer since the last [`Budget::take_suppressed`].
#[derive(Default)]
pub struct Budget {
    counts: HashMap<Option<PublicKey>, Count>,
    allowed: u64,
}

#[derive(Default)]
struct Count {
    allowed: u64,
    suppressed: u64,
}

impl Budget {
    /// Charges a line to its peer; returns whether it may be logged above DEBUG.
    ///
    /// Lines about no peer are about our own channels and payments, and always may.
    pub fn take(&mut self, peer: Option<PublicKey>) -> bool {
        let Some(peer) = peer else { return true };
        let is_counted_apart = self.counts.len() < PEERS || self.counts.contains_key(&Some(peer));
        let count = self.counts.entry(is_counted_apart.then_some(peer)).or_default();
        let is_within = self.allowed < IN_ALL && count.allowed < PER_PEER;
        if is_within {
            count.allowed += 1;
            self.allowed += 1;
        } else {
            count.suppressed += 1;
        }
        is_within
    }

    /// Begins a new minute; returns how many lines of each peer were suppressed in the last one, with none for those that
    /// were counted together.
    pub fn take_suppressed(&mut self) -> Vec<(Option<PublicKey>, u64)> {
        let Self { counts, .. } = std::mem::take(self);
        let suppressed = counts.into_iter().map(|(peer, count)| (peer, count.suppressed));
        suppressed.filter(|(_, lines)| *lines > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    fn key(number: u32) -> PublicKey {
        let mut secret = [1; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let secret = SecretKey::from_slice(&secret).expect("a valid secret");
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    #[test]
    fn a_peer_has_some_lines_a_minute_and_the_rest_is_summed_up() {
        let mut budget = Budget::default();
        let allowed = (0..49_800).filter(|_| budget.take(Some(key(1)))).count();
        assert_eq!(allowed, 20);
        assert!(budget.take(Some(key(2))) && budget.take(None));
        assert_eq!(budget.take_suppressed(), [(Some(key(1)), 49_780)]);
        assert!(budget.take(Some(key(1))), "a new minute");
        assert!(
            (0..1_000).all(|_| budget.take(None)),
            "what is about ourselves is never suppressed"
        );
        assert_eq!(budget.take_suppressed(), []);
    }

    #[test]
    fn many_strangers_together_have_a_budget_and_a_bounded_table() {
        let mut budget = Budget::default();
        let allowed = (0..1_000).filter(|number| budget.take(Some(key(*number)))).count();
        assert_eq!(allowed, 200);
        assert!(budget.counts.len() <= PEERS + 1);
        let suppressed: u64 = budget.take_suppressed().iter().map(|(_, lines)| lines).sum();
        assert_eq!(suppressed, 800);
    }
}
