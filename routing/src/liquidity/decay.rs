//! Knowledge ages: a bound holds as long as nobody else moved the balance since it was learnt.
//!
//! Others pay over a channel at times we do not see, and what they leave is as good as drawn anew. With
//! such moves at a constant rate, the chance that there was none within an age `a` is
//!
//! ```text
//! w(a) = 2^(-a / half_life)
//! ```
//!
//! A lower bound of age `a` and an upper bound of age `b > a` thus leave three cases: no move since the
//! older one, so both hold (`w(b)`); moves before the younger one only, so it alone holds
//! (`w(a) - w(b)`); a move since, so neither does (`1 - w(a)`). The chance of an amount is the sum over the
//! cases. (How likely the older bound was with a move after it is left out: it is near 1 for most.)
//!
//! So an amount that failed has the chance `(1 - w) * P` of the prior's `P` some time later, whatever the
//! capacity. A bound that crept towards the capacity instead would open by 320 sat a second on a channel of
//! 10M sat with six hours' half-life: 1M sat that just failed would be sent again one second later, with a
//! chance of 3 in 10,000, because that way is cheap; and a route hint, of whose capacity nothing is known,
//! would forget at once.
//!
//! Where both directions have just refused what their balances cannot both be short of, something else stops
//! HTLCs there (BOLT 4's temporary_channel_failure does not say what): each failure then speaks of its own
//! direction only.
//!
//! A case of less weight than [`LEAST_WEIGHT`] is left out. Hence a bound rests: for [`rest_secs`] after it
//! was learnt nothing beyond it is tried at all; and it is forgotten when as little of it is left.

use super::bounds::{Bounds, Range};

/// Cases that weigh less are left out.
pub const LEAST_WEIGHT: f32 = 1.0 / 200.0;

/// Returns how long a bound stands untouched: 156 s for a half-life of six hours.
pub fn rest_secs(half_life_secs: u64) -> u64 {
    (half_life_secs as f64 * -(1.0 - f64::from(LEAST_WEIGHT)).log2()) as u64
}

/// Returns the chance that nothing has happened since; near 0 and 1 it is made whole. A time to come counts
/// as now.
fn weight(learnt_at: u64, half_life_secs: u64, now: u64) -> f32 {
    if now <= learnt_at {
        return 1.0;
    }
    let age = (now - learnt_at) as f64 / half_life_secs.max(1) as f64;
    let weight = (-age).exp2() as f32;
    match weight {
        w if w < LEAST_WEIGHT => 0.0,
        w if w >= 1.0 - LEAST_WEIGHT => 1.0,
        w => w,
    }
}

/// Bounds that hold together with some chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case {
    pub range: Range,
    pub weight: f32,
}

/// What a direction of a channel can carry: up to three cases, whose weights sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cases {
    all: [Case; 3],
    count: usize,
}

impl Cases {
    /// Only this is possible.
    pub(crate) fn sure(range: Range) -> Self {
        Self { all: [Case { range, weight: 1.0 }; 3], count: 1 }
    }

    #[inline]
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Case> {
        self.all[..self.count].iter()
    }

    /// Returns the bounds where they are the same in all cases.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Range> {
        if self.count == 1 { Some(&self.all[0].range) } else { None }
    }

    /// Returns the bounds that are left when cases of `share` of the weight are left out on either side:
    /// more than that much of it has to speak for a greater amount, or for a smaller one.
    pub(crate) fn likely(&self, share: f32) -> Range {
        if let Some(&range) = self.only() {
            return range;
        }
        let above = |msat: u64| self.sum(|range| range.most_msat >= msat);
        let below = |msat: u64| self.sum(|range| range.least_msat <= msat);
        let most = self.iter().map(|case| case.range.most_msat).filter(|&msat| above(msat) > share);
        let least =
            self.iter().map(|case| case.range.least_msat).filter(|&msat| below(msat) > share);
        let (least_msat, most_msat) = (least.min().unwrap_or(0), most.max().unwrap_or(0));
        Range { least_msat: least_msat.min(most_msat), most_msat }
    }

    /// Returns the same seen from the other end of the channel.
    pub(crate) fn mirrored(&self, capacity_msat: u64) -> Self {
        let mut mirrored = *self;
        for case in &mut mirrored.all {
            let Range { least_msat, most_msat } = case.range;
            case.range = Range {
                least_msat: capacity_msat.saturating_sub(most_msat),
                most_msat: capacity_msat.saturating_sub(least_msat),
            };
        }
        mirrored
    }

    fn sum(&self, counts: impl Fn(&Range) -> bool) -> f32 {
        self.iter().filter(|case| counts(&case.range)).map(|case| case.weight).sum()
    }

    /// Adds a case; what weighs too little goes to the first.
    fn add(&mut self, range: Range, weight: f32) {
        if weight >= LEAST_WEIGHT {
            self.all[0].weight -= weight;
            self.all[self.count] = Case { range, weight };
            self.count += 1;
        }
    }
}

