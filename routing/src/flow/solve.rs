//! The flow of least cost, by successive shortest paths with residual arcs.
//!
//! Each round sends one quantum along the cheapest path of the residual graph: forward over an edge at
//! the cost of its next quantum, or backward over an edge that carries flow, which takes a quantum off it
//! and refunds its cost. So earlier quanta are rerouted when later ones need their place, which greedy
//! planning cannot do.
//!
//! Arcs with negative cost are searched with node potentials (Edmonds & Karp 1972, Tomizawa 1971):
//! `cost(u -> v) + p(u) - p(v) >= 0` on every residual arc. The first potentials are the payer's lower
//! bounds, so the first search already looks the right way; after a search that settled the payer at
//! distance `D`, every settled `v` at distance `d(v)` has `p(v) += D - d(v)`, which keeps the invariant
//! and makes every arc of the path, and so its reverse, cost nothing. Only settled nodes are touched.
//! Where the pieces are not convex an arc can come out a little negative: it is taken as zero.

use crate::cost::{Weights, tune};
use crate::path::field::{CARRIES, Field};
use crate::path::labels::{Label, ROOT};
use crate::path::walk::{Limits, Workbench};

use super::linear::{refund, risk, sure_cost};
use super::quanta::Quanta;

/// Marks a label's edge as taken backward: it gives up a quantum.
const BACKWARD: u32 = 1 << 31;

/// What a flow is sought under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'t> {
    pub weights: &'t Weights,
    pub limits: &'t Limits,
    pub max_visits: u64,
    /// What the whole flow has to deliver, msat.
    pub amount_msat: u64,
}

/// Where a flow ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sent {
    /// All quanta found a way.
    All,
    /// So many found a way, and then there was none.
    Part(u64),
    /// No more than this can pass a cut between payer and payee, msat: no other quanta would help.
    Cut(u64),
}

/// Sends `count` quanta.
pub(crate) fn send(
    field: &mut Field<'_>,
    terms: &Terms<'_>,
    count: u64,
    potentials: &mut [f32],
    quanta: &mut Quanta,
    bench: &mut Workbench,
) -> Sent {
    let mut settled: Vec<u32> = Vec::new();
    let mut sent = 0;
    while sent < count {
        settled.clear();
        if bench.visits >= terms.max_visits {
            return Sent::Part(sent);
        }
        if !search(field, terms, potentials, quanta, bench, &mut settled) {
            let cut = cut_msat(field, bench, &settled);
            return if cut < terms.amount_msat { Sent::Cut(cut) } else { Sent::Part(sent) };
        }
        let distance = bench.labels.get(field.payer).map_or(0.0, |label| label.cost);
        for &node in &settled {
            if let Some(label) = bench.labels.get(node) {
                potentials[node as usize] += (distance - label.cost).max(0.0);
            }
        }
        sent += augment(field, terms, count - sent, quanta, bench);
    }
    Sent::All
}

/// Returns how much can pass, whatever the flow, from nodes the search did not reach to those it did. The
/// search ended without meeting the payer, so all of the payment has to pass there.
fn cut_msat(field: &Field<'_>, bench: &Workbench, settled: &[u32]) -> u64 {
    let reached = |node: u32| bench.labels.get(node).is_some_and(|label| label.settled);
    let mut sum = 0u64;
    for &node in settled {
        let row =
            if (node as usize) < field.view.node_count() { field.view.row(node) } else { 0..0 };
        for place in row.chain(field.extras_to(node)) {
            let edge = field.edge(place);
            let open = edge.htlc_max_msat > 0
                && edge.source != field.payer_in_view
                && !reached(edge.source)
                && !field.closed(edge.source)
                && (node != field.payee || field.may_end(place));
            if open {
                sum = sum.saturating_add(field.bound(&edge));
            }
        }
    }
    sum
}

/// Puts one quantum on the path found, and more while the next costs little more than the first: that
/// spares searches, at the price of being off the optimum by as much. Returns how many.
fn augment(
    field: &mut Field<'_>,
    terms: &Terms<'_>,
    most: u64,
    quanta: &mut Quanta,
    bench: &Workbench,
) -> u64 {
    let path = bench.labels.trace(field.payer, field.payee);
    let straight = path.iter().all(|via| via & BACKWARD == 0);
    let first = if straight { next_cost(field, terms.weights, quanta, &path) } else { None };
    let mut pushed = 0;
    loop {
        for &via in &path {
            if via & BACKWARD != 0 {
                quanta.take(via & !BACKWARD, 1);
            } else {
                quanta.add(field, via);
            }
        }
        pushed += 1;
        let (Some(first), true) = (first, pushed < most) else { return pushed };
        match next_cost(field, terms.weights, quanta, &path) {
            Some(next) if next <= first * (1.0 + tune::SLACK) => {}
            _ => return pushed,
        }
    }
}

/// Returns what the next quantum along a path costs, or `None` where it does not fit.
fn next_cost(field: &Field<'_>, weights: &Weights, quanta: &Quanta, path: &[u32]) -> Option<f32> {
    let mut sum = 0.0;
    for &place in path {
        let edge = field.edge(place);
        let risk = risk(field, quanta, place, edge.link, edge.capacity_msat, edge.htlc_max_msat)?;
        let sure = sure_cost(weights, quanta.size_msat, 0, edge.ppm, edge.cltv_delta);
        sum += sure + weights.lambda * risk;
    }
    Some(sum)
}

