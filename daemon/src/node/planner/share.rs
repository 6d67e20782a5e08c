//! Beliefs that are handed out, taken over from others, and forgotten.

use std::collections::HashSet;

use fulmen_routing::liquidity::Bounds;
use fulmen_routing::liquidity::snapshot::Belief;

use super::Planner;

/// Clocks of two machines may differ by so many seconds; what is said to be learnt later is no knowledge.
const SKEW_SECS: u64 = 600;

/// What is wrong with beliefs that somebody hands in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBelief {
    /// 0 is no short channel id.
    #[error("0 is no short channel id")]
    NoChannel,
    /// The same channel twice.
    #[error("channel {0} comes twice")]
    Twice(u64),
    /// At least more than at most.
    #[error("channel {0} cannot hold at least more than it holds at most")]
    Crossed(u64),
    /// More than all bitcoin.
    #[error("channel {0} cannot hold more than all bitcoin")]
    Absurd(u64),
    /// Learnt later than now.
    #[error("what is said of channel {0} will only be learnt in the future")]
    Future(u64),
}

/// Refuses what cannot be knowledge.
fn check(beliefs: &[Belief], now: u64) -> Result<(), BadBelief> {
    let mut seen = HashSet::new();
    for Belief { scid, bounds } in beliefs {
        if *scid == 0 {
            return Err(BadBelief::NoChannel);
        }
        if !seen.insert(*scid) {
            return Err(BadBelief::Twice(*scid));
        }
        for Bounds { least_msat, least_at, most_msat, most_at } in bounds {
            if least_msat > most_msat {
                return Err(BadBelief::Crossed(*scid));
            }
            if *least_msat > fulmen_routing::amount::MAX_MSAT {
                return Err(BadBelief::Absurd(*scid));
            }
            if *(least_at.max(most_at)) > now.saturating_add(SKEW_SECS) {
                return Err(BadBelief::Future(*scid));
            }
        }
    }
    Ok(())
}

impl Planner {
    /// Takes over what is younger than our own knowledge of the channels that gossip knows, but for `ours`;
    /// returns how many channels were taken.
    ///
    /// # Errors
    /// [`BadBelief`]; then nothing is taken over.
    pub fn import(
        &self,
        mut beliefs: Vec<Belief>,
        ours: &HashSet<u64>,
    ) -> Result<usize, BadBelief> {
        check(&beliefs, super::now_secs())?;
        let graph = self.graph.read_only();
        beliefs.retain(|it| !ours.contains(&it.scid) && graph.channel(it.scid).is_some());
        drop(graph);
        let taken = beliefs.len();
        self.change_beliefs(|known| known.merge(beliefs));
        Ok(taken)
    }

    /// Forgets what was learnt of some channels, or of all if none is named; returns of how many something
    /// was known.
    pub fn reset(&self, scids: &[u64]) -> usize {
        self.change_beliefs(|known| {
            let before = known.len();
            match scids {
                [] => known.clear(),
                scids => scids.iter().for_each(|scid| known.forget(*scid)),
            }
            before - known.len()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_knowledge_is_taken() {
        let bounds = Bounds { least_msat: 5, least_at: 90, most_msat: 9, most_at: 90 };
        let one = |scid, bounds| Belief { scid, bounds: [bounds, Bounds::UNKNOWN] };
        for (beliefs, expected) in [
            (vec![], Ok(())),
            (vec![one(7, bounds), one(8, Bounds::UNKNOWN)], Ok(())),
            (vec![one(0, bounds)], Err(BadBelief::NoChannel)),
            (vec![one(7, bounds), one(7, bounds)], Err(BadBelief::Twice(7))),
            (vec![one(7, Bounds { least_msat: 10, ..bounds })], Err(BadBelief::Crossed(7))),
            (
                vec![one(7, Bounds { least_msat: u64::MAX, most_msat: u64::MAX, ..bounds })],
                Err(BadBelief::Absurd(7)),
            ),
            (vec![one(7, Bounds { most_at: 100 + SKEW_SECS, ..bounds })], Ok(())),
            (
                vec![one(7, Bounds { most_at: 101 + SKEW_SECS, ..bounds })],
                Err(BadBelief::Future(7)),
            ),
            (vec![one(7, Bounds { least_at: u64::MAX, ..bounds })], Err(BadBelief::Future(7))),
        ] {
            assert_eq!(check(&beliefs, 100), expected, "{beliefs:?}");
        }
    }
}
