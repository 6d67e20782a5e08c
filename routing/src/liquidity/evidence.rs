//! Which prior fits: knowledge about many channels shows how balances are spread in general.
//!
//! The bounds `[a, b]` of a channel have likelihood `S(a) - S(b)` under a model with survival `S`. The
//! product of the ratios over all channels that something is known of, times the initial odds, are the
//! odds of the uniform against the bimodal model (Bayes). Bounds that may no longer hold describe the balance
//! when they did: their ratio counts with the weight of that case, and fades to 1.

use super::decay::Cases;
use super::probability::Prior;

/// Mixtures that are tabulated; the nearest to the odds is taken.
const MEMBERS: usize = 17;
/// The most that one channel may say, in nats: balances are not independent of their neighbours.
const MOST_NATS: f32 = 1.5;
/// The models never drop out wholly: the network is neither.
const LEAST_WEIGHT: f32 = 0.06;

/// Mixtures of one uniform and one bimodal prior in all proportions.
#[derive(Clone, Debug)]
pub struct Family {
    /// From all bimodal to all uniform.
    members: Vec<Prior>,
    /// Weight of the uniform part before anything is known.
    initial: f32,
}

impl Default for Family {
    /// Even odds, and a bimodal scale of an eighth of the capacity.
    fn default() -> Self {
        Self::new(0.5, 0.125)
    }
}

impl Family {
    /// Builds the tables, for an initial weight of the uniform part and the scale of the bimodal part as a
    /// share of the capacity.
    pub fn new(uniform: f64, scale: f64) -> Self {
        let weight = |member: usize| member as f64 / (MEMBERS - 1) as f64;
        Self {
            members: (0..MEMBERS).map(|member| Prior::mixture(weight(member), scale)).collect(),
            initial: (uniform as f32).clamp(LEAST_WEIGHT, 1.0 - LEAST_WEIGHT),
        }
    }

    /// Starts to weigh evidence.
    pub(crate) fn weigh(&self) -> Evidence<'_> {
        Evidence { family: self, log_odds: (self.initial / (1.0 - self.initial)).ln() }
    }
}

/// Evidence for the uniform model against the bimodal one.
#[derive(Clone, Debug)]
pub(crate) struct Evidence<'f> {
    family: &'f Family,
    log_odds: f32,
}

impl<'f> Evidence<'f> {
    /// Takes account of what is known of one channel.
    pub(crate) fn hear(&mut self, cases: &Cases, capacity_msat: u64) {
        let share = |msat: u64| (msat as f64 / capacity_msat.max(1) as f64) as f32;
        let likelihood = |prior: &Prior| {
            let within = |least: u64, most: u64| {
                (prior.survival(share(least)) - prior.survival(share(most))).max(1e-4)
            };
            let case =
                |c: &super::decay::Case| c.weight * within(c.range.least_msat, c.range.most_msat);
            cases.iter().map(case).sum::<f32>()
        };
        let (bimodal, uniform) = (&self.family.members[0], &self.family.members[MEMBERS - 1]);
        let ratio = (likelihood(uniform) / likelihood(bimodal)).ln();
        self.log_odds += ratio.clamp(-MOST_NATS, MOST_NATS);
    }

    /// Returns the mixture that fits best.
    pub(crate) fn verdict(self) -> &'f Prior {
        let weight = (1.0 / (1.0 + (-self.log_odds).exp())).clamp(LEAST_WEIGHT, 1.0 - LEAST_WEIGHT);
        &self.family.members[(weight * (MEMBERS - 1) as f32).round() as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_moves_the_weight() {
        let family = Family::default();
        let verdict = |least_msat, most_msat| {
            let mut evidence = family.weigh();
            let cases = Cases::sure(super::super::Range { least_msat, most_msat });
            (0..10).for_each(|_| evidence.hear(&cases, 1_000));
            evidence.verdict().survival(0.2)
        };
        let (middle, end, nothing) = (verdict(400, 600), verdict(0, 50), verdict(0, 1_000));
        assert!(middle > nothing, "balances in the middle speak for the uniform model");
        assert!(end < nothing, "balances at the end speak for the bimodal model");
    }
}
