//! Routes, their cost, and constraints on the wire.

use fulmen_proto::v1;
use fulmen_routing::{Part, Plan};

use crate::node::planner::Constraints;

/// Writes which routes a payment may take.
pub fn constraints(constraints: Constraints) -> v1::RouteConstraints {
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
        total_cltv_delta: time_lock(plan),
        success_millionths: millionths(plan.chance),
    }
}

/// Writes what a plan costs.
pub fn estimate(plan: &Plan) -> v1::FeeEstimate {
    v1::FeeEstimate {
        fee_msat: plan.fee_msat,
        total_cltv_delta: time_lock(plan),
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
        total_cltv_delta: hop.cltv,
    });
    v1::RoutePart {
        hops: hops.collect(),
        amount_msat: part.amount_msat,
        fee_msat: part.fee_msat,
        total_cltv_delta: part.hops.first().map_or(0, |hop| hop.cltv),
        success_millionths: millionths(part.chance),
    }
}

fn time_lock(plan: &Plan) -> u32 {
    let locks = plan.parts.iter().filter_map(|part| part.hops.first());
    locks.map(|hop| hop.cltv).max().unwrap_or(0)
}

fn millionths(chance: f32) -> u32 {
    // At most 1,000,000; NaN becomes 0.
    (f64::from(chance).clamp(0.0, 1.0) * 1_000_000.0).round() as u32
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
        assert_eq!((sent.total_cltv_delta, sent.success_millionths), (120, 500_000));
        assert_eq!(millionths(f32::NAN), 0);
    }
}
