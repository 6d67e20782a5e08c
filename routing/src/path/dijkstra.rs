//! The search for one path: label-setting from the payee backwards, in exact amounts.
//!
//! Fees are charged on what is forwarded, so they are only known from the payee's side; hence backwards
//! (Dijkstra, with the payer's potentials as the heuristic of A*). A label's amount is exact to the
//! msat; only the order of labels is in `f32`. Risk is looked up last, when the edge can still win.

use crate::cost::{Weights, checked_fee};

use super::field::{Field, hopeless};
use super::heap::Heap;
use super::labels::{Label, Labels, ROOT};

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
pub(crate) struct Workbench {
    pub labels: Labels,
    pub heap: Heap,
    /// Nodes settled since the query began.
    pub visits: u64,
}

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
    let Workbench { labels, heap, visits } = bench;
    labels.begin(field.nodes);
    heap.clear();
    let root = Label { amount_msat, via: ROOT, cltv: limits.final_cltv, ..Label::default() };
    labels.set(field.payee, root);
    heap.push(0.0, field.payee);
    let most_msat = amount_msat.saturating_add(limits.max_fee_msat);

    while let Some((_, node)) = heap.pop() {
        let label = *labels.get(node)?;
        if label.settled {
            continue;
        }
        if node == field.payer {
            return Some(trace(field, labels));
        }
        labels.settle(node);
        *visits += 1;
        if label.hops >= limits.max_hops {
            continue;
        }
        let amount = label.amount_msat;
        let mut relax =
            |source: u32, edge: u32, link: u32, capacity: u64, fee: u64, cltv_delta: u32| {
                let total = amount + fee;
                let cltv = label.cltv.saturating_add(cltv_delta);
                if total > most_msat || cltv > limits.max_cltv {
                    return;
                }
                let sure = label.cost + weights.cost(fee, 0.0, amount, cltv_delta);
                let best = labels
                    .get(source)
                    .map_or(f32::INFINITY, |l| if l.settled { 0.0 } else { l.cost });
                if sure >= best {
                    return;
                }
                let nats = field.nats(link, capacity, amount);
                let cost = sure + weights.lambda * nats;
                if cost >= best || hopeless(nats) {
                    return;
                }
                let bound = potentials.get(source as usize).map_or(0.0, |&bound| bound * scale);
                if !(cost + bound).is_finite() {
                    return;
                }
                let hops = label.hops + 1;
                labels.set(
                    source,
                    Label {
                        stamp: 0,
                        cost,
                        amount_msat: total,
                        via: edge,
                        next: node,
                        cltv,
                        hops,
                        settled: false,
                    },
                );
                heap.push(cost + bound, source);
            };
        let at_payee = node == field.payee;
        if (node as usize) < field.view.node_count() {
            for place in field.view.row(node) {
                let slot = &field.view.slots[place as usize];
                if amount > slot.htlc_max_msat
                    || amount < u64::from(slot.htlc_min_msat)
                    || slot.source == field.payer_in_view
                    || field.closed(slot.source)
                    || (at_payee && !field.may_end(place))
                    || (slot.htlc_min_msat == u32::MAX && amount < field.view.htlc_min_msat(slot))
                {
                    continue;
                }
                let Some(fee) = checked_fee(amount, slot.base_msat, slot.ppm) else { continue };
                let capacity = field.view.capacity_msat(slot.link >> 1);
                relax(slot.source, place, slot.link, capacity, fee, u32::from(slot.cltv_delta));
            }
        }
        for place in field.extras_to(node) {
            let edge = field.edge(place);
            if amount > edge.htlc_max_msat
                || amount < edge.htlc_min_msat
                || field.closed(edge.source)
                || (at_payee && !field.may_end(place))
                || (label.via != ROOT && field.edge(label.via).scid == edge.scid)
            {
                continue;
            }
            let Some(fee) = checked_fee(amount, edge.base_msat, edge.ppm) else { continue };
            relax(edge.source, place, edge.link, edge.capacity_msat, fee, edge.cltv_delta);
        }
    }
    None
}

fn trace(field: &Field<'_>, labels: &Labels) -> Vec<u32> {
    let mut edges = Vec::new();
    let mut node = field.payer;
    while node != field.payee {
        let Some(label) = labels.get(node).filter(|label| label.via != ROOT) else { break };
        edges.push(label.via);
        node = label.next;
    }
    edges
}
