//! Requests for routes: the payee and the constraints.

use fulmen_proto::v1;
use tonic::Status;

use super::bolt11::bolt11;
use super::fields;
use crate::api::status::malformed;
use crate::node::planner::Constraints;
use crate::payments::{BuildRoute, NamedHop, Payee};

/// The most parts of a given route; a payment has no more either.
const MAX_PARTS: usize = 100;

/// Reads the payee of a route, with the argument that names it.
pub fn payee(to: Option<v1::RouteTarget>) -> Result<(&'static str, Payee), Status> {
    use v1::route_target::By;
    match to.and_then(|to| to.by) {
        None => Err(malformed("to", "a node or an invoice is needed")),
        Some(By::NodeId(node)) => Ok(("node_id", Payee::Node(fields::node_id("node_id", &node)?))),
        Some(By::Bolt11(text)) => Ok(("bolt11", Payee::Invoice(bolt11("bolt11", &text)?))),
    }
}

/// Reads a route that the caller gives.
pub fn given(route: Option<v1::Route>) -> Result<Vec<Vec<NamedHop>>, Status> {
    let route = route.ok_or_else(|| malformed("route", "is needed"))?;
    if route.parts.len() > MAX_PARTS {
        return Err(malformed("route", format!("has more than {MAX_PARTS} parts")));
    }
    route.parts.iter().map(|part| part.hops.iter().map(hop).collect()).collect()
}

fn hop(hop: &v1::RouteHop) -> Result<NamedHop, Status> {
    Ok(NamedHop {
        node: fields::node_id("route", &hop.node_id)?.serialize(),
        scid: hop.short_channel_id,
        amount_msat: hop.amount_msat,
        cltv: hop.total_cltv_delta,
    })
}

/// Reads a route that is to be built.
pub fn to_build(request: v1::BuildRouteRequest) -> Result<BuildRoute, Status> {
    let nodes = request.node_ids.iter().map(|node| fields::node_id("node_ids", node));
    let nodes = nodes.map(|node| node.map(|node| node.serialize()));
    let nodes: Vec<_> = nodes.collect::<Result<_, _>>()?;
    if nodes.is_empty() {
        return Err(malformed("node_ids", "at least the payee is needed"));
    }
    let bolt11 = match request.bolt11.as_str() {
        "" => None,
        text => Some(bolt11("bolt11", text)?),
    };
    Ok(BuildRoute {
        nodes,
        amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
        final_cltv_delta: (request.final_cltv_delta != 0).then_some(request.final_cltv_delta),
        out_through: (request.out_short_channel_id != 0).then_some(request.out_short_channel_id),
        bolt11,
    })
}

/// Reads which routes a payment may take; the room checks whether they make sense.
pub fn constraints(wire: Option<v1::RouteConstraints>) -> Result<Constraints, Status> {
    let wire = wire.unwrap_or_default();
    let avoid_nodes = wire.avoid_nodes.iter().map(|node| fields::node_id("avoid_nodes", node));
    Ok(Constraints {
        out_through: wire.out_through,
        in_through: wire.in_through,
        last_hop: fields::optional_node_id("last_hop", &wire.last_hop)?,
        avoid_nodes: avoid_nodes.collect::<Result<_, _>>()?,
        avoid_channels: wire.avoid_channels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::view;

    #[test]
    fn constraints_come_and_go_unchanged() {
        let node = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let node: bitcoin::secp256k1::PublicKey = node.parse().expect("it is a point");
        let sent = v1::RouteConstraints {
            out_through: vec![1],
            in_through: vec![2, 3],
            last_hop: node.serialize().to_vec(),
            avoid_nodes: vec![node.serialize().to_vec()],
            avoid_channels: vec![4],
        };
        assert_eq!(
            view::route::constraints(constraints(Some(sent.clone())).expect("they can be read")),
            sent
        );
        let bad = v1::RouteConstraints { avoid_nodes: vec![vec![2; 32]], ..sent };
        let status = constraints(Some(bad)).expect_err("a node id has 33 bytes");
        assert!(status.message().starts_with("avoid_nodes: "), "{}", status.message());
    }
}
