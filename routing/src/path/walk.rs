//! The walk from the payee backwards that every search for one path is: label-setting, edge by edge.
//!
//! Fees are charged on what is forwarded, so they are only known from the payee's side; hence backwards.
//! What a search looks for is a [`Measure`]: what an edge adds to a label. The walk knows the limits, the
//! restrictions of the query and the order of labels; a node's label is final once it is the least.

use super::field::Field;
use super::labels::{Label, ROOT};
use super::potentials::Side;
use super::reach::Reach;
use super::terms::Terms;

/// Limits of one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub max_fee_msat: u64,
    pub max_cltv: u32,
    pub max_hops: u8,
    pub final_cltv: u32,
}

/// Memory of the searches, kept between queries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    /// The search from the payer, and from the payee.
    pub reaches: [Reach; 2],
    /// The same for potentials.
    pub sides: [Side; 2],
    /// Nodes settled since the query began.
    pub visits: u64,
}

/// What a search looks for.
pub(crate) trait Measure {
    /// Returns a lower bound of the cost from the payer to a node.
    fn bound(&self, node: u32) -> f32;
    /// Returns whether an edge that takes HTLCs of this size comes into question for an amount.
    fn admits(&self, amount_msat: u64, htlc_min_msat: u64, htlc_max_msat: u64) -> bool;
    /// Returns the cost and the amount of a label's way with one more edge, or `None` where the edge cannot be
    /// used or the cost is not below `best`.
    fn extend(&self, label: &Label, terms: &Terms, best: f32) -> Option<(f32, u64)>;
}

/// Returns the edges of the path from payer to payee with the least cost, or `None`.
pub(crate) fn walk(
    field: &Field<'_>,
    measure: &impl Measure,
    amount_msat: u64,
    limits: &Limits,
    workspace: &mut Workspace,
) -> Option<Vec<u32>> {
    let Workspace { reaches: [_, back], visits, .. } = workspace;
    let root = Label { amount_msat, cltv: limits.final_cltv, ..Label::default() };
    back.begin(field.nodes, field.payee, root);
    let Reach { labels, heap, .. } = back;

    while let Some((_, node)) = heap.pop() {
        if labels.settled(node) {
            continue;
        }
        if node == field.payer {
            return Some(labels.trace(node));
        }
        let label = *labels.get(node);
        labels.settle(node);
        *visits += 1;
        if label.hops >= limits.max_hops {
            continue;
        }
        let amount = label.amount_msat;
        let mut relax = |source: u32, edge: u32, terms: &Terms| {
            // The cheapest tests first: most neighbours lead nowhere better, are settled or reached.
            let bound = measure.bound(source);
            if label.cost + bound >= labels.to_beat(field.payer) {
                return;
            }
            let best = labels.to_beat(source);
            if label.cost >= best {
                return;
            }
            let Some((cost, amount_msat)) = measure.extend(&label, terms, best) else { return };
            let cltv = label.cltv.saturating_add(terms.cltv_delta);
            if cltv > limits.max_cltv || !(cost + bound).is_finite() {
                return;
            }
            let (via, hops) = (edge, label.hops + 1);
            labels.set(source, Label { cost, amount_msat, via, next: node, cltv, hops });
            heap.push(cost + bound, source);
        };
        let at_payee = node == field.payee;
        if (node as usize) < field.view.node_count() {
            for place in field.view.row(node) {
                let slot = &field.view.slots[place as usize];
                if !measure.admits(amount, u64::from(slot.htlc_min_msat), slot.htlc_max_msat)
                    || slot.source == field.payer_in_view
                    || field.closed(slot.source)
                    || (at_payee && !field.may_end(place))
                    || (slot.htlc_min_msat == u32::MAX
                        && !measure.admits(amount, field.view.htlc_min_msat(slot), u64::MAX))
                {
                    continue;
                }
                relax(slot.source, place, &Terms::of_slot(slot));
            }
        }
        for place in field.extras_to(node) {
            let edge = field.edge(place);
            if !measure.admits(amount, edge.htlc_min_msat, edge.htlc_max_msat)
                || field.closed(edge.source)
                || (at_payee && !field.may_end(place))
                || (label.via != ROOT && field.edge(label.via).scid == edge.scid)
            {
                continue;
            }
            relax(edge.source, place, &Terms::of_edge(&edge));
        }
    }
    None
}
