//! Beliefs as plain rows: to store, to export, to import and to merge with those of others.

use super::{Beliefs, Bounds};

/// All that is known of one channel: the bounds of direction 0 and of direction 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Short channel id.
    pub scid: u64,
    /// Bounds by direction; 0 is from the lesser key.
    pub bounds: [Bounds; 2],
}

impl Beliefs {
    /// Iterates over all that is known, by rising short channel id.
    pub fn export(&self) -> impl Iterator<Item = Belief> + '_ {
        self.channels.iter().map(|(&scid, &bounds)| Belief { scid, bounds })
    }

    /// Replaces what is known of the given channels.
    pub fn import(&mut self, beliefs: impl IntoIterator<Item = Belief>) {
        self.channels.extend(beliefs.into_iter().map(|b| (b.scid, b.bounds)));
    }

    /// Takes over, bound by bound, what is younger than our own knowledge.
    pub fn merge(&mut self, beliefs: impl IntoIterator<Item = Belief>) {
        for belief in beliefs {
            let ours = self.channels.entry(belief.scid).or_insert([Bounds::UNKNOWN; 2]);
            for (ours, theirs) in ours.iter_mut().zip(belief.bounds) {
                if theirs.least_at > ours.least_at {
                    (ours.least_msat, ours.least_at) = (theirs.least_msat, theirs.least_at);
                }
                if theirs.most_at > ours.most_at {
                    (ours.most_msat, ours.most_at) = (theirs.most_msat, theirs.most_at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_then_import_is_the_same() {
        let mut beliefs = Beliefs::new();
        beliefs.passed(1, 0, 10, 3);
        beliefs.failed(2, 1, 10, 4);
        let mut copy = Beliefs::new();
        copy.import(beliefs.export());
        assert!(copy.export().eq(beliefs.export()));
    }

    #[test]
    fn merge_keeps_the_younger_bound() {
        let mut ours = Beliefs::new();
        ours.passed(1, 0, 10, 5);
        let mut theirs = Beliefs::new();
        theirs.passed(1, 0, 99, 4);
        theirs.failed(1, 0, 500, 4);
        ours.merge(theirs.export());
        let merged = ours.export().next().expect("one channel");
        assert_eq!((merged.bounds[0].least_msat, merged.bounds[0].most_msat), (10, 499));
    }
}
