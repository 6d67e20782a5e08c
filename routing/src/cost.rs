//! What a hop costs, as one number: fee, risk, locked time, and the hop itself, all in msat.
//!
//! ```text
//! cost = fee + lambda * -ln P + time * amount * cltv_delta + hop
//! ```
//!
//! `lambda` is the price of risk in msat per nat. It is what the payer would pay to avoid a failed round,
//! hence in proportion to the amount of the payment; a plan that breaks its fee budget is sought again
//! with less.

use crate::amount::fee_msat;

/// The prices of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weights {
    /// msat per nat.
    pub lambda: f32,
    /// msat per msat locked for a block.
    pub time: f32,
    /// msat per hop.
    pub hop: f32,
    /// msat per part.
    pub part: f32,
}

/// Figures that were tuned with the simulator, on seeds below 100.
pub(crate) mod tune {
    /// Attempts at a plan, until one is complete and within the fee budget: the share of its full price
    /// that risk is given, and the share of an unsure balance that is kept away from.
    pub(crate) const ATTEMPTS: [(f32, f32); 5] =
        [(1.0, 0.05), (0.2, 0.05), (0.04, 0.05), (0.0, 0.05), (1.0, 0.0)];
    /// Quanta that the amount is cut into.
    pub(crate) const QUANTA: u64 = 16;
    /// How often quanta that found no way are cut finer.
    pub(crate) const REFINEMENTS: usize = 4;
    /// Quanta are not made smaller than about this.
    pub(crate) const LEAST_QUANTUM_MSAT: u64 = 4_000_000;
    /// A single path with less risk than this is not compared with a plan in parts.
    pub(crate) const SAFE_NATS: f32 = 0.1;

    /// Experiments only: a number from the environment.
    pub(crate) fn env(name: &str, default: f32) -> f32 {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    }
}

impl Weights {
    /// Returns the prices for a query, with that of risk scaled.
    pub(crate) fn of(query: &crate::Query, scale: f32) -> Self {
        let total = query.total_msat.max(query.amount_msat) as f32;
        let rising = 1.0 + query.round as f32 * tune::env("T_RISE", 0.3);
        let lambda = total * tune::env("T_PPM", 100.0) * 1e-6 + tune::env("T_FLAT", 1_000.0);
        Self {
            lambda: scale * rising * lambda,
            time: 1e-9,
            hop: tune::env("T_HOP", 10.0),
            part: tune::env("T_PART", 100.0),
        }
    }

    /// Returns the cost of a hop.
    #[inline]
    pub(crate) fn cost(&self, fee_msat: u64, nats: f32, amount_msat: u64, cltv_delta: u32) -> f32 {
        fee_msat as f32 + self.lambda * nats + self.certain(amount_msat, cltv_delta)
    }

    /// Returns the part of the cost that neither fee nor risk makes.
    #[inline]
    pub(crate) fn certain(&self, amount_msat: u64, cltv_delta: u32) -> f32 {
        self.time * amount_msat as f32 * cltv_delta as f32 + self.hop
    }
}

/// Returns the fee of a hop, or `None` where the amount with its fee is more than there is.
#[inline]
pub(crate) fn checked_fee(amount_msat: u64, base_msat: u32, ppm: u32) -> Option<u64> {
    let fee = fee_msat(amount_msat, base_msat, ppm)?;
    (fee.checked_add(amount_msat)? <= crate::amount::MAX_MSAT).then_some(fee)
}
