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
    /// One attempt at a plan.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Attempt {
        /// Share of its full price that risk is given.
        pub lambda: f32,
        /// Share of an unsure balance that is kept away from.
        pub caution: f32,
        /// Share of the fee budget that may be used: the parts that fail will be dearer the next time.
        pub budget: f32,
        /// Whether the flow is first spread over many channels.
        pub spread: bool,
    }

    /// Attempts until a plan is complete and cheap enough. The last two forget caution: one for what the
    /// network hardly holds, one for what the budget hardly pays.
    pub(crate) const ATTEMPTS: [Attempt; 6] = [
        Attempt { lambda: 1.0, caution: 0.05, budget: 0.7, spread: true },
        Attempt { lambda: 0.1, caution: 0.05, budget: 0.7, spread: false },
        Attempt { lambda: 0.01, caution: 0.05, budget: 0.8, spread: true },
        Attempt { lambda: 0.002, caution: 0.05, budget: 1.0, spread: false },
        Attempt { lambda: 0.04, caution: 0.0, budget: 1.0, spread: false },
        Attempt { lambda: 0.0, caution: 0.0, budget: 1.0, spread: false },
    ];
    /// Parts are only split while so many would be left for later rounds, as a share.
    pub(crate) const SPLIT_PARTS: f32 = 0.4;
    /// Share of the parts left that a plan begins with.
    pub(crate) const FIRST_PARTS: f32 = 0.5;
    /// With fewer parts left than this each has to be large.
    pub(crate) const FEW_PARTS: usize = 24;
    /// Flows of so many quanta are tried then, as shares of the parts left.
    pub(crate) const FEW_SHARES: [f32; 3] = [0.5, 0.75, 1.0];
    /// Share of an unsure balance that wide paths keep away from, tried in turn.
    pub(crate) const FEW_CAUTIONS: [f32; 4] = [0.5, 0.3, 0.15, 0.05];
    /// Parts narrower than so many even shares are spared then,
    pub(crate) const SPARE_WIDTH: f32 = 1.5;
    /// with no more caution than this.
    pub(crate) const SPARE_CAUTION: f32 = 0.02;
    /// Price of using all parts that are left, in nats.
    pub(crate) const FEW_NATS: f32 = 5.0;
    /// Quanta that the amount is cut into.
    pub(crate) const QUANTA: u64 = 16;
    /// How often quanta that found no way are cut finer.
    pub(crate) const REFINEMENTS: usize = 4;
    /// Quanta are not made smaller than about this.
    pub(crate) const LEAST_QUANTUM_MSAT: u64 = 4_000_000;
    /// A single path with less risk than this is not compared with a plan in parts.
    pub(crate) const SAFE_NATS: f32 = 0.1;

    /// The most quanta that the first flow puts on a link that may well fail, so that a round tries many
    /// channels at once and the next one knows which are good.
    pub(crate) const SPREAD: u64 = 4;
    /// A link may well fail above this risk.
    pub(crate) const UNSURE_NATS: f32 = 0.2;
    /// A path takes another quantum without a new search while that costs this share more at most.
    pub(crate) const SLACK: f32 = 0.4;
    /// A route is split into one more part for each so much of risk.
    pub(crate) const SPLIT_NATS: f32 = 0.3;
    /// Parts are not split below this.
    pub(crate) const LEAST_SPLIT_MSAT: u64 = 100_000_000;
    /// The price of risk, in ppm of the payment for a nat.
    pub(crate) const LAMBDA_PPM: f32 = 100.0;
    /// The same, msat.
    pub(crate) const LAMBDA_MSAT: f32 = 1_000.0;
    /// How much of it each round adds.
    pub(crate) const LAMBDA_RISE: f32 = 1.0;
    /// Price of a hop, msat.
    pub(crate) const HOP_MSAT: f32 = 10.0;
    /// Price of a part, msat.
    pub(crate) const PART_MSAT: f32 = 100.0;
    /// Price of locked money, msat for a msat and block: 1 % a year is 2e-7.
    pub(crate) const TIME: f32 = 1e-9;
}

impl Weights {
    /// Returns the prices for a query, with that of risk scaled.
    pub(crate) fn of(query: &crate::Query, scale: f32) -> Self {
        let total = query.total_msat.max(query.amount_msat) as f32;
        let rising = 1.0 + query.round as f32 * tune::LAMBDA_RISE;
        let lambda = total * tune::LAMBDA_PPM * 1e-6 + tune::LAMBDA_MSAT;
        Self {
            lambda: scale * rising * lambda,
            time: tune::TIME,
            hop: tune::HOP_MSAT,
            part: tune::PART_MSAT,
        }
    }

    /// Returns the cost of a whole plan that takes `parts` of the `most` that are left.
    pub(crate) fn sum(&self, fee_msat: u64, nats: f32, parts: usize, most: usize) -> f32 {
        let few = if most < tune::FEW_PARTS { tune::FEW_NATS / most.max(1) as f32 } else { 0.0 };
        fee_msat as f32 + self.lambda * nats + (self.part + self.lambda * few) * parts as f32
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
