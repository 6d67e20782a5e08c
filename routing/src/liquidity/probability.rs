//! The chance that a channel carries an amount, from a prior and from bounds.
//!
//! Let `x` be what a direction can carry, as a share of the capacity, and `S(t) = P(x >= t)`. The prior is
//! a mixture: with weight `u` the balance is anywhere (uniform, `S = 1 - t`; Pickhardt et al.,
//! arXiv 2103.08576), otherwise it lies near one end, with density proportional to
//! `exp(-x/s) + exp(-(1-x)/s)` (the bimodal model of lnd). Given `least <= x <= most`,
//!
//! ```text
//! P(x >= t) = (S(t) - S(most)) / (S(least) - S(most))
//! ```
//!
//! which is Bayes' rule for the mixture itself, so that what is learnt also shifts the weight between the
//! two models for that channel. `S` and `-ln S` are tables: the inner loop takes no logarithm and no
//! exponential for a channel of which nothing is known, and that is nearly every channel.

/// Intervals of the tables.
const STEPS: usize = 1024;

/// Certain failure is this many nats; also the greatest cost of risk on one hop.
pub const HOPELESS: f32 = 16.0;

/// The prior distribution of a channel's balance, tabulated.
#[derive(Clone)]
pub struct Prior {
    survival: Vec<f32>,
    nats: Vec<f32>,
}

impl std::fmt::Debug for Prior {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prior").field("median", &self.survival[STEPS / 2]).finish_non_exhaustive()
    }
}

impl Prior {
    /// Builds the prior with the given weight of the uniform part and scale of the bimodal part, both
    /// within 0 and 1 (values outside are moved to the nearest sensible one).
    pub fn mixture(uniform: f64, scale: f64) -> Self {
        let uniform = if uniform.is_finite() { uniform.clamp(0.0, 1.0) } else { 1.0 };
        let scale = if scale.is_finite() { scale.clamp(0.001, 10.0) } else { 1.0 };
        let survival: Vec<f32> = (0..=STEPS)
            .map(|step| {
                let t = step as f64 / STEPS as f64;
                let tail = (-1.0 / scale).exp();
                let bimodal = ((-t / scale).exp() - tail + 1.0 - (-(1.0 - t) / scale).exp())
                    / (2.0 * (1.0 - tail));
                (uniform * (1.0 - t) + (1.0 - uniform) * bimodal).clamp(0.0, 1.0) as f32
            })
            .collect();
        let nats = survival.iter().map(|&s| nats_of(s)).collect();
        Self { survival, nats }
    }

    /// Returns `-ln P` that a channel of which nothing is known carries this share of its capacity.
    #[inline]
    pub fn nats_unknown(&self, share: f32) -> f32 {
        interpolate(&self.nats, share)
    }

    /// Returns the chance that a channel of which nothing is known carries this share of its capacity.
    #[inline]
    pub fn survival(&self, share: f32) -> f32 {
        interpolate(&self.survival, share)
    }

    /// Returns the chance that a channel carries `amount_msat`, given that it can carry `least` and no more
    /// than `most`, all in msat.
    pub fn chance(
        &self,
        amount_msat: u64,
        least_msat: u64,
        most_msat: u64,
        capacity_msat: u64,
    ) -> f32 {
        if amount_msat <= least_msat {
            return 1.0;
        }
        if amount_msat > most_msat || capacity_msat == 0 {
            return 0.0;
        }
        let share = |msat: u64| (msat as f64 / capacity_msat as f64) as f32;
        let (low, high) =
            (self.survival(share(least_msat)), self.survival(share(most_msat.saturating_add(1))));
        let width = low - high;
        if width <= f32::EPSILON {
            // The bounds nearly meet, where the tables have no resolution: take it as uniform between them.
            let (above, all) = (most_msat - amount_msat, most_msat - least_msat);
            return (above as f64 / all.max(1) as f64) as f32;
        }
        ((self.survival(share(amount_msat)) - high) / width).clamp(0.0, 1.0)
    }
}

/// Returns `-ln` of a chance, at most [`HOPELESS`].
#[inline]
pub fn nats_of(chance: f32) -> f32 {
    if chance <= 1.2e-7 { HOPELESS } else { -chance.min(1.0).ln() }
}

#[inline]
fn interpolate(table: &[f32], share: f32) -> f32 {
    let place = share.clamp(0.0, 1.0) * STEPS as f32;
    let step = (place as usize).min(STEPS - 1);
    let part = place - step as f32;
    table[step] + (table[step + 1] - table[step]) * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uniform_prior_is_linear() {
        let prior = Prior::mixture(1.0, 0.1);
        assert!((prior.chance(300, 0, 1_000, 1_000) - 0.7).abs() < 0.002);
        assert!((prior.chance(600, 500, 700, 1_000) - 0.5).abs() < 0.01);
        assert!((prior.nats_unknown(0.5) - 2f32.ln()).abs() < 1e-4);
    }

    #[test]
    fn bimodal_prior_is_flat_in_the_middle() {
        let prior = Prior::mixture(0.0, 0.05);
        assert!((prior.survival(0.3) - 0.5).abs() < 0.01);
        assert!((prior.survival(0.7) - 0.5).abs() < 0.01);
        assert!(
            prior.chance(700, 300, 1_000, 1_000) > 0.95,
            "what passed the middle is at the far end"
        );
    }

    proptest! {
        #[test]
        fn chance_falls_with_the_amount(u in 0.0..1.0f64, s in 0.01..1.0f64, a in 0..1_000u64, b in 0..1_000u64,
                                        least in 0..1_000u64, most in 0..1_000u64) {
            let prior = Prior::mixture(u, s);
            let (least, most) = (least.min(most), least.max(most));
            let (small, large) = (prior.chance(a.min(b), least, most, 1_000), prior.chance(a.max(b), least, most, 1_000));
            prop_assert!((0.0..=1.0).contains(&small) && (0.0..=1.0).contains(&large));
            prop_assert!(small >= large - 1e-4);
        }
    }
}
