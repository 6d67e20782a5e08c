//! What one more quantum costs on an edge: the pieces of a convex cost, taken as they come.
//!
//! Pickhardt & Richter (arXiv 2107.05322) minimise `sum of fee(f_e) + lambda * -ln P(X_e >= f_e)` over
//! flows `f`. Cut into quanta `q`, the n-th quantum on an edge costs
//!
//! ```text
//! c_n = q * ppm + [n = 1] * base + lambda * (-ln P(X >= n q) + ln P(X >= (n - 1) q)) + time + hop
//! ```
//!
//! For a uniform balance `c_n` rises with `n` and the problem is convex. Base fees and the bimodal part
//! make the first quantum dearer than the next; that much is not convex, is not hidden either, and is
//! what the exact stage after the flow, which sees whole paths, puts right.

use crate::amount::fee_msat;
use crate::cost::{Weights, tune};
use crate::path::field::{Field, hopeless};

use super::quanta::Quanta;

/// The part of a quantum's cost that needs no knowledge.
#[inline]
pub(crate) fn sure_cost(
    weights: &Weights,
    quantum_msat: u64,
    base_msat: u32,
    ppm: u32,
    cltv_delta: u32,
) -> f32 {
    let fee = fee_msat(quantum_msat, base_msat, ppm).unwrap_or(u64::MAX);
    weights.cost(fee, 0.0, quantum_msat, cltv_delta)
}

/// The risk that one more quantum adds on a link that carries `carried` quanta, in nats; `None` where it
/// cannot carry one more.
#[inline]
pub(crate) fn risk(
    field: &Field<'_>,
    quanta: &Quanta,
    edge: u32,
    link: u32,
    capacity_msat: u64,
    htlc_max_msat: u64,
) -> Option<f32> {
    let carried = u64::from(quanta.on(edge));
    let total = (carried + 1).checked_mul(quanta.size_msat)?;
    let htlc_max_msat = field.htlc_max(link, htlc_max_msat);
    let htlcs = if field.htlc_max_in_all { 1 } else { quanta.htlcs };
    if total > field.room(link, capacity_msat) || total > htlc_max_msat.saturating_mul(htlcs) {
        return None;
    }
    let after = field.nats(link, capacity_msat, total);
    if hopeless(after) {
        return None;
    }
    if carried == 0 {
        return Some(after);
    }
    if carried + 1 > quanta.spread && after > tune::UNSURE_NATS {
        return None;
    }
    let before = field.nats(link, capacity_msat, carried * quanta.size_msat);
    Some((after - before).max(0.0))
}

/// What taking the last quantum off an edge gives back.
pub(crate) fn refund(field: &Field<'_>, weights: &Weights, quanta: &Quanta, number: u32) -> f32 {
    let edge = field.terms(number);
    let capacity = field.capacity(&edge);
    let carried = u64::from(quanta.on(number));
    let nats = |n: u64| field.nats(edge.link, capacity, n * quanta.size_msat);
    let risk = (nats(carried) - if carried > 1 { nats(carried - 1) } else { 0.0 }).max(0.0);
    let base = if carried > 1 { 0 } else { edge.base_msat };
    sure_cost(weights, quanta.size_msat, base, edge.ppm, edge.cltv_delta) + weights.lambda * risk
}
