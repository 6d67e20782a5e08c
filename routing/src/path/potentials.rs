//! Lower bounds of the cost from the payer to every node: what makes a search look the right way.
//!
//! With `f(v)` the distance from the payer, `b(v)` that to the payee and `D` the distance between the two,
//! all for one amount over the field as it is known, the bounds are
//!
//! ```text
//! h(v) = f(v)       where f(v) < F
//!        D - b(v)   where b(v) < D - F
//!        F          elsewhere
//! ```
//!
//! for any radius `F`: as `max(min(f, F), D - min(b, D - F))`, the greater of two bounds that are consistent,
//!
//! ```text
//! h(v) <= h(u) + cost(u -> v)
//! ```
//!
//! they are so too, for every cost that is not less than the amount's. Hence it is enough to search from
//! both ends until the two balls meet, and balls grow with their radius much faster than in proportion: two
//! of half the radius have a twelfth of the edges.
//!
//! A search ends when the least costs on both heaps, `near` and `far`, sum up to the cost of a way that was
//! found: no other is cheaper. What a step reaches at `near' >= D' - far'` for the figures of that time lies on
//! no cheaper way, is beyond either radius, and is left out. The side that did not move last keeps its
//! radius, and the other one is what is left of `D`.

use crate::amount::fee_msat;
use crate::cost::Weights;

use super::field::{Arc, Field, hopeless};
use super::heap::Heap;
use super::terms::Terms;

/// What bars an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bars {
    /// Nothing that may change: the bounds are to be kept.
    Lasting,
    /// What is known to fail.
    Hopeless,
    /// What the field's caution keeps away from, too.
    Caution,
}

/// What potentials are for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The least amount, which sets the costs.
    pub least_msat: u64,
    /// The greatest amount, which sets what is too small a minimum.
    pub most_msat: u64,
    pub bars: Bars,
}

/// One end of a search: what it reached, at which cost, and where it goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    pub costs: Vec<f32>,
    pub heap: Heap,
}

impl Side {
    /// Begins anew at a node.
    pub(crate) fn begin(&mut self, nodes: usize, node: u32) {
        self.costs.clear();
        self.costs.resize(nodes, f32::INFINITY);
        self.heap.clear();
        self.offer(node, 0.0);
    }

    /// Takes a way to a node if it is the cheapest yet.
    pub(crate) fn offer(&mut self, node: u32, cost: f32) {
        if cost < self.costs[node as usize] {
            self.costs[node as usize] = cost;
            self.heap.push(cost, node);
        }
    }

    /// Returns the least cost at which it goes on.
    fn radius(&self) -> f32 {
        self.heap.least().unwrap_or(f32::INFINITY)
    }

    /// Returns the next node and its cost, unless it was met before at less.
    fn next(&mut self) -> Option<(f32, u32)> {
        self.heap.pop().filter(|&(cost, node)| cost <= self.costs[node as usize])
    }
}

/// What the other side of a search has reached.
struct Other<'a> {
    costs: &'a [f32],
    /// The least cost at which it goes on.
    radius: f32,
    /// The cost of the cheapest way that both found, from end to end.
    whole: f32,
}

impl Other<'_> {
    /// Hears that a node was reached.
    #[inline]
    fn hear(&mut self, node: u32, cost: f32) {
        if let Some(rest) = self.costs.get(node as usize) {
            self.whole = self.whole.min(cost + rest);
        }
    }
}

/// The field as potentials see it.
pub(crate) struct Ground<'a, 'v> {
    field: &'a Field<'v>,
    weights: &'a Weights,
    scope: Scope,
}

impl<'a, 'v> Ground<'a, 'v> {
    pub(crate) fn new(field: &'a Field<'v>, weights: &'a Weights, scope: Scope) -> Self {
        Self { field, weights, scope }
    }

    /// Spreads what is on the heap all over the field.
    pub(crate) fn spread(&self, side: &mut Side, visits: &mut u64) {
        let mut nobody = Other { costs: &[], radius: 0.0, whole: f32::INFINITY };
        while !side.heap.is_empty() {
            if let Some((cost, node)) = side.next() {
                *visits += 1;
                self.onward(side, node, cost, &mut nobody);
            }
        }
    }

    /// Goes on from a node along the edges out of it.
    fn onward(&self, side: &mut Side, node: u32, cost: f32, other: &mut Other<'_>) {
        self.field.each_out_of(node, |target, arc| self.reach(side, target, cost, other, arc));
    }

    /// Goes on from a node against the edges that lead to it.
    fn backward(&self, side: &mut Side, node: u32, cost: f32, other: &mut Other<'_>) {
        self.field.each_into(node, |source, arc| self.reach(side, source, cost, other, arc));
    }

    #[inline]
    fn reach(&self, side: &mut Side, node: u32, cost: f32, other: &mut Other<'_>, arc: Arc) {
        // The cheapest test first: most neighbours have a better way.
        let below = side.costs[node as usize].min(other.whole - other.radius);
        let lasting = self.scope.bars == Bars::Lasting;
        if cost >= below || (!lasting && self.field.closed(node)) {
            return;
        }
        let edge = arc.edge(self.field);
        if !lasting && !self.field.may_enter(node, edge) {
            return;
        }
        if let Some(through) = self.step(cost, &self.field.terms(edge), below) {
            side.costs[node as usize] = through;
            side.heap.push(through, node);
            other.hear(node, through);
        }
    }

