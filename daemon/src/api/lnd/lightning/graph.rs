//! The network graph and routes in it.

use std::collections::HashMap;

use fulmen_lnd_proto::lnrpc;
use lightning::routing::gossip::NodeId;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, not_found, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::signed;
use crate::api::lnd::view::{graph, route};
use crate::node::planner::Constraints;
use crate::payments::{AskedLimits, Inquiry, Payee};

/// The longest time lock that is asked for, in blocks (BOLT 4's and our own bound).
const MAX_CLTV_LIMIT: u32 = 2_016;

/// The funding outputs of our own channels, which gossip does not name.
fn fundings(rooms: &LndRooms) -> HashMap<u64, String> {
    let channels = rooms.channels.list(None).into_iter();
    let known = channels.filter_map(|details| {
        let funding = details.funding_txo?.into_bitcoin_outpoint().to_string();
        Some((details.short_channel_id?, funding))
    });
    known.collect()
}

pub(super) fn describe(rooms: &LndRooms) -> lnrpc::ChannelGraph {
    let fundings = fundings(rooms);
    let graph = rooms.node.graph.read_only();
    let nodes = graph.nodes().unordered_iter().map(|(id, info)| graph::node(id, info));
    let edges = graph.channels().unordered_iter().map(|(scid, info)| {
        let funding = fundings.get(scid).cloned();
        graph::edge(*scid, info, funding)
    });
    lnrpc::ChannelGraph { nodes: nodes.collect(), edges: edges.collect() }
}

pub(super) fn channel(
    rooms: &LndRooms,
    request: &lnrpc::ChanInfoRequest,
) -> Result<lnrpc::ChannelEdge, Status> {
    let fundings = fundings(rooms);
    let scid = match (request.chan_id, request.chan_point.as_str()) {
        (0, "") => return Err(refused("specify either chan_id or chan_point")),
        (0, point) => {
            let point = read::outpoint(point)?.to_string();
            let found = fundings.iter().find(|(_, funding)| **funding == point);
            *found.ok_or_else(|| not_found("edge not found"))?.0
        }
        (scid, _) => scid,
    };
    let graph = rooms.node.graph.read_only();
    let info = graph.channel(scid).ok_or_else(|| not_found("edge not found"))?;
    Ok(graph::edge(scid, info, fundings.get(&scid).cloned()))
}

pub(super) fn node(
    rooms: &LndRooms,
    request: &lnrpc::NodeInfoRequest,
) -> Result<lnrpc::NodeInfo, Status> {
    let node_id = NodeId::from_pubkey(&read::node_id_hex(&request.pub_key)?);
    let fundings = fundings(rooms);
    let graph = rooms.node.graph.read_only();
    let info = graph.node(&node_id).ok_or_else(|| not_found("unable to find node"))?;
    let channels = info.channels.iter();
    let channels: Vec<_> =
        channels.filter_map(|scid| graph.channel(*scid).map(|info| (*scid, info))).collect();
    let capacity_sat = channels.iter().filter_map(|(_, info)| info.capacity_sats);
    Ok(lnrpc::NodeInfo {
        node: Some(graph::node(&node_id, info)),
        num_channels: u32::try_from(channels.len()).unwrap_or(u32::MAX),
        total_capacity: signed(capacity_sat.fold(0, u64::saturating_add)),
        channels: match request.include_channels {
            true => channels
                .iter()
                .map(|(scid, info)| graph::edge(*scid, info, fundings.get(scid).cloned()))
                .collect(),
            false => Vec::new(),
        },
    })
}

pub(super) fn network(rooms: &LndRooms) -> lnrpc::NetworkInfo {
    let graph = rooms.node.graph.read_only();
    let nodes = graph.nodes().len();
    let channels = graph.channels().len();
    let mut sizes: Vec<u64> = graph
        .channels()
        .unordered_iter()
        .map(|(_, info)| info.capacity_sats.unwrap_or(0))
        .collect();
    sizes.sort_unstable();
    let total = sizes.iter().copied().fold(0, u64::saturating_add);
    let degrees = graph.nodes().unordered_iter().map(|(_, info)| info.channels.len());
    let per = |sum: u64, count: usize| if count == 0 { 0.0 } else { sum as f64 / count as f64 };
    lnrpc::NetworkInfo {
        avg_out_degree: per(2 * channels as u64, nodes),
        max_out_degree: degrees.max().and_then(|most| u32::try_from(most).ok()).unwrap_or(0),
        num_nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
        num_channels: u32::try_from(channels).unwrap_or(u32::MAX),
        total_network_capacity: signed(total),
        avg_channel_size: per(total, channels),
        min_channel_size: signed(sizes.first().copied().unwrap_or(0)),
        max_channel_size: signed(sizes.last().copied().unwrap_or(0)),
        median_channel_size_sat: signed(sizes.get(channels / 2).copied().unwrap_or(0)),
        ..Default::default()
    }
}

