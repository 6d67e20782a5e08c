//! The widest path: the one that can carry most, when parts are few and each has to be large.

use super::dijkstra::{Limits, Workbench};
use super::field::{Edge, Field};
use super::labels::{Label, ROOT};

/// What a hop costs beside narrowness: a path of as many more hops may be this share narrower.
const HOP: f32 = 0.02;
/// The same for a nat of risk.
const NAT: f32 = 0.2;

/// Returns the edges of a path from payer to payee that carries as much of `want_msat` as any can, leaving
/// out what the field's caution keeps away from; among those about as wide, a short and safe one.
///
/// Fees are left out: they narrow a path by little, and whoever makes it exact sees by how much.
pub(crate) fn widest(
    field: &Field<'_>,
    want_msat: u64,
    limits: &Limits,
    bench: &mut Workbench,
) -> Option<Vec<u32>> {
    let Workbench { labels, heap, visits } = bench;
    labels.begin(field.nodes);
    heap.clear();
    let root =
        Label { amount_msat: want_msat, via: ROOT, cltv: limits.final_cltv, ..Label::default() };
    labels.set(field.payee, root);
    heap.push(0.0, field.payee);
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
        let in_view =
            if (node as usize) < field.view.node_count() { field.view.row(node) } else { 0..0 };
        for place in in_view.chain(field.extras_to(node)) {
            let slots = field.view.slots.len() as u32;
            let source = match field.view.slots.get(place as usize) {
                Some(slot) if slot.htlc_max_msat == 0 => continue,
                Some(slot) => slot.source,
                None => field.scratch.extra[(place - slots) as usize].source,
            };
            let best = labels.to_beat(source);
            let barred = source == field.payer_in_view
                || field.closed(source)
                || label.cost >= best
                || (node == field.payee && !field.may_end(place));
            if barred {
                continue;
            }
            let edge = field.edge(place);
            let Some((width, cost)) = step(field, &edge, &label, want_msat) else { continue };
            let cltv = label.cltv.saturating_add(edge.cltv_delta);
            let again = label.via != ROOT && field.edge(label.via).scid == edge.scid;
            if cost < best && cltv <= limits.max_cltv && !again {
                let (via, hops) = (place, label.hops + 1);
                let way = Label { cost, amount_msat: width, via, next: node, cltv, hops, ..label };
                labels.set(source, Label { settled: false, ..way });
                heap.push(cost, source);
            }
        }
    }
    None
}

/// Returns how wide the way is with one more edge, and what it costs then.
fn step(field: &Field<'_>, edge: &Edge, label: &Label, want_msat: u64) -> Option<(u64, f32)> {
    let room = field.room(edge.link, edge.capacity_msat).min(edge.htlc_max_msat);
    let width = label.amount_msat.min(room);
    if width == 0 || width < edge.htlc_min_msat {
        return None;
    }
    let narrow = |width: u64| (want_msat as f64 / width as f64) as f32;
    let nats = field.nats(edge.link, edge.capacity_msat, width);
    let narrower = narrow(width) - narrow(label.amount_msat);
    Some((width, label.cost + narrower + HOP + NAT * nats))
}