    /// Returns the cost of a way with one more edge, or `None` where it is barred or that is not below `below`.
    #[inline]
    fn step(&self, cost: f32, terms: &Terms, below: f32) -> Option<f32> {
        let Scope { least_msat: amount, most_msat, bars } = self.scope;
        if terms.htlc_max_msat < amount || terms.htlc_min_msat > most_msat {
            return None;
        }
        let fee = fee_msat(amount, terms.base_msat, terms.ppm).unwrap_or(u64::MAX);
        let sure = cost + self.weights.cost(fee, 0.0, amount, terms.cltv_delta);
        if sure >= below {
            return None;
        }
        let capacity = self.field.capacity(terms);
        let mut nats = self.field.nats(terms.link, capacity, amount);
        let barred = match bars {
            Bars::Lasting => {
                let unknown = self.field.prior.nats_unknown(amount as f32 / capacity as f32);
                nats = nats.min(unknown);
                false
            }
            Bars::Hopeless => hopeless(nats),
            Bars::Caution => hopeless(nats) || self.field.room(terms.link, capacity) < amount,
        };
        let through = sure + self.weights.lambda * nats;
        (!barred && through < below).then_some(through)
    }
}

/// Returns the bounds for what the scope says, or `None` where there is no way to the payee.
pub(crate) fn build(
    field: &Field<'_>,
    weights: &Weights,
    scope: Scope,
    [front, back]: &mut [Side; 2],
    visits: &mut u64,
) -> Option<Vec<f32>> {
    let ground = Ground::new(field, weights, scope);
    front.begin(field.nodes, field.payer);
    back.begin(field.nodes, field.payee);
    let mut work = [0, 0];
    let mut whole = f32::INFINITY;
    let mut forth = true;
    let (near, far) = loop {
        let (near, far) = (front.radius(), back.radius());
        if near + far >= whole || (near + far).is_infinite() {
            break (near, far);
        }
        *visits += 1;
        forth = work[0] <= work[1];
        if forth {
            let Some((cost, node)) = front.next() else { continue };
            let mut other = Other { costs: &back.costs, radius: far, whole };
            ground.onward(front, node, cost, &mut other);
            work[0] += field.degree(node);
            whole = other.whole;
        } else {
            let Some((cost, node)) = back.next() else { continue };
            let mut other = Other { costs: &front.costs, radius: near, whole };
            ground.backward(back, node, cost, &mut other);
            work[1] += field.degree(node);
            whole = other.whole;
        }
    };
    if whole.is_infinite() {
        return None;
    }
    let radius = if forth { whole - far } else { near };
    let bounds = front.costs.iter().zip(&back.costs);
    Some(bounds.map(|(&f, &b)| f.min(radius).max(whole - b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::synthetic::generate;
    use crate::graph::overlay::Overlay;
    use crate::liquidity::Beliefs;
    use crate::path::field::Scratch;
    use crate::path::layer;
    use crate::query::Query;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bounds_are_consistent_and_tell_the_distance(seed in 0..1_000u64, sat in 1..2_000_000u64) {
            let view = generate(seed, 60, 150);
            let nodes = view.node_count() as u64;
            let (payer, payee) = (*view.key((seed % nodes) as u32), *view.key((seed / 7 % nodes) as u32));
            let query = Query::new(payer, payee, sat * 1_000);
            let (overlay, beliefs) = (Overlay::new(), Beliefs::new());
            let field = layer::field(Scratch::default(), &view, &overlay, &beliefs, 0, &query);
            let weights = Weights::of(&query, 1.0);
            let amount = query.amount_msat;
            let scope = Scope { least_msat: amount, most_msat: amount, bars: Bars::Hopeless };
            let ground = Ground::new(&field, &weights, scope);
            let mut from_payer = Side::default();
            from_payer.begin(field.nodes, field.payer);
            ground.spread(&mut from_payer, &mut 0);
            let distance = from_payer.costs[field.payee as usize];

            let Some(bounds) = build(&field, &weights, scope, &mut Default::default(), &mut 0) else {
                prop_assert!(distance.is_infinite());
                return Ok(());
            };
            let slack = 1.0 + 1e-5 * distance;
            prop_assert!((bounds[field.payee as usize] - distance).abs() <= slack);
            prop_assert_eq!(bounds[field.payer as usize], 0.0);
            for node in 0..field.nodes as u32 {
                let here = bounds[node as usize];
                prop_assert!(here <= from_payer.costs[node as usize] + slack);
                field.each_out_of(node, |target, arc| {
                    let terms = field.terms(arc.edge(&field));
                    let through = ground.step(here, &terms, f32::INFINITY);
                    let low = bounds[target as usize] - slack;
                    assert!(through.is_none_or(|through| low <= through), "{node} to {target}");
                });
            }
        }
    }
}
