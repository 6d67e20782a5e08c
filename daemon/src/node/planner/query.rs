//! A request as our query: limits, constraints, first hops, route hints, and what is in flight.

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{Beliefs, HintChannel, Overlay, OwnChannel, Policy, Query};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId;
use lightning::routing::router::{InFlightHtlcs, Payee, RouteHint, RouteParameters};

use super::constraints::{Constraints, last_hop_scid};
use super::flight::{announced_between, in_flight_rows};
use crate::node::ldk::limits::{receivable_msat, sendable_msat};
use crate::node::ldk::types::Graph;

/// A route to plan without paying.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The payer.
    pub payer: PublicKey,
    /// The payee; may be the payer.
    pub payee: PublicKey,
    /// The amount that arrives.
    pub amount_msat: u64,
    /// The most that forwarding nodes may earn.
    pub max_fee_msat: u64,
    /// Most blocks for which the money may be locked.
    pub max_total_cltv_delta: u32,
    /// Blocks that the payee requires on its last hop.
    pub final_cltv_delta: u32,
    /// The most parts.
    pub max_parts: u8,
    /// Route hints to a payee that the graph lacks.
    pub hints: Vec<RouteHint>,
    /// Which routes are allowed.
    pub constraints: Constraints,
    /// The weight of certainty against fees: each round adds its price once more.
    pub round: u32,
}

/// Returns the query for a route to plan without paying; `own` are our channels, if we are the payer.
pub(super) fn of_wanted(
    graph: &Graph,
    wanted: &Wanted,
    own: Option<&[&ChannelDetails]>,
) -> (Query, Overlay) {
    let (payer, payee) = (wanted.payer.serialize(), wanted.payee.serialize());
    let mut query = Query::new(payer, payee, wanted.amount_msat);
    query.max_fee_msat = wanted.max_fee_msat;
    query.max_cltv = wanted.max_total_cltv_delta;
    query.final_cltv = wanted.final_cltv_delta;
    query.max_parts = usize::from(wanted.max_parts.max(1));
    query.round = wanted.round;
    query.htlc_max_in_all = true;
    wanted.constraints.narrow(&mut query, graph, own, &wanted.hints);
    (query, overlay(graph, &wanted.payer, &wanted.payee, own, &wanted.hints))
}

/// Returns the query and its overlay; `None` for blinded payees, which only LDK's router handles.
pub(super) fn of_ldk(
    graph: &Graph,
    payer: &PublicKey,
    asked: &RouteParameters,
    first_hops: Option<&[&ChannelDetails]>,
    constraints: &Constraints,
    beliefs: &Beliefs,
) -> Option<(Query, Overlay)> {
    let params = &asked.payment_params;
    let Payee::Clear { node_id, route_hints, features, final_cltv_expiry_delta } = &params.payee
    else {
        return None;
    };
    let splittable = match features {
        Some(features) => features.supports_basic_mpp(),
        None => payee_takes_parts(graph, node_id),
    };
    let mut query = Query::new(payer.serialize(), node_id.serialize(), asked.final_value_msat);
    query.max_fee_msat = asked.max_total_routing_fee_msat.unwrap_or(u64::MAX);
    query.max_cltv = params.max_total_cltv_expiry_delta;
    query.final_cltv = *final_cltv_expiry_delta;
    query.max_parts = if splittable { usize::from(params.max_path_count.max(1)) } else { 1 };
    query.max_hops = params.max_path_length;
    query.htlc_max_in_all = true;
    // A failure that taught a bound bars greater amounts by itself; barring the channel altogether would give
    // up what it can still carry.
    query.avoid_channels = params
        .previously_failed_channels
        .iter()
        .copied()
        .filter(|scid| !beliefs.knows(*scid))
        .collect();
    constraints.narrow(&mut query, graph, first_hops, route_hints);
    Some((query, overlay(graph, payer, node_id, first_hops, route_hints)))
}

fn overlay(
    graph: &Graph,
    payer: &PublicKey,
    payee: &PublicKey,
    own: Option<&[&ChannelDetails]>,
    hints: &[RouteHint],
) -> Overlay {
    let mut overlay = Overlay::new();
    for channel in own.unwrap_or_default() {
        if let Some(own) = own_channel(channel) {
            overlay.own_channel(own);
        }
        if payer == payee {
            lay_last_hop(&mut overlay, channel, payee);
        }
    }
    let graph = graph.read_only();
    for hint in hints {
        // A second edge for a channel that gossip knows would double what it lets be in flight.
        let is_alias = hint.0.last().is_some_and(|hop| {
            let (source, target) =
                (NodeId::from_pubkey(&hop.src_node_id), NodeId::from_pubkey(payee));
            announced_between(&graph, &source, &target).is_some()
        });
        if !is_alias {
            lay_hint(&mut overlay, hint, payee);
        }
    }
    overlay
}

