//! What a route costs by the planner's own measure, no matter which search found it.

use crate::cost::{Weights, checked_fee};
use crate::graph::overlay::Overlay;
use crate::graph::view::View;
use crate::liquidity::Beliefs;
use crate::path::field::{Field, Scratch, hopeless};
use crate::path::layer;
use crate::path::terms::Edge;
use crate::plan::{Hop, Part};
use crate::query::Query;

/// Returns the price of a part in msat: its fee, and what its risk, its time lock and its hops are worth to
/// the payer of the query. `None` where it goes where the query does not, or will surely fail.
pub fn price(
    view: &View,
    overlay: &Overlay,
    beliefs: &Beliefs,
    now: u64,
    query: &Query,
    part: &Part,
) -> Option<f32> {
    let field = layer::field(Scratch::default(), view, overlay, beliefs, now, query);
    let weights = Weights::of(query, 1.0);
    let mut source = field.payer;
    let mut sum = 0.0;
    for hop in &part.hops {
        let edge = edge_of(&field, source, hop)?;
        let fee = checked_fee(hop.amount_msat, edge.base_msat, edge.ppm)?;
        let nats = field.nats(edge.link, edge.capacity_msat, hop.amount_msat);
        if hopeless(nats) {
            return None;
        }
        sum += weights.cost(fee, nats, hop.amount_msat, edge.cltv_delta);
        source = edge.target;
    }
    Some(sum)
}

/// Returns the edge that a hop takes out of a node.
fn edge_of(field: &Field<'_>, source: u32, hop: &Hop) -> Option<Edge> {
    let slots =
        field.view.channel_index(hop.scid).map(|channel| field.view.slot_of[channel as usize]);
    let announced = slots.into_iter().flatten().map(|slot| field.edge(slot));
    let mut edges = announced.chain(field.scratch.extra.iter().copied());
    edges.find(|edge| {
        edge.source == source && edge.scid == hop.scid && *field.key(edge.target) == hop.node
    })
}
