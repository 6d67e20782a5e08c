//! Potentials that are kept between payments: a daemon always pays from the same node.
//!
//! Kept for a class of amounts (an eighth of an octave), at the least cost any amount of the class
//! can have and for all nodes, they are lower bounds for every payment of the class as long as costs only
//! rise. Times the amount over the least one they are sharper: proportional fees and locked time grow as
//! the amount does, risk faster; only base fees and the price of a hop do not, and the path found can
//! be dearer than the cheapest by a ninth of those at most. What lowers a cost since then (an HTLC that passed, a channel of our own that opened) is repaired
//! before use; what raises one leaves them valid, only less sharp.

use crate::amount::fee_msat;
use crate::cost::Weights;
use crate::graph::NodeKey;

use super::field::Field;
use super::potentials::{Bars, Ground, Scope, Side};
use super::terms::Edge;

/// Classes that are kept at most.
const MOST: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    fingerprint: u64,
    payer: NodeKey,
    least_msat: u64,
}

/// The potentials kept for a payer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PotentialCache {
    kept: Vec<(Class, Weights, Vec<f32>)>,
    /// The class asked for last: only who asks twice is served.
    last: Option<Class>,
}

impl PotentialCache {
    /// Returns bounds for the field, an amount and prices, and what to scale them by, if they are worth keeping.
    pub(crate) fn bounds(
        &mut self,
        field: &Field<'_>,
        payer: &NodeKey,
        weights: &Weights,
        amount_msat: u64,
        side: &mut Side,
        visits: &mut u64,
    ) -> Option<(&[f32], f32)> {
        if amount_msat < 8 {
            return None;
        }
        // An eighth of an octave: the least amount of a class is at most a ninth below any other of it.
        let octave = 1u64 << amount_msat.ilog2();
        let eighth = octave / 8;
        let least_msat = octave + eighth * ((amount_msat - octave) / eighth);
        let scale = amount_msat as f32 / least_msat as f32;
        let class = Class { fingerprint: field.view.fingerprint(), payer: *payer, least_msat };
        let scope = Scope { least_msat, most_msat: least_msat + eighth, bars: Bars::Lasting };
        // The price of risk follows the amount.
        let share = least_msat as f32 / (least_msat + eighth) as f32;
        self.kept.retain(|(kept, _, bounds)| {
            kept.fingerprint == class.fingerprint && bounds.len() == field.nodes
        });
        let place =
            self.kept.iter().position(|(kept, floor, _)| *kept == class && serves(floor, weights));
        let Some(place) = place else {
            let again = self.last.replace(class) == Some(class);
            if !again {
                return None;
            }
            let floor = Weights { lambda: weights.lambda * share, ..*weights };
            side.begin(field.nodes, field.payer);
            begin(field, &floor, &scope, side);
            Ground::new(field, &floor, scope).spread(side, visits);
            let bounds = std::mem::take(&mut side.costs);
            if self.kept.len() >= MOST {
                self.kept.remove(0);
            }
            self.kept.push((class, floor, bounds));
            return self.kept.last().map(|(_, _, bounds)| (bounds.as_slice(), scale));
        };
        let (_, floor, bounds) = &mut self.kept[place];
        side.heap.clear();
        std::mem::swap(bounds, &mut side.costs);
        // What is beyond the graph's nodes may be another node in every query.
        side.costs[field.view.node_count()..].fill(f32::INFINITY);
        side.offer(field.payer, 0.0);
        begin(field, floor, &scope, side);
        lower(field, floor, &scope, side);
        Ground::new(field, floor, scope).spread(side, visits);
        std::mem::swap(bounds, &mut side.costs);
        Some((bounds, scale))
    }
}

/// Returns whether bounds at the prices `floor` hold, and are not too dull, for `weights`.
fn serves(floor: &Weights, weights: &Weights) -> bool {
    floor.lambda <= weights.lambda
        && weights.lambda <= floor.lambda * 1.6
        && (floor.time, floor.hop) == (weights.time, weights.hop)
}

/// Offers the payer's own channels. Its balances change with every payment: they are taken as enough.
fn begin(field: &Field<'_>, floor: &Weights, scope: &Scope, side: &mut Side) {
    for edge in field.scratch.extra.iter().filter(|edge| edge.source == field.payer) {
        let announced = (edge.link as usize) < field.view.slots.len();
        let risk = if announced { least_nats(field, edge, scope.least_msat) } else { 0.0 };
        let cost = floor.cost(0, risk, scope.least_msat, edge.cltv_delta);
        side.offer(edge.target, cost);
    }
}

/// Returns the least risk of an edge: what is known may lower the prior's, never raise it.
fn least_nats(field: &Field<'_>, edge: &Edge, amount_msat: u64) -> f32 {
    let unknown = field.prior.nats_unknown(amount_msat as f32 / edge.capacity_msat.max(1) as f32);
    unknown.min(field.nats(edge.link, edge.capacity_msat, amount_msat))
}

/// Offers the edges whose risk is known to be less than the prior's, and this query's hints.
fn lower(field: &Field<'_>, floor: &Weights, scope: &Scope, side: &mut Side) {
    let slots = field.view.slots.len() as u32;
    let mut offer = |edge: &Edge, nats: f32| {
        let fee = fee_msat(scope.least_msat, edge.base_msat, edge.ppm).unwrap_or(u64::MAX);
        let from = side.costs[edge.source as usize];
        if edge.htlc_max_msat >= scope.least_msat {
            let cost = floor.cost(fee, nats, scope.least_msat, edge.cltv_delta);
            side.offer(edge.target, from + cost);
        }
    };
    for (&link, known) in field.scratch.links.iter().zip(&field.scratch.known) {
        if link >= slots || !known.has_passed() {
            continue;
        }
        let edge = field.edge(field.view.slot_of_link(link));
        offer(&edge, known.nats(field.prior, scope.least_msat));
    }
    let extra = field.scratch.extra.iter();
    extra.filter(|edge| edge.source != field.payer).for_each(|hint| offer(hint, 0.0));
}
