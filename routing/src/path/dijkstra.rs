//! The cheapest path, in exact amounts.
//!
//! Dijkstra's search, with the payer's potentials as the heuristic of A*. A label's amount is exact to the
//! msat; only the order of labels is in `f32`. Risk is looked up last, when the edge can still win.

use crate::cost::{Weights, checked_fee};

use super::field::{Field, hopeless};
use super::labels::Label;
use super::walk::{Limits, Measure, Terms, Workbench, walk};

/// Returns the edges of the cheapest path from payer to payee that delivers `amount_msat`, or `None`.
///
/// `potentials[v]` times `scale` is a lower bound of the cost from the payer to `v`; empty for none.
pub(crate) fn cheapest(
    field: &Field<'_>,
    weights: &Weights,
    amount_msat: u64,
    limits: &Limits,
    potentials: &[f32],
    scale: f32,
    bench: &mut Workbench,
) -> Option<Vec<u32>> {
    let most_msat = amount_msat.saturating_add(limits.max_fee_msat);
    let price = Price { field, weights, most_msat, potentials, scale };
    walk(field, &price, amount_msat, limits, bench)
}

struct Price<'a, 'v> {
    field: &'a Field<'v>,
    weights: &'a Weights,
    /// The payment and all its fees.
    most_msat: u64,
    potentials: &'a [f32],
    scale: f32,
}

impl Measure for Price<'_, '_> {
    #[inline]
    fn bound(&self, node: u32) -> f32 {
        self.potentials.get(node as usize).map_or(0.0, |&bound| bound * self.scale)
    }

    #[inline]
    fn admits(&self, amount_msat: u64, htlc_min_msat: u64, htlc_max_msat: u64) -> bool {
        amount_msat <= htlc_max_msat && amount_msat >= htlc_min_msat
    }

    #[inline]
    fn extend(&self, label: &Label, terms: &Terms, best: f32) -> Option<(f32, u64)> {
        let amount = label.amount_msat;
        let fee = checked_fee(amount, terms.base_msat, terms.ppm)?;
        let sure = label.cost + self.weights.cost(fee, 0.0, amount, terms.cltv_delta);
        if sure >= best || amount + fee > self.most_msat {
            return None;
        }
        let nats = self.field.nats(terms.link, terms.capacity(self.field), amount);
        let cost = sure + self.weights.lambda * nats;
        (cost < best && !hopeless(nats)).then_some((cost, amount + fee))
    }
}
