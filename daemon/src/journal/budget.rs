//! How many entries strangers can cause: a bucket for all and one for each of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// Entries a minute of one kind that all strangers together can cause.
const ALL_PER_MINUTE: f64 = 60.0;
/// Entries a minute of one kind that one stranger can cause.
const EACH_PER_MINUTE: f64 = 10.0;

/// Bounds entries of one kind by who causes them: `K` names a peer or a channel.
#[derive(Debug)]
pub struct Budget<K> {
    all: Bucket,
    each: HashMap<K, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash> Budget<K> {
    /// Begins full.
    pub fn new(now: Instant) -> Self {
        Self { all: Bucket { left: ALL_PER_MINUTE, at: now }, each: HashMap::new() }
    }

    /// Takes one entry that `who` causes out of the budget; false if there is none left for it.
    pub fn take(&mut self, who: K, now: Instant) -> bool {
        self.all.fill(ALL_PER_MINUTE, now);
        // A full bucket is as good as none: what is kept is bounded by what all together can take.
        self.each.retain(|_, bucket| {
            bucket.fill(EACH_PER_MINUTE, now);
            bucket.left < EACH_PER_MINUTE
        });
        if self.all.left < 1.0 {
            return false;
        }
        let own = self.each.entry(who).or_insert(Bucket { left: EACH_PER_MINUTE, at: now });
        if own.left < 1.0 {
            return false;
        }
        own.left -= 1.0;
        self.all.left -= 1.0;
        true
    }
}

impl Bucket {
    fn fill(&mut self, per_minute: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * per_minute / 60.0).min(per_minute);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_stranger_and_all_of_them_are_bounded() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        let mut taken = |who: u32, now| (0..100).filter(|_| budget.take(who, now)).count();
        assert_eq!((taken(1, begin), taken(2, begin)), (10, 10));
        let others: usize = (3..100).map(|who| taken(who, begin)).sum();
        assert_eq!(others, 40, "60 for all");
        let later = begin + Duration::from_secs(30);
        assert_eq!((taken(1, later), taken(7, later)), (5, 10));
        let much_later = begin + Duration::from_secs(3_600);
        assert_eq!(taken(1, much_later), 10);
    }
}