/// Returns whether both directions have just refused what the balance of one of them at least must have held.
pub(crate) fn both_failed(
    one: &Bounds,
    other: &Bounds,
    capacity_msat: u64,
    half_life_secs: u64,
    now: u64,
) -> bool {
    one.most_msat.saturating_add(other.most_msat) < capacity_msat
        && [one, other].iter().all(|bounds| weight(bounds.most_at, half_life_secs, now) >= 1.0)
}

/// Returns what the bounds of both directions still imply for one, `here`, or `None` where that is nothing.
pub(crate) fn cases(
    here: &Bounds,
    there: &Bounds,
    capacity_msat: u64,
    half_life_secs: u64,
    now: u64,
) -> Option<Cases> {
    let weight = |at: u64| weight(at, half_life_secs, now);
    // The directions share the capacity, so each bounds the other. As gaps from 0 and from the capacity, the
    // two kinds of bounds are alike; of two, that counts which is expected to carry more information.
    let gap = |bound: u64| capacity_msat - bound.min(capacity_msat);
    let tighter = |one: (u64, u64), two: (u64, u64)| {
        let worth = |(gap, at): (u64, u64)| gap as f64 * f64::from(weight(at));
        // Usually one of them carries no information, and the power need not be computed.
        if two.0 == 0 || (one.0 > 0 && worth(two) <= worth(one)) { one } else { two }
    };
    let low = (here.least_msat.min(capacity_msat), here.least_at);
    let (least, least_at) = match both_failed(here, there, capacity_msat, half_life_secs, now) {
        true => low,
        false => tighter(low, (gap(there.most_msat), there.most_at)),
    };
    let high = (gap(here.most_msat), here.most_at);
    let (over, most_at) = tighter(high, (there.least_msat.min(capacity_msat), there.least_at));
    let most = capacity_msat - over;
    let mut by_least = if least > 0 { weight(least_at) } else { 0.0 };
    let mut by_most = if over > 0 { weight(most_at) } else { 0.0 };
    let (mut least, mut most) = (least, most);
    if least > most && by_least > 0.0 && by_most > 0.0 {
        // They contradict each other, so something happened between: the younger one holds. Where neither is
        // younger, neither is believed wholly.
        match least_at.cmp(&most_at) {
            std::cmp::Ordering::Less => by_least = 0.0,
            std::cmp::Ordering::Greater => by_most = 0.0,
            std::cmp::Ordering::Equal => (least, most) = (most, least),
        }
    }
    let range = |least_msat: u64, most_msat: u64| Range { least_msat, most_msat };
    let younger = if by_least > by_most { range(least, capacity_msat) } else { range(0, most) };
    let (old, young) = (by_least.min(by_most), by_least.max(by_most));
    if young == 0.0 {
        return None;
    }
    let nothing = range(0, capacity_msat);
    let mut cases = Cases::sure(younger);
    if old > 0.0 {
        cases = Cases::sure(range(least, most));
        cases.add(younger, young - old);
    }
    cases.add(nothing, 1.0 - young);
    Some(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn known(least: (u64, u64), most: (u64, u64), now: u64) -> Option<Cases> {
        let here =
            Bounds { least_msat: least.0, least_at: least.1, most_msat: most.0, most_at: most.1 };
        cases(&here, &Bounds::UNKNOWN, 1_000, HOUR, now)
    }

    fn rows(cases: Option<Cases>) -> Vec<(u64, u64, f32)> {
        let row = |c: &Case| (c.range.least_msat, c.range.most_msat, c.weight);
        cases.iter().flat_map(Cases::iter).map(row).collect()
    }

    #[test]
    fn a_half_life_halves_the_chance_that_a_bound_holds() {
        assert_eq!(rows(known((0, 0), (600, 0), HOUR)), [(0, 600, 0.5), (0, 1_000, 0.5)]);
        assert_eq!(rows(known((400, 0), (1_000, 0), HOUR)), [(400, 1_000, 0.5), (0, 1_000, 0.5)]);
        let both = rows(known((400, 0), (600, HOUR), 2 * HOUR));
        assert_eq!(both, [(400, 600, 0.25), (0, 600, 0.25), (0, 1_000, 0.5)]);
        assert_eq!(rows(known((400, 0), (600, 0), 100 * HOUR)), []);
    }

    #[test]
    fn a_young_bound_holds_without_doubt() {
        let rest = rest_secs(HOUR);
        assert!((20..30).contains(&rest));
        assert_eq!(rows(known((0, 0), (600, 100), 100 + rest)), [(0, 600, 1.0)]);
        assert_eq!(rows(known((0, 0), (600, 100), 50)), [(0, 600, 1.0)], "a time to come is now");
        assert_eq!(known((0, 0), (600, 100), 102 + rest).map(|cases| cases.count), Some(2));
    }

    #[test]
    fn the_younger_of_two_that_contradict_holds() {
        assert_eq!(rows(known((700, 5), (300, 6), 6)), [(0, 300, 1.0)]);
        assert_eq!(rows(known((700, 6), (300, 5), 6)), [(700, 1_000, 1.0)]);
        assert_eq!(rows(known((700, 6), (300, 6), 6)), [(300, 700, 1.0)]);
    }

    #[test]
    fn both_directions_speak_of_one_balance() {
        let here = Bounds { least_msat: 100, most_msat: 900, ..Bounds::UNKNOWN };
        let there = Bounds { least_msat: 300, most_msat: 800, ..Bounds::UNKNOWN };
        let seen = |a, b| rows(cases(a, b, 1_000, HOUR, 0));
        assert_eq!(seen(&here, &there), [(200, 700, 1.0)]);
        assert_eq!(seen(&there, &here), [(300, 800, 1.0)]);
        let mirrored = cases(&here, &there, 1_000, HOUR, 0).map(|cases| cases.mirrored(1_000));
        assert_eq!(rows(mirrored), [(300, 800, 1.0)]);
    }

    #[test]
    fn what_fails_in_both_directions_is_left_alone_in_both() {
        let here = Bounds { most_msat: 300, most_at: 5, ..Bounds::UNKNOWN };
        let there = Bounds { most_msat: 400, most_at: 6, ..Bounds::UNKNOWN };
        let seen = |a, b, now| rows(cases(a, b, 1_000, HOUR, now));
        assert_eq!(seen(&here, &there, 7), [(0, 300, 1.0)]);
        assert_eq!(seen(&there, &here, 7), [(0, 400, 1.0)]);
        // Later they are balances again, of which the younger is believed.
        let later = seen(&here, &there, 10 + rest_secs(HOUR));
        assert!(later.iter().all(|&(least, most, _)| least == 600 || most == 1_000), "{later:?}");
    }

    #[test]
    fn bounds_beyond_the_capacity_tell_what_the_capacity_does() {
        assert_eq!(rows(known((u64::MAX, 0), (u64::MAX, 0), 0)), [(1_000, 1_000, 1.0)]);
        assert_eq!(rows(known((0, 0), (u64::MAX, 0), 0)), []);
    }

    #[test]
    fn likely_bounds_leave_out_what_weighs_little() {
        let cases = known((400, 0), (600, HOUR), 2 * HOUR).expect("young enough");
        assert_eq!(cases.likely(0.0), Range { least_msat: 0, most_msat: 1_000 });
        assert_eq!(cases.likely(0.5), Range { least_msat: 0, most_msat: 600 });
    }
}
