//! The cheapest path, in exact amounts.
//!
//! Dijkstra's search, with the payer's potentials as the heuristic of A*. A label's amount is exact to the
//! msat; only the order of labels is in `f32`. Risk is looked up last, when the edge can still win.

use crate::cost::{Weights, checked_fee};

use super::field::{Field, hopeless};
use super::labels::Label;
use super::potentials::{Bars, Scope, build};
use super::terms::Terms;
use super::walk::{Limits, Measure, Workspace, walk};

/// Returns the edges of the cheapest path from payer to payee that delivers `amount_msat`, or `None`.
///
/// Where bounds are cached, each times the scale is a lower bound of the cost from the payer to a node.
pub(crate) fn cheapest(
    field: &Field<'_>,
    weights: &Weights,
    amount_msat: u64,
    limits: &Limits,
    cached: Option<(&[f32], f32)>,
    workspace: &mut Workspace,
) -> Option<Vec<u32>> {
    let most_msat = amount_msat.saturating_add(limits.max_fee_msat);
    let scope = Scope { least_msat: amount_msat, most_msat, bars: Bars::Hopeless };
    let fresh = match cached {
        Some(_) => Vec::new(),
        None => build(field, weights, scope, &mut workspace.sides, &mut workspace.visits)?,
    };
    let (potentials, scale) = cached.unwrap_or((&fresh, 1.0));
    let price = Price { field, weights, most_msat, potentials, scale };
    walk(field, &price, amount_msat, limits, workspace)
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
        self.potentials[node as usize] * self.scale
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
        let nats = self.field.nats(terms.link, self.field.capacity(terms), amount);
        let cost = sure + self.weights.lambda * nats;
        (cost < best && !hopeless(nats)).then_some((cost, amount + fee))
    }
}
