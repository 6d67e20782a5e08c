//! Lower bounds of the cost from the payer to every node: what makes a search look the right way.
//!
//! `h(v)` is the exact one-to-all distance from the payer for the least amount of a class of amounts,
//! over the graph with nothing known. Fees, risk and locked time only grow with the amount, and limits
//! only tighten, so for every amount of the class `h` is a consistent bound as long as costs only rise:
//!
//! ```text
//! h(v) <= h(u) + cost(u -> v)
//! ```
//!
//! Knowledge that lowers a cost (an HTLC that passed) would break this, so it is repaired: the decrease
//! is spread from the edges where it happened, which is a search over the few nodes it reaches.

use crate::amount::fee_msat;
use crate::cost::Weights;
use crate::graph::view::Slot;

use super::field::Field;
use super::heap::Heap;

/// Returns the bounds for all nodes of the field, for amounts from `least_msat` to `most_msat`.
pub(crate) fn build(
    field: &Field<'_>,
    weights: &Weights,
    least_msat: u64,
    most_msat: u64,
    heap: &mut Heap,
) -> Vec<f32> {
    let mut bounds = vec![f32::INFINITY; field.nodes];
    bounds[field.payer as usize] = 0.0;
    heap.clear();
    let mut by_source: Vec<(u32, u32)> = Vec::with_capacity(field.scratch.extra.len());
    let slots = field.view.slots.len() as u32;
    for (place, edge) in field.scratch.extra.iter().enumerate() {
        if edge.source == field.payer {
            // The payer's own balance changes with every payment: for a bound it is taken as enough.
            let cost = weights.certain(least_msat, edge.cltv_delta);
            if cost < bounds[edge.target as usize] {
                bounds[edge.target as usize] = cost;
                heap.push(cost, edge.target);
            }
        } else {
            by_source.push((edge.source, slots + place as u32));
        }
    }
    by_source.sort_unstable();
    spread(field, weights, least_msat, most_msat, &by_source, &mut bounds, heap);
    bounds
}

fn spread(
    field: &Field<'_>,
    weights: &Weights,
    least_msat: u64,
    most_msat: u64,
    by_source: &[(u32, u32)],
    bounds: &mut [f32],
    heap: &mut Heap,
) {
    while let Some((cost, node)) = heap.pop() {
        if cost > bounds[node as usize] {
            continue;
        }
        if (node as usize) < field.view.node_count() {
            for place in field.view.row(node) {
                let target = field.view.slots[place as usize].source;
                let twin = &field.view.slots[field.view.twin(place) as usize];
                if twin.htlc_max_msat < least_msat || u64::from(twin.htlc_min_msat) > most_msat {
                    continue;
                }
                let fee = fee_msat(least_msat, twin.base_msat, twin.ppm).unwrap_or(u64::MAX);
                let sure = cost + weights.cost(fee, 0.0, least_msat, u32::from(twin.cltv_delta));
                if sure < bounds[target as usize] {
                    let through = sure + weights.lambda * least_nats(field, twin, least_msat);
                    if through < bounds[target as usize] {
                        bounds[target as usize] = through;
                        heap.push(through, target);
                    }
                }
            }
        }
        let from = by_source.partition_point(|&(source, _)| source < node);
        for &(_, place) in by_source[from..].iter().take_while(|&&(source, _)| source == node) {
            let edge = field.edge(place);
            let fee = fee_msat(least_msat, edge.base_msat, edge.ppm).unwrap_or(u64::MAX);
            let through = cost + weights.cost(fee, 0.0, least_msat, edge.cltv_delta);
            if through < bounds[edge.target as usize] {
                bounds[edge.target as usize] = through;
                heap.push(through, edge.target);
            }
        }
    }
}

/// Returns the least risk the edge can have: what is known may lower it, but never counts as raising it.
#[inline]
fn least_nats(field: &Field<'_>, slot: &Slot, amount_msat: u64) -> f32 {
    let unknown = field
        .prior
        .nats_unknown(amount_msat as f32 / field.view.capacity_msat(slot.link >> 1) as f32);
    match field.known(slot.link) {
        None => unknown,
        Some(known) => unknown.min(known.nats(field.prior, amount_msat)),
    }
}
