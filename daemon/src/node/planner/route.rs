//! Our plan as LDK's route.

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{Part, Plan};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId;
use lightning::routing::router::{Path, Route, RouteHop, RouteParameters};
use lightning::types::features::{ChannelFeatures, NodeFeatures};

use crate::node::ldk::types::Graph;

/// Returns the plan in LDK's terms: each hop names the fee it keeps, the last one the amount.
pub(super) fn of_plan(
    graph: &Graph,
    asked: &RouteParameters,
    first_hops: Option<&[&ChannelDetails]>,
    plan: &Plan,
) -> Option<Route> {
    let paths = paths(graph, first_hops, plan)?;
    Some(Route { paths, route_params: Some(asked.clone()) })
}

/// Returns the paths of the plan's parts.
pub(super) fn paths(
    graph: &Graph,
    first_hops: Option<&[&ChannelDetails]>,
    plan: &Plan,
) -> Option<Vec<Path>> {
    plan.parts.iter().map(|part| path(graph, first_hops, part)).collect()
}

fn path(graph: &Graph, first_hops: Option<&[&ChannelDetails]>, part: &Part) -> Option<Path> {
    let graph = graph.read_only();
    let mut hops = Vec::with_capacity(part.hops.len());
    for (index, hop) in part.hops.iter().enumerate() {
        let (next_msat, next_cltv) =
            part.hops.get(index + 1).map_or((0, 0), |next| (next.amount_msat, next.cltv));
        let node_features = graph
            .node(&NodeId::from_slice(&hop.node).ok()?)
            .and_then(|node| node.announcement_info.as_ref())
            .map_or_else(
                || first_hop_features(first_hops, hop.scid).unwrap_or_else(NodeFeatures::empty),
                |announced| announced.features().clone(),
            );
        let channel = graph.channel(hop.scid);
        hops.push(RouteHop {
            pubkey: PublicKey::from_slice(&hop.node).ok()?,
            node_features,
            short_channel_id: hop.scid,
            channel_features: channel
                .map_or_else(ChannelFeatures::empty, |channel| channel.features.clone()),
            fee_msat: hop.amount_msat.checked_sub(next_msat)?,
            cltv_expiry_delta: hop.cltv.checked_sub(next_cltv)?,
            maybe_announced_channel: channel.is_some(),
        });
    }
    Some(Path { hops, blinded_tail: None })
}

/// Returns a peer's features from `init`: a private peer may never announce them, and the bits are the same.
fn first_hop_features(first_hops: Option<&[&ChannelDetails]>, scid: u64) -> Option<NodeFeatures> {
    first_hops?.iter().find(|channel| channel.get_outbound_payment_scid() == Some(scid)).map(
        |channel| NodeFeatures::from_le_bytes(channel.counterparty.features.le_flags().to_vec()),
    )
}
