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
            return Some(labels.trace(field.payer, field.payee));
        }
        labels.settle(node);
        *visits += 1;
        if label.hops >= limits.max_hops {
            continue;
        }
        let amount = label.amount_msat;
        let mut relax = |source: u32, edge: u32, terms: &Terms| {
            // The cheapest tests first: most neighbours lead nowhere better, are settled or reached.
            let bound = potentials.get(source as usize).map_or(0.0, |&bound| bound * scale);
            if label.cost + bound >= labels.to_beat(field.payer) {
                return;
            }
            let best = labels.to_beat(source);
            if label.cost >= best {
                return;
            }
            let Some(fee) = checked_fee(amount, terms.base_msat, terms.ppm) else { return };
            let total = amount + fee;
            let cltv = label.cltv.saturating_add(terms.cltv_delta);
            let sure = label.cost + weights.cost(fee, 0.0, amount, terms.cltv_delta);
            if sure >= best || total > most_msat || cltv > limits.max_cltv {
                return;
            }
            let capacity =
                terms.capacity_msat.unwrap_or_else(|| field.view.capacity_msat(terms.link >> 1));
            let nats = field.nats(terms.link, capacity, amount);
            let cost = sure + weights.lambda * nats;
            if cost >= best || hopeless(nats) {
                return;
            }
            if !(cost + bound).is_finite() {
                return;
            }
            let (via, hops) = (edge, label.hops + 1);
            let way = Label { cost, amount_msat: total, via, next: node, cltv, hops, ..label };
            labels.set(source, Label { settled: false, ..way });
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
                let terms = Terms {
                    base_msat: slot.base_msat,
                    ppm: slot.ppm,
                    cltv_delta: u32::from(slot.cltv_delta),
                    link: slot.link,
                    capacity_msat: None,
                };
                relax(slot.source, place, &terms);
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
            let terms = Terms {
                base_msat: edge.base_msat,
                ppm: edge.ppm,
                cltv_delta: edge.cltv_delta,
                link: edge.link,
                capacity_msat: Some(edge.capacity_msat),
            };
            relax(edge.source, place, &terms);
        }
    }
    None
}

/// What an edge asks, and where its risk is looked up.
struct Terms {
    base_msat: u32,
    ppm: u32,
    cltv_delta: u32,
    link: u32,
    /// `None` for a channel of the graph.
    capacity_msat: Option<u64>,
}
