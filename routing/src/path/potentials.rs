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
    let mut by_source: Vec<(u32, u32)> = Vec::new();
    let slots = field.view.slots.len() as u32;
    for (place, edge) in field.scratch.extra.iter().enumerate() {
        if edge.source == field.payer {
            let fits = edge.htlc_max_msat >= quantum_msat
                && edge.htlc_min_msat <= quantum_msat
                && field.room(edge.link, edge.capacity_msat) >= quantum_msat;
            let cost = weights.certain(quantum_msat, edge.cltv_delta)
                + weights.lambda * field.nats(edge.link, edge.capacity_msat, quantum_msat);
            if fits && cost < bounds[edge.target as usize] {
                bounds[edge.target as usize] = cost;
                heap.push(cost, edge.target);
            }
        } else {
            by_source.push((edge.source, slots + place as u32));
        }
    }
    by_source.sort_unstable();
    let reached = spread(field, weights, quantum_msat, &by_source, &mut bounds, heap, visits);
    let payee = bounds[field.payee as usize];
    bounds.iter_mut().for_each(|bound| *bound = bound.min(payee));
    reached.then_some(bounds)
}

fn spread(
    field: &Field<'_>,
    weights: &Weights,
    quantum_msat: u64,
    by_source: &[(u32, u32)],
    bounds: &mut [f32],
    heap: &mut Heap,
    visits: &mut u64,
) -> bool {
    while let Some((cost, node)) = heap.pop() {
        if cost > bounds[node as usize] {
            continue;
        }
        if node == field.payee {
            return true;
        }
        *visits += 1;
        if field.closed(node) {
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
                if twin.htlc_max_msat < quantum_msat || u64::from(twin.htlc_min_msat) > quantum_msat
                {
                    continue;
                }
                let fee = fee_msat(quantum_msat, twin.base_msat, twin.ppm).unwrap_or(u64::MAX);
                let sure = cost + weights.cost(fee, 0.0, quantum_msat, u32::from(twin.cltv_delta));
                if sure >= best {
                    continue;
                }
                let capacity = field.view.capacity_msat(twin.link >> 1);
                let nats = field.nats(twin.link, capacity, quantum_msat);
                let through = sure + weights.lambda * nats;
                let fits = !hopeless(nats) && field.room(twin.link, capacity) >= quantum_msat;
                if through < best && fits {
                    bounds[target as usize] = through;
                    heap.push(through, target);
                }
            }
        }
        let from = by_source.partition_point(|&(source, _)| source < node);
        for &(_, place) in by_source[from..].iter().take_while(|&&(source, _)| source == node) {
            let edge = field.edge(place);
            let fee = fee_msat(quantum_msat, edge.base_msat, edge.ppm).unwrap_or(u64::MAX);
            let through = cost + weights.cost(fee, 0.0, quantum_msat, edge.cltv_delta);
            if through < bounds[edge.target as usize] {
                bounds[edge.target as usize] = through;
                heap.push(through, edge.target);
            }
        }
    }
    false
}
