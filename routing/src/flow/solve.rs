//! The flow of least cost, by successive shortest paths with residual arcs.
//!
//! Each round sends one quantum along the cheapest path of the residual graph: forward over an edge at
//! the cost of its next quantum, or backward over an edge that carries flow, which takes a quantum off it
//! and refunds its cost. So earlier quanta are rerouted when later ones need their place, which greedy
//! planning cannot do.
//!
//! Arcs with negative cost are searched with node potentials (Edmonds & Karp 1972, Tomizawa 1971):
//! `cost(u -> v) + p(u) - p(v) >= 0` on every residual arc. The first potentials are the payer's lower
//! bounds, so the first search already looks the right way. Every search goes from both ends, as that for
//! the bounds does ([`potentials`](crate::path::potentials), with the proof), in reduced costs: it finds a
//! path of length `D`, all distances `f(v) < F` from the payer and all `b(v) < B` to the payee, `F + B = D`.
//! These are bounds again, and added to the potentials they keep the invariant and make every arc of the
//! path, and so its reverse, cost nothing. Less the same `F` for all,
//!
//! ```text
//! p(v) += f(v) - F   where f(v) < F
//! p(v) += B - b(v)   where b(v) < B
//! ```
//!
//! so only nodes within the radii are touched: few, whichever end it is near which the last path filled up.
//! Where the pieces are not convex an arc can come out a little negative: it is taken as zero.

use crate::cost::{Weights, tune};
use crate::path::field::{Arc, CARRIES, Field};
use crate::path::labels::{Label, ROOT};
use crate::path::reach::Reach;
use crate::path::terms::Terms as Asked;
use crate::path::walk::{Limits, Workspace};

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
    workspace: &mut Workspace,
) -> Sent {
    let mut sent = 0;
    while sent < count {
        if workspace.visits >= terms.max_visits {
            return Sent::Part(sent);
        }
        let residual = Residual { field, terms, quanta, potentials };
        let Some((path, radii)) = residual.search(workspace) else {
            let cut = cut_msat(field, workspace);
            return if cut < terms.amount_msat { Sent::Cut(cut) } else { Sent::Part(sent) };
        };
        let [front, back] = &workspace.reaches;
        front.within(radii[0], |node, rest| potentials[node as usize] -= rest);
        back.within(radii[1], |node, rest| potentials[node as usize] += rest);
        sent += augment(field, terms, count - sent, quanta, &path);
    }
    Sent::All
}

