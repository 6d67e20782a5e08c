//! Makes paths exact: amounts to the msat at every hop, within every limit, for whole plans.

use crate::amount::amount_within;
use crate::cost::checked_fee;
use crate::path::field::Field;
use crate::path::walk::Limits;

/// A path with the exact amount at each hop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    /// Edges from payer to payee.
    pub edges: Vec<u32>,
    /// What each edge carries, msat.
    pub amounts: Vec<u64>,
}

impl Route {
    /// What arrives.
    pub(crate) fn delivered(&self) -> u64 {
        self.amounts.last().copied().unwrap_or(0)
    }

    /// What it costs.
    pub(crate) fn fee(&self) -> u64 {
        self.amounts.first().copied().unwrap_or(0) - self.delivered()
    }

    /// Takes its room on the field.
    pub(crate) fn occupy(&self, field: &mut Field<'_>) {
        self.edges
            .iter()
            .zip(&self.amounts)
            .for_each(|(&edge, &amount)| field.occupy(edge, amount));
    }

    /// Gives its room on the field back.
    pub(crate) fn vacate(&self, field: &mut Field<'_>) {
        self.edges
            .iter()
            .zip(&self.amounts)
            .for_each(|(&edge, &amount)| field.vacate(edge, amount));
    }

    /// Returns `-ln` of the chance that it arrives, given that all that is on the field does.
    pub(crate) fn nats(&self, field: &Field<'_>) -> f32 {
        let risk = |(&edge, &amount): (&u32, &u64)| {
            let edge = field.edge(edge);
            field.nats(edge.link, edge.capacity_msat, amount)
        };
        self.edges.iter().zip(&self.amounts).map(risk).sum()
    }
}

/// Returns the greatest amount, up to `want_msat`, that one HTLC along the path can deliver as far as is
/// known, with exact amounts; `None` where that is nothing, or a limit on hops or time is broken.
pub(crate) fn fit(
    field: &Field<'_>,
    edges: &[u32],
    want_msat: u64,
    limits: &Limits,
) -> Option<Route> {
    if edges.is_empty() || edges.len() > usize::from(limits.max_hops) {
        return None;
    }
    let mut carried = u64::MAX;
    let mut cltv = limits.final_cltv;
    for (place, &number) in edges.iter().enumerate() {
        let edge = field.edge(number);
        if edges[..place].iter().any(|&earlier| field.edge(earlier).scid == edge.scid) {
            return None;
        }
        if place > 0 {
            carried = amount_within(carried, edge.base_msat, edge.ppm);
            cltv = cltv.checked_add(edge.cltv_delta)?;
        }
        carried = carried
            .min(field.htlc_max(edge.link, edge.htlc_max_msat))
            .min(field.room(edge.link, edge.capacity_msat));
    }
    let delivered = carried.min(want_msat);
    if delivered == 0 || cltv > limits.max_cltv {
        return None;
    }
    exact(field, edges, delivered)
}

/// Returns the path with the amounts that deliver exactly `amount_msat`, or `None` where an edge asks for
/// more than that.
pub(crate) fn exact(field: &Field<'_>, edges: &[u32], amount_msat: u64) -> Option<Route> {
    let mut amounts = vec![0; edges.len()];
    let mut amount = amount_msat;
    for (place, &number) in edges.iter().enumerate().rev() {
        let edge = field.edge(number);
        let htlc_max_msat = field.htlc_max(edge.link, edge.htlc_max_msat);
        if amount < edge.htlc_min_msat || amount > htlc_max_msat || amount > field.bound(&edge) {
            return None;
        }
        amounts[place] = amount;
        if place > 0 {
            amount = amount.checked_add(checked_fee(amount, edge.base_msat, edge.ppm)?)?;
        }
    }
    Some(Route { edges: edges.to_vec(), amounts })
}
