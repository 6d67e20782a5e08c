//! Imports and resets beliefs about liquidity.

use std::collections::HashSet;

use fulmen_routing::liquidity::Bounds;
use fulmen_routing::liquidity::snapshot::Belief;

use super::plan::Planner;

/// Most seconds by which the clocks of two machines may differ; beliefs learnt later than that are refused.
const SKEW_SECS: u64 = 600;

/// What is wrong with imported beliefs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBelief {
    /// 0 is no short channel id.
    #[error("0 is no short channel id")]
    NoChannel,
    /// The same channel twice.
    #[error("channel {0} is listed twice")]
    Twice(u64),
    /// The lower bound is above the upper one.
    #[error("channel {0} has a lower bound above its upper bound")]
    Crossed(u64),
    /// More than 21 million bitcoin.
    #[error("channel {0} cannot hold more than 21 million bitcoin")]
    Absurd(u64),
    /// Dated in the future.
    #[error("the belief about channel {0} is dated in the future")]
    Future(u64),
}

/// Refuses beliefs that cannot be true.
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
    /// Merges beliefs about channels in the graph, except `ours`, where they are newer than our own; returns how many
    /// channels were merged.
    ///
    /// # Errors
    /// [`BadBelief`]; then nothing is merged.
    pub fn import(
        &self,
        mut beliefs: Vec<Belief>,
        ours: &HashSet<u64>,
    ) -> Result<usize, BadBelief> {
        check(&beliefs, self.clock.unix_secs())?;
        let graph = self.graph.read_only();
        beliefs.retain(|it| !ours.contains(&it.scid) && graph.channel(it.scid).is_some());
        drop(graph);
        let taken = beliefs.len();
        self.change_beliefs(|known| known.merge(beliefs));
        Ok(taken)
    }

    /// Forgets the beliefs about some channels, or all if none is named; returns how many channels were forgotten.
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
    fn impossible_beliefs_are_refused() {
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
