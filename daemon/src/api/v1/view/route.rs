//! Routes and constraints between the wire and the rooms.

use fulmen_proto::v1;
use fulmen_routing::{Part, Plan};
use tonic::{Code, Status};

use super::super::convert::fields as convert;
use super::super::payments::bolt11;
use crate::api::status::{malformed, refuse, unknown};
use crate::node::planner::{Cause, Constraints, NoWay};
use crate::payments::Payee;

/// Reads whom a route is to lead to, with the argument that names it.
pub fn payee(to: Option<v1::RouteTarget>) -> Result<(&'static str, Payee), Status> {
    use v1::route_target::By;
    match to.and_then(|to| to.by) {
        None => Err(malformed("to", "a node or an invoice is needed")),
        Some(By::NodeId(node)) => Ok(("node_id", Payee::Node(convert::node_id("node_id", &node)?))),
        Some(By::Bolt11(text)) => Ok(("bolt11", Payee::Invoice(bolt11("bolt11", text)?))),
    }
}

/// Reads which ways a payment may go; whether they make sense is the room's question.
pub fn constraints(wire: Option<v1::RouteConstraints>) -> Result<Constraints, Status> {
    let wire = wire.unwrap_or_default();
    let avoid_nodes = wire.avoid_nodes.iter().map(|node| convert::node_id("avoid_nodes", node));
    Ok(Constraints {
        out_through: wire.out_through,
        in_through: wire.in_through,
        last_hop: convert::optional_node_id("last_hop", &wire.last_hop)?,
        avoid_nodes: avoid_nodes.collect::<Result<_, _>>()?,
        avoid_channels: wire.avoid_channels,
    })
}

/// Writes which ways a payment may go.
pub fn wire(constraints: Constraints) -> v1::RouteConstraints {
    v1::RouteConstraints {
        out_through: constraints.out_through,
        in_through: constraints.in_through,
        last_hop: constraints.last_hop.map_or_else(Vec::new, |node| node.serialize().to_vec()),
        avoid_nodes: constraints.avoid_nodes.iter().map(|it| it.serialize().to_vec()).collect(),
        avoid_channels: constraints.avoid_channels,
    }
}

/// Writes a plan.
pub fn route(plan: &Plan) -> v1::Route {
    v1::Route {
        parts: plan.parts.iter().map(part).collect(),
        amount_msat: plan.amount_msat,
        fee_msat: plan.fee_msat,
        time_lock_blocks: time_lock(plan),
        success_millionths: millionths(plan.chance),
    }
}

/// Writes what a plan costs.
pub fn estimate(plan: &Plan) -> v1::FeeEstimate {
    v1::FeeEstimate {
        fee_msat: plan.fee_msat,
        time_lock_blocks: time_lock(plan),
        success_millionths: millionths(plan.chance),
        parts: plan.parts.len().try_into().unwrap_or(u32::MAX),
    }
}

fn part(part: &Part) -> v1::RoutePart {
    let nexts = part.hops.iter().skip(1).map(Some).chain([None]);
    let hops = part.hops.iter().zip(nexts).map(|(hop, next)| v1::RouteHop {
        node_id: hop.node.to_vec(),
        short_channel_id: hop.scid,
        amount_msat: hop.amount_msat,
        fee_msat: next.map_or(0, |next| hop.amount_msat.saturating_sub(next.amount_msat)),
        time_lock_blocks: hop.cltv,
    });
    v1::RoutePart {
        hops: hops.collect(),
        amount_msat: part.amount_msat,
        fee_msat: part.fee_msat,
        time_lock_blocks: part.hops.first().map_or(0, |hop| hop.cltv),
        success_millionths: millionths(part.chance),
    }
}

fn time_lock(plan: &Plan) -> u32 {
    let locks = plan.parts.iter().filter_map(|part| part.hops.first());
    locks.map(|hop| hop.cltv).max().unwrap_or(0)
}

fn millionths(chance: f32) -> u32 {
    // A share of one as a number of millionths: it fits, and what is no number is no chance.
    (f64::from(chance).clamp(0.0, 1.0) * 1_000_000.0).round() as u32
}

/// The status of a request that no route fulfils.
pub fn no_way(why: &NoWay) -> Status {
    match why.cause {
        Cause::Contradiction => refuse(Code::InvalidArgument, why.cause.word(), &why.words),
        Cause::UnknownPayee => unknown(why.cause.word(), &why.words),
        Cause::NoOwnChannel
        | Cause::OwnBalance
        | Cause::PayeeInbound
        | Cause::NoPath
        | Cause::FeeLimit
        | Cause::CltvLimit
        | Cause::Parts
        | Cause::Liquidity
        | Cause::Unexplained => refuse(Code::FailedPrecondition, why.cause.word(), &why.words),
        Cause::Effort => refuse(Code::ResourceExhausted, why.cause.word(), &why.words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_says_what_each_hop_gets_and_how_long_it_waits() {
        let hop = |scid, amount_msat, cltv| fulmen_routing::Hop {
            scid,
            node: [2; 33],
            direction: 0,
            amount_msat,
            cltv,
        };
        let hops = vec![hop(7, 1_030, 120), hop(8, 1_010, 80), hop(9, 1_000, 40)];
        let part = Part { hops, amount_msat: 1_000, fee_msat: 30, chance: 0.5 };
        let plan = Plan { parts: vec![part], amount_msat: 1_000, fee_msat: 30, chance: 0.5 };
        let sent = route(&plan);
        let fees: Vec<u64> = sent.parts[0].hops.iter().map(|hop| hop.fee_msat).collect();
        assert_eq!(fees, [20, 10, 0]);
        assert_eq!((sent.time_lock_blocks, sent.success_millionths), (120, 500_000));
        assert_eq!(millionths(f32::NAN), 0);
    }

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
        assert_eq!(wire(constraints(Some(sent.clone())).expect("they can be read")), sent);
        let bad = v1::RouteConstraints { avoid_nodes: vec![vec![2; 32]], ..sent };
        let status = constraints(Some(bad)).expect_err("a node id has 33 bytes");
        assert!(status.message().starts_with("avoid_nodes: "), "{}", status.message());
    }
}
