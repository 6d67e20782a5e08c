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
}

impl Weights {
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