/// Returns how much can pass, whatever the flow, between the nodes that one side of the search reached and
/// all others. It ended without meeting the other side, so all of the payment has to pass there.
fn cut_msat(field: &Field<'_>, workspace: &Workspace) -> u64 {
    let [front, back] = &workspace.reaches;
    let mut sum = 0u64;
    let mut count = |reach: &Reach, node: u32, edge: u32| {
        let edge = field.edge(edge);
        if edge.htlc_max_msat > 0 && !reach.labels.settled(node) && !field.closed(node) {
            sum = sum.saturating_add(field.bound(&edge));
        }
    };
    if back.heap.is_empty() {
        for &node in &back.settled {
            field.each_into(node, |source, arc| count(back, source, arc.edge(field)));
        }
    } else {
        for &node in &front.settled {
            field.each_out_of(node, |target, arc| {
                let edge = arc.edge(field);
                if field.may_enter(target, edge) {
                    count(front, target, edge);
                }
            });
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
    path: &[u32],
) -> u64 {
    let straight = path.iter().all(|via| via & BACKWARD == 0);
    let first = if straight { next_cost(field, terms.weights, quanta, path) } else { None };
    let mut pushed = 0;
    loop {
        for &via in path {
            if via & BACKWARD != 0 {
                quanta.take(via & !BACKWARD, 1);
            } else {
                quanta.add(field, via);
            }
        }
        pushed += 1;
        let (Some(first), true) = (first, pushed < most) else { return pushed };
        match next_cost(field, terms.weights, quanta, path) {
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

/// The residual graph of a flow, in reduced costs.
struct Residual<'a, 'v> {
    field: &'a Field<'v>,
    terms: &'a Terms<'a>,
    quanta: &'a Quanta,
    potentials: &'a [f32],
}

/// What a search has found so far.
struct Found {
    path: Vec<u32>,
    /// Its length.
    whole: f32,
}

impl Residual<'_, '_> {
    /// Returns the shortest path, and the radii within which the distances from either end are known.
    fn search(&self, workspace: &mut Workspace) -> Option<(Vec<u32>, [f32; 2])> {
        let field = self.field;
        let Workspace { reaches: [front, back], visits, .. } = workspace;
        front.begin(field.nodes, field.payer, Label::default());
        let root = Label { cltv: self.terms.limits.final_cltv, ..Label::default() };
        back.begin(field.nodes, field.payee, root);
        let mut found = Found { path: Vec::new(), whole: f32::INFINITY };
        let mut forth = true;
        let (near, far) = loop {
            let (near, far) = (front.radius(), back.radius());
            if near + far >= found.whole || (near + far).is_infinite() {
                break (near, far);
            }
            forth = front.work <= back.work;
            let (reach, other, radius) =
                if forth { (&mut *front, &*back, far) } else { (&mut *back, &*front, near) };
            if let Some(node) = reach.settle_next(field) {
                *visits += 1;
                self.leave(node, forth, reach, other, radius, &mut found);
            }
        };
        let radius = if forth { found.whole - far } else { near };
        found.whole.is_finite().then_some((found.path, [radius, found.whole - radius]))
    }

    /// Goes on from a node that was just settled: along the arcs out of it, or against those that lead to it.
    fn leave(
        &self,
        node: u32,
        forth: bool,
        reach: &mut Reach,
        other: &Reach,
        radius: f32,
        found: &mut Found,
    ) {
        let (field, quanta, weights) = (self.field, self.quanta, self.terms.weights);
        let label = *reach.labels.get(node);
        if label.hops >= self.terms.limits.max_hops {
            return;
        }
        let here = self.potentials[node as usize];
        let sign = if forth { 1.0 } else { -1.0 };
        let ahead = |next: u32| sign * (here - self.potentials[next as usize]);
        let way = |via: u32, cost: f32, cltv_delta: u32| Label {
            cost,
            via,
            next: node,
            cltv: label.cltv.saturating_add(cltv_delta),
            hops: label.hops + 1,
            ..Label::default()
        };
        let along = |next: u32, arc: Arc| {
            // The cheapest test first: most neighbours have a better way or lie beyond what was found.
            let below = reach.labels.to_beat(next).min(found.whole - radius);
            let ahead = ahead(next);
            if label.cost + (ahead + weights.hop).max(0.0) >= below || field.closed(next) {
                return;
            }
            let edge = arc.edge(field);
            if !field.may_enter(if forth { next } else { node }, edge)
                || same_channel(field, edge, label.via)
            {
                return;
            }
            let asked = field.terms(edge);
            if let Some(cost) = self.price(edge, &asked, label.cost, ahead, below) {
                self.arrive(next, way(edge, cost, asked.cltv_delta), forth, reach, other, found);
            }
        };
        if forth {
            field.each_out_of(node, along);
        } else {
            field.each_into(node, along);
        }
        if field.scratch.flags[node as usize] & CARRIES == 0 {
            return;
        }
        let mut off = |next: u32, edge: u32| {
            let below = reach.labels.to_beat(next).min(found.whole - radius);
            let step = ahead(next) - refund(field, weights, quanta, edge);
            let cost = label.cost + step.max(0.0);
            if cost < below {
                self.arrive(next, way(edge | BACKWARD, cost, 0), forth, reach, other, found);
            }
        };
        if forth {
            quanta.into(node).for_each(|edge| off(field.edge(edge).source, edge));
        } else {
            quanta.out_of(node).for_each(|edge| off(field.edge(edge).target, edge));
        }
    }

    /// Returns the cost of a way with one more quantum on one more edge, or `None` where it does not fit or that
    /// is not less than `below`.
    #[inline]
    fn price(&self, edge: u32, asked: &Asked, cost: f32, ahead: f32, below: f32) -> Option<f32> {
        let (field, quanta, weights) = (self.field, self.quanta, self.terms.weights);
        let quantum = quanta.size_msat;
        if quantum > asked.htlc_max_msat || quantum < asked.htlc_min_msat {
            return None;
        }
        let base = if quanta.on(edge) == 0 { asked.base_msat } else { 0 };
        let step = ahead + sure_cost(weights, quantum, base, asked.ppm, asked.cltv_delta);
        if cost + step >= below || quantum < field.least(asked) {
            return None;
        }
        let capacity = field.capacity(asked);
        let risk = risk(field, quanta, edge, asked.link, capacity, asked.htlc_max_msat)?;
        let through = cost + (step + weights.lambda * risk).max(0.0);
        (through < below).then_some(through)
    }

    /// Labels a node, and looks whether the ways from both ends make a path there.
    fn arrive(
        &self,
        node: u32,
        label: Label,
        forth: bool,
        reach: &mut Reach,
        other: &Reach,
        found: &mut Found,
    ) {
        let limits = self.terms.limits;
        if label.cltv > limits.max_cltv {
            return;
        }
        reach.labels.set(node, label);
        reach.heap.push(label.cost, node);
        if !other.labels.reached(node) {
            return;
        }
        let rest = other.labels.get(node);
        let whole = label.cost + rest.cost;
        if whole >= found.whole
            || label.cltv.saturating_add(rest.cltv) > limits.max_cltv
            || label.hops + rest.hops > limits.max_hops
            || same_channel(self.field, label.via, rest.via)
        {
            return;
        }
        let (front, back) = if forth { (&*reach, other) } else { (other, &*reach) };
        let mut path = front.labels.trace(node);
        path.reverse();
        path.extend(back.labels.trace(node));
        *found = Found { path, whole };
    }
}

/// Returns whether two edges that meet are one channel: the payer's own stand in the graph, too.
fn same_channel(field: &Field<'_>, one: u32, two: u32) -> bool {
    let slots = field.view.slots.len() as u32;
    if one == ROOT || two == ROOT {
        return false;
    }
    let (one, two) = (one & !BACKWARD, two & !BACKWARD);
    (one >= slots || two >= slots) && field.edge(one).scid == field.edge(two).scid
}
