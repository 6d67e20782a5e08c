//! Lower bounds of the cost from the payer to every node: what makes a search look the right way.
//!
//! `h(v)` is the distance from the payer for one quantum, over the field as it is known. It is consistent,
//!
//! ```text
//! h(v) <= h(u) + cost(u -> v)
//! ```
//!
//! for every cost that is not less than the quantum's, and stays so when all distances beyond that of the
//! payee are cut down to it; so the search for them may end there.

use crate::amount::fee_msat;
use crate::cost::Weights;

use super::field::{Field, hopeless};
use super::heap::Heap;

/// What potentials are for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The least amount, which sets the costs.
    pub least_msat: u64,
    /// The greatest amount, which sets what is too small a minimum.
    pub most_msat: u64,
    /// Whether they are to be kept: then for all nodes, and nothing that may change bars an edge.
    pub keep: bool,
}

/// Returns the bounds for one quantum, or `None` where it finds no way to the payee.
pub(crate) fn build(
    field: &Field<'_>,
    weights: &Weights,
    quantum_msat: u64,
    heap: &mut Heap,
    visits: &mut u64,
) -> Option<Vec<f32>> {
    let mut bounds = vec![f32::INFINITY; field.nodes];
    bounds[field.payer as usize] = 0.0;
    heap.clear();
    for edge in field.scratch.extra.iter().filter(|edge| edge.source == field.payer) {
        let fits = edge.htlc_max_msat >= quantum_msat
            && edge.htlc_min_msat <= quantum_msat
            && field.room(edge.link, edge.capacity_msat) >= quantum_msat;
        let cost = weights.certain(quantum_msat, edge.cltv_delta)
            + weights.lambda * field.nats(edge.link, edge.capacity_msat, quantum_msat);
        if fits && cost < bounds[edge.target as usize] {
            bounds[edge.target as usize] = cost;
            heap.push(cost, edge.target);
        }
    }
    let scope = Scope { least_msat: quantum_msat, most_msat: quantum_msat, keep: false };
    spread(field, weights, &scope, &mut bounds, heap, visits);
    let payee = bounds[field.payee as usize];
    bounds.iter_mut().for_each(|bound| *bound = bound.min(payee));
    payee.is_finite().then_some(bounds)
}

/// Spreads what is on the heap: a search from the payer forwards, which only ever lowers bounds.
pub(crate) fn spread(
    field: &Field<'_>,
    weights: &Weights,
    scope: &Scope,
    bounds: &mut [f32],
    heap: &mut Heap,
    visits: &mut u64,
) {
    let slots = field.view.slots.len() as u32;
    let hints =
        field.scratch.extra.iter().enumerate().filter(|(_, edge)| edge.source != field.payer);
    let mut hints: Vec<(u32, u32)> =
        hints.map(|(place, edge)| (edge.source, slots + place as u32)).collect();
    hints.sort_unstable();
    let amount = scope.least_msat;
    while let Some((cost, node)) = heap.pop() {
        if cost > bounds[node as usize] {
            continue;
        }
        if node == field.payee && !scope.keep {
            return;
        }
        *visits += 1;
        if field.closed(node) && !scope.keep {
            continue;
        }
        if (node as usize) < field.view.node_count() && node != field.payer_in_view {
            for place in field.view.row(node) {
                let target = field.view.slots[place as usize].source;
                let best = bounds[target as usize];
                if cost >= best {
                    continue;
                }
                let twin = &field.view.slots[field.view.twin(place) as usize];
                if twin.htlc_max_msat < amount || u64::from(twin.htlc_min_msat) > scope.most_msat {
                    continue;
                }
                let fee = fee_msat(amount, twin.base_msat, twin.ppm).unwrap_or(u64::MAX);
                let sure = cost + weights.cost(fee, 0.0, amount, u32::from(twin.cltv_delta));
                if sure >= best {
                    continue;
                }
                let capacity = field.view.capacity_msat(twin.link >> 1);
                let mut nats = field.nats(twin.link, capacity, amount);
                if scope.keep {
                    nats = nats.min(field.prior.nats_unknown(amount as f32 / capacity as f32));
                } else if hopeless(nats) || field.room(twin.link, capacity) < amount {
                    continue;
                }
                let through = sure + weights.lambda * nats;
                if through < best {
                    bounds[target as usize] = through;
                    heap.push(through, target);
                }
            }
        }
        let from = hints.partition_point(|&(source, _)| source < node);
        for &(_, place) in hints[from..].iter().take_while(|&&(source, _)| source == node) {
            let edge = field.edge(place);
            let fee = fee_msat(amount, edge.base_msat, edge.ppm).unwrap_or(u64::MAX);
            let through = cost + weights.cost(fee, 0.0, amount, edge.cltv_delta);
            if through < bounds[edge.target as usize] {
                bounds[edge.target as usize] = through;
                heap.push(through, edge.target);
            }
        }
    }
}
