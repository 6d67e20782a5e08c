//! Knowledge ages: bounds widen towards "anything between nothing and the capacity".

use super::{Bounds, Range};

/// Returns what aged bounds still tell: the distance between a bound and its trivial value (0 or the
/// capacity) halves with each half-life since it was learnt. A time before that counts as no time.
pub fn widen(bounds: &Bounds, capacity_msat: u64, half_life_secs: u64, now: u64) -> Range {
    let least = bounds.least_msat.min(capacity_msat);
    let most = bounds.most_msat.min(capacity_msat);
    Range {
        least_msat: remaining(least, now.saturating_sub(bounds.least_at), half_life_secs),
        most_msat: capacity_msat
            - remaining(capacity_msat - most, now.saturating_sub(bounds.most_at), half_life_secs),
    }
}

/// Returns `value * 2^(-age / half_life)`.
fn remaining(value: u64, age: u64, half_life_secs: u64) -> u64 {
    if value == 0 || age == 0 {
        return value;
    }
    let halvings = age / half_life_secs.max(1);
    if halvings >= 64 {
        return 0;
    }
    let part = (age % half_life_secs.max(1)) as f64 / half_life_secs.max(1) as f64;
    // The product is below `value`, hence the cast loses nothing but the fraction.
    ((value >> halvings) as f64 * (-part).exp2()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_life_halves_what_is_known() {
        let bounds = Bounds { least_msat: 400, least_at: 100, most_msat: 600, most_at: 200 };
        let at = |now| widen(&bounds, 1_000, 100, now);
        assert_eq!(at(50), Range { least_msat: 400, most_msat: 600 });
        assert_eq!(at(200), Range { least_msat: 200, most_msat: 600 });
        assert_eq!(at(300), Range { least_msat: 100, most_msat: 800 });
        assert_eq!(at(u64::MAX), Range { least_msat: 0, most_msat: 1_000 });
    }

    #[test]
    fn bounds_beyond_the_capacity_are_cut() {
        let bounds = Bounds { least_msat: u64::MAX, least_at: 0, most_msat: u64::MAX, most_at: 0 };
        assert_eq!(widen(&bounds, 1_000, 100, 0), Range { least_msat: 1_000, most_msat: 1_000 });
    }
}