/// One route in one part, as lnd's answer has it.
pub(super) fn routes(
    rooms: &LndRooms,
    request: lnrpc::QueryRoutesRequest,
) -> Result<lnrpc::QueryRoutesResponse, Status> {
    let amount_msat = read::amount_msat(request.amt, request.amt_msat)?;
    let amount_msat = amount_msat.ok_or_else(|| refused("amount must be specified"))?;
    let payer = match request.source_pub_key.as_str() {
        "" => None,
        text => Some(read::node_id_hex(text)?),
    };
    let cltv_limit = request.cltv_limit.min(MAX_CLTV_LIMIT);
    let inquiry = Inquiry {
        payee: Payee::Node(read::node_id_hex(&request.pub_key)?),
        amount_msat: Some(amount_msat),
        payer,
        limits: AskedLimits {
            max_fee_msat: Some(fee_limit_msat(request.fee_limit, amount_msat)?),
            max_parts: 1,
            max_total_cltv_delta: cltv_limit,
            ..AskedLimits::default()
        },
        constraints: constraints(&request)?,
    };
    let plan = rooms.payments.find_route(inquiry).map_err(refusal::payments)?;
    let height = rooms.height();
    Ok(lnrpc::QueryRoutesResponse {
        routes: plan.parts.iter().map(|part| route::planned(part, height)).collect(),
        success_prob: f64::from(plan.chance),
    })
}

fn constraints(request: &lnrpc::QueryRoutesRequest) -> Result<Constraints, Status> {
    let ids = |ids: &[Vec<u8>]| ids.iter().map(|id| read::node_id(id)).collect::<Result<_, _>>();
    let mut out_through = request.outgoing_chan_ids.clone();
    let (one, ignored) = (request.outgoing_chan_id, &request.ignored_edges);
    out_through.extend((one != 0).then_some(one));
    Ok(Constraints {
        out_through,
        last_hop: match request.last_hop_pubkey.as_slice() {
            [] => None,
            bytes => Some(read::node_id(bytes)?),
        },
        avoid_nodes: ids(&request.ignored_nodes)?,
        avoid_channels: ignored.iter().map(|edge| edge.channel_id).collect(),
        ..Constraints::default()
    })
}

/// The most that a payment may cost: what the caller says, or lnd's default, 5 % or all of a small amount.
pub(super) fn fee_limit_msat(
    limit: Option<lnrpc::FeeLimit>,
    amount_msat: u64,
) -> Result<u64, Status> {
    use lnrpc::fee_limit::Limit;
    /// Up to this amount lnd lets a payment cost as much as it brings.
    const WHOLE_UP_TO_MSAT: u64 = 1_000_000;
    let share = |percent: u64| {
        let share = u128::from(amount_msat) * u128::from(percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX).min(read::MAX_MONEY_SAT * 1_000)
    };
    match limit.and_then(|limit| limit.limit) {
        Some(Limit::Fixed(sat)) => read::limit_msat(sat, 0),
        Some(Limit::FixedMsat(msat)) => read::limit_msat(0, msat),
        Some(Limit::Percent(percent)) => {
            Ok(share(u64::try_from(percent).map_err(|_| refused("percent cannot be negative"))?))
        }
        None if amount_msat <= WHOLE_UP_TO_MSAT => Ok(amount_msat),
        None => Ok(share(5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_limit_never_overflows() {
        use lnrpc::fee_limit::Limit;
        let limit =
            |limit, amount| fee_limit_msat(Some(lnrpc::FeeLimit { limit: Some(limit) }), amount);
        let all_msat = read::MAX_MONEY_SAT * 1_000;
        assert_eq!(limit(Limit::Fixed(9_007_199_254_740_991), 1).expect("no limit"), all_msat);
        assert_eq!(limit(Limit::Percent(i64::MAX), u64::MAX).expect("no limit"), all_msat);
        assert_eq!(limit(Limit::Percent(3), 10_000).expect("fine"), 300);
        assert!(limit(Limit::FixedMsat(-1), 1).is_err() && limit(Limit::Percent(-1), 1).is_err());
        assert_eq!(fee_limit_msat(None, 999).expect("fine"), 999);
        assert_eq!(fee_limit_msat(None, 2_000_000).expect("fine"), 100_000);
    }
}
