//! Durations and counts of commits.

use std::time::Duration;

/// Upper bounds of the classes.
const BOUNDS: [Duration; 10] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];

/// How many commits took how long since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    counts: [u64; BOUNDS.len()],
    /// The time of all together.
    pub sum: Duration,
}

impl CommitTimes {
    pub(in crate::storage) fn add(&mut self, took: Duration) {
        self.sum += took;
        if let Some(count) = BOUNDS.iter().position(|bound| took <= *bound) {
            self.counts[count] += 1;
        }
    }

    /// Upper bounds, each with how many took at most that long and longer than the bound before; the longest are in none.
    pub fn classes(&self) -> [(Duration, u64); BOUNDS.len()] {
        std::array::from_fn(|class| (BOUNDS[class], self.counts[class]))
    }
}

/// Commits since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// For how long the store has been open.
    pub secs: u64,
    /// How much more space the database takes on disk; negative where it has shrunk.
    pub disk_bytes: i64,
    /// Group commits, each with one fsync.
    pub commits: u64,
    /// Writes in them.
    pub writes: u64,
    /// Bytes of keys and values in them.
    pub bytes: u64,
    /// How long the commits took.
    pub times: CommitTimes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_commit_is_in_its_class() {
        let mut times = CommitTimes::default();
        for millis in [0, 1, 3, 5, 20_000] {
            times.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = times.classes().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(times.sum, Duration::from_millis(20_009));
        assert!(BOUNDS.is_sorted());
    }
}
