//! What an HTLC's fate teaches about the channels it met.
//!
//! All amounts are those at the hop in question *plus what else of ours was in flight there*, never the
//! amount of the whole payment: this is what the balance was really compared with.

use super::{Beliefs, Bounds};

impl Beliefs {
    /// The direction carried `amount_msat` (with all else of ours in flight there): an HTLC was forwarded.
    pub fn passed(&mut self, scid: u64, direction: u8, amount_msat: u64, now: u64) {
        let fresh = self.fresh_secs();
        let bounds = self.entry(scid, direction);
        if bounds.least_msat <= amount_msat || now.saturating_sub(bounds.least_at) > fresh {
            (bounds.least_msat, bounds.least_at) = (amount_msat, now);
        }
        if bounds.most_msat < amount_msat {
            *bounds = Bounds { most_msat: u64::MAX, most_at: now, ..*bounds };
        }
    }

    /// The direction did not carry `amount_msat` (with all else of ours in flight there): a temporary
    /// channel failure. Bars only greater amounts, and only in this direction.
    pub fn failed(&mut self, scid: u64, direction: u8, amount_msat: u64, now: u64) {
        let fresh = self.fresh_secs();
        let bounds = self.entry(scid, direction);
        let most = amount_msat.saturating_sub(1);
        if bounds.most_msat >= most || now.saturating_sub(bounds.most_at) > fresh {
            (bounds.most_msat, bounds.most_at) = (most, now);
        }
        if bounds.least_msat > most {
            *bounds = Bounds { least_msat: most, least_at: now, ..*bounds };
        }
    }

    /// An HTLC of `amount_msat` was settled over the direction: that much is gone from here and has
    /// come to the other side.
    pub fn settled(&mut self, scid: u64, direction: u8, amount_msat: u64) {
        let here = self.entry(scid, direction);
        here.least_msat = here.least_msat.saturating_sub(amount_msat);
        if here.most_msat != u64::MAX {
            here.most_msat = here.most_msat.saturating_sub(amount_msat);
        }
        let there = self.entry(scid, direction ^ 1);
        there.least_msat = there.least_msat.saturating_add(amount_msat);
        there.most_msat = there.most_msat.saturating_add(amount_msat);
    }

    /// A tighter bound younger than this is kept when a looser one is learnt.
    fn fresh_secs(&self) -> u64 {
        self.half_life_secs / 8
    }

    fn entry(&mut self, scid: u64, direction: u8) -> &mut Bounds {
        let both = self.channels.entry(scid).or_insert([Bounds::UNKNOWN; 2]);
        &mut both[usize::from(direction & 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Range;
    use super::*;

    #[test]
    fn success_and_failure_bound_both_directions() {
        let mut beliefs = Beliefs::new();
        beliefs.passed(1, 0, 300, 10);
        beliefs.failed(1, 0, 701, 10);
        assert_eq!(beliefs.range(1, 0, 1_000, 10), Range { least_msat: 300, most_msat: 700 });
        assert_eq!(beliefs.range(1, 1, 1_000, 10), Range { least_msat: 300, most_msat: 700 });
        beliefs.passed(1, 1, 500, 10);
        assert_eq!(beliefs.range(1, 0, 1_000, 10), Range { least_msat: 300, most_msat: 500 });
    }

    #[test]
    fn settling_moves_the_bounds() {
        let mut beliefs = Beliefs::new();
        beliefs.passed(1, 0, 300, 0);
        beliefs.failed(1, 0, 401, 0);
        beliefs.settled(1, 0, 300);
        assert_eq!(beliefs.range(1, 0, 1_000, 0), Range { least_msat: 0, most_msat: 100 });
        assert_eq!(beliefs.range(1, 1, 1_000, 0), Range { least_msat: 900, most_msat: 1_000 });
    }

    #[test]
    fn the_latest_word_wins_over_a_contradiction() {
        let mut beliefs = Beliefs::new();
        beliefs.failed(1, 0, 100, 0);
        beliefs.passed(1, 0, 500, 1);
        assert_eq!(beliefs.range(1, 0, 1_000, 1), Range { least_msat: 500, most_msat: 1_000 });
        beliefs.failed(1, 0, 200, 2);
        assert_eq!(beliefs.range(1, 0, 1_000, 2).most_msat, 199);
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let mut beliefs = Beliefs::new();
        for amount in [0, 1, u64::MAX] {
            for direction in [0, 1, 255] {
                beliefs.passed(1, direction, amount, u64::MAX);
                beliefs.failed(1, direction, amount, 0);
                beliefs.settled(1, direction, amount);
                let range = beliefs.range(1, direction, 1_000, 5);
                assert!(range.least_msat <= range.most_msat && range.most_msat <= 1_000);
            }
        }
    }
}