/// Adds the last hop of a payment to ourselves: what the peer can send us over our channel, which we know exactly.
fn lay_last_hop(overlay: &mut Overlay, channel: &ChannelDetails, us: &PublicKey) {
    let Some(scid) = last_hop_scid(channel) else { return };
    let peer = channel.counterparty.node_id;
    if channel.is_announced {
        let direction = u8::from(NodeId::from_pubkey(&peer) > NodeId::from_pubkey(us));
        overlay.balance(scid, direction, receivable_msat(channel));
        return;
    }
    let Some(terms) = &channel.counterparty.forwarding_info else { return };
    overlay.hint(HintChannel {
        scid,
        from: peer.serialize(),
        to: us.serialize(),
        policy: Policy {
            base_msat: terms.fee_base_msat,
            ppm: terms.fee_proportional_millionths,
            cltv_delta: terms.cltv_expiry_delta,
            htlc_min_msat: channel.inbound_htlc_minimum_msat.unwrap_or(0),
            htlc_max_msat: receivable_msat(channel),
        },
    });
}

/// Subtracts what our other payments have in flight.
pub(super) fn reserve(overlay: &mut Overlay, in_flight: &InFlightHtlcs) {
    for (scid, from_lesser, msat) in in_flight_rows(in_flight) {
        let direction = u8::from(!from_lesser);
        // Exact balances have it subtracted already.
        if !overlay.balances().iter().any(|row| (row.0, row.1) == (scid, direction)) {
            overlay.reserve(scid, direction, msat);
        }
    }
}

fn payee_takes_parts(graph: &Graph, payee: &PublicKey) -> bool {
    let graph = graph.read_only();
    graph
        .node(&NodeId::from_pubkey(payee))
        .and_then(|node| node.announcement_info.as_ref())
        .is_some_and(|announced| announced.features().supports_basic_mpp())
}

fn own_channel(channel: &ChannelDetails) -> Option<OwnChannel> {
    Some(OwnChannel {
        scid: channel.get_outbound_payment_scid()?,
        peer: channel.counterparty.node_id.serialize(),
        htlc_min_msat: channel.next_outbound_htlc_minimum_msat,
        htlc_max_msat: channel.next_outbound_htlc_limit_msat,
        spendable_msat: sendable_msat(channel),
    })
}

fn lay_hint(overlay: &mut Overlay, hint: &RouteHint, payee: &PublicKey) {
    let nexts = hint.0.iter().skip(1).map(|hop| &hop.src_node_id).chain([payee]);
    for (hop, next) in hint.0.iter().zip(nexts) {
        overlay.hint(HintChannel {
            scid: hop.short_channel_id,
            from: hop.src_node_id.serialize(),
            to: next.serialize(),
            policy: Policy {
                base_msat: hop.fees.base_msat,
                ppm: hop.fees.proportional_millionths,
                cltv_delta: hop.cltv_expiry_delta,
                htlc_min_msat: hop.htlc_minimum_msat.unwrap_or(0),
                htlc_max_msat: hop.htlc_maximum_msat.unwrap_or(u64::MAX),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lightning::routing::router::{Path, RouteHop};
    use lightning::types::features::{ChannelFeatures, NodeFeatures};

    #[test]
    fn ldks_in_flight_table_is_read_whole() {
        let secp = bitcoin::secp256k1::Secp256k1::new();
        let key = |byte| {
            let secret = bitcoin::secp256k1::SecretKey::from_slice(&[byte; 32]).expect("a key");
            PublicKey::from_secret_key(&secp, &secret)
        };
        let hop = |byte, scid, fee_msat| RouteHop {
            pubkey: key(byte),
            node_features: NodeFeatures::empty(),
            short_channel_id: scid,
            channel_features: ChannelFeatures::empty(),
            fee_msat,
            cltv_expiry_delta: 40,
            maybe_announced_channel: true,
        };
        let path = Path { hops: vec![hop(2, 7, 10), hop(3, 8, 500)], blinded_tail: None };
        let mut in_flight = InFlightHtlcs::new();
        in_flight.process_path(&path, key(1));
        let mut rows = in_flight_rows(&in_flight);
        rows.sort_unstable();
        let (a, b, c) = (
            NodeId::from_pubkey(&key(1)),
            NodeId::from_pubkey(&key(2)),
            NodeId::from_pubkey(&key(3)),
        );
        assert_eq!(rows, [(7, a < b, 510), (8, b < c, 500)]);
    }
}