/// Searches the residual graph from the payee to the payer, in reduced costs; lists what it settled.
fn search(
    field: &Field<'_>,
    terms: &Terms<'_>,
    potentials: &[f32],
    quanta: &Quanta,
    bench: &mut Workbench,
    settled: &mut Vec<u32>,
) -> bool {
    let (weights, limits, quantum) = (terms.weights, terms.limits, quanta.size_msat);
    let Workbench { labels, heap, visits, .. } = bench;
    labels.begin(field.nodes);
    heap.clear();
    labels.set(field.payee, Label { via: ROOT, cltv: limits.final_cltv, ..Label::default() });
    heap.push(0.0, field.payee);

    while let Some((_, node)) = heap.pop() {
        let Some(&label) = labels.get(node) else { return false };
        if label.settled {
            continue;
        }
        labels.settle(node);
        if node == field.payer {
            return true;
        }
        settled.push(node);
        *visits += 1;
        if label.hops >= limits.max_hops {
            continue;
        }
        let here = potentials[node as usize];
        let mut relax = |edge: &Offer| {
            // The cheapest tests first: most neighbours are settled or reached for less.
            let best = labels.to_beat(edge.from).min(labels.to_beat(field.payer));
            let cltv = label.cltv.saturating_add(edge.cltv_delta);
            if label.cost >= best || cltv > limits.max_cltv {
                return;
            }
            let base = if quanta.on(edge.via & !BACKWARD) == 0 { edge.base_msat } else { 0 };
            let sure = || sure_cost(weights, quantum, base, edge.ppm, edge.cltv_delta);
            let cost = edge.refund.map_or_else(sure, |refund| -refund);
            let step = cost + potentials[edge.from as usize] - here;
            if edge.link.is_some() && label.cost + step >= best {
                return;
            }
            let risk = match edge.link {
                None => Some(0.0),
                Some((link, capacity)) => {
                    let announced = || field.view.capacity_msat(link >> 1);
                    let capacity = capacity.unwrap_or_else(announced);
                    risk(field, quanta, edge.via, link, capacity, edge.htlc_max_msat)
                }
            };
            let Some(risk) = risk else { return };
            let cost = label.cost + (step + weights.lambda * risk).max(0.0);
            if cost < best && cost.is_finite() {
                let (via, hops) = (edge.via, label.hops + 1);
                labels.set(
                    edge.from,
                    Label { cost, via, next: node, cltv, hops, ..Label::default() },
                );
                heap.push(cost, edge.from);
            }
        };
        let at_payee = node == field.payee;
        if (node as usize) < field.view.node_count() {
            for place in field.view.row(node) {
                let slot = &field.view.slots[place as usize];
                if quantum > slot.htlc_max_msat
                    || quantum < u64::from(slot.htlc_min_msat)
                    || slot.source == field.payer_in_view
                    || field.closed(slot.source)
                    || potentials[slot.source as usize] == f32::INFINITY
                    || (at_payee && !field.may_end(place))
                    || (slot.htlc_min_msat == u32::MAX && quantum < field.view.htlc_min_msat(slot))
                {
                    continue;
                }
                relax(&Offer {
                    from: slot.source,
                    via: place,
                    refund: None,
                    base_msat: slot.base_msat,
                    ppm: slot.ppm,
                    cltv_delta: u32::from(slot.cltv_delta),
                    link: Some((slot.link, None)),
                    htlc_max_msat: slot.htlc_max_msat,
                });
            }
        }
        for place in field.extras_to(node) {
            let edge = field.edge(place);
            if quantum > edge.htlc_max_msat
                || quantum < edge.htlc_min_msat
                || field.closed(edge.source)
                || (at_payee && !field.may_end(place))
                || (label.via != ROOT && field.edge(label.via & !BACKWARD).scid == edge.scid)
            {
                continue;
            }
            relax(&Offer {
                from: edge.source,
                via: place,
                refund: None,
                base_msat: edge.base_msat,
                ppm: edge.ppm,
                cltv_delta: edge.cltv_delta,
                link: Some((edge.link, Some(edge.capacity_msat))),
                htlc_max_msat: edge.htlc_max_msat,
            });
        }
        if field.scratch.flags[node as usize] & CARRIES != 0 {
            for place in quanta.out_of(node) {
                relax(&Offer {
                    from: field.edge(place).target,
                    via: place | BACKWARD,
                    refund: Some(refund(field, weights, quanta, place)),
                    base_msat: 0,
                    ppm: 0,
                    cltv_delta: 0,
                    link: None,
                    htlc_max_msat: u64::MAX,
                });
            }
        }
    }
    false
}

/// An arc of the residual graph that leads to the node at hand.
struct Offer {
    from: u32,
    /// The edge, with [`BACKWARD`] where it is taken off.
    via: u32,
    /// What it gives back, where it is taken off.
    refund: Option<f32>,
    base_msat: u32,
    ppm: u32,
    cltv_delta: u32,
    /// Where its risk is looked up: link and capacity, which is the view's where it is not given.
    link: Option<(u32, Option<u64>)>,
    htlc_max_msat: u64,
}
