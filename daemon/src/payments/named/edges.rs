//! The channels from one node to another, as far as this node knows them: ours, announced ones, those of route hints.

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{NodeKey, Policy};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::{ChannelUpdateInfo, NodeId};
use lightning::routing::router::RouteHint;

use super::Edge;
use crate::payments::Payments;

impl Payments {
    /// Returns the channels that lead from one node to another; `own` are ours, `hints` lead to `payee`.
    pub(in crate::payments) fn edges(
        &self,
        (from, to): (NodeKey, NodeKey),
        own: &[ChannelDetails],
        hints: &[RouteHint],
        payee: &PublicKey,
    ) -> Vec<Edge> {
        if from == self.0.node.id().serialize() {
            let ours = own.iter().filter(|it| it.counterparty.node_id.serialize() == to);
            return ours.filter_map(of_ours).collect();
        }
        let mut edges = self.announced(from, to);
        for hint in hints {
            let nexts = hint.0.iter().skip(1).map(|hop| &hop.src_node_id).chain([payee]);
            let hops = hint.0.iter().zip(nexts);
            let between = hops.filter(|(hop, next)| {
                hop.src_node_id.serialize() == from && next.serialize() == to
            });
            edges.extend(between.map(|(hop, _)| Edge {
                scid: hop.short_channel_id,
                aliases: [None, None],
                policy: Policy {
                    base_msat: hop.fees.base_msat,
                    ppm: hop.fees.proportional_millionths,
                    cltv_delta: hop.cltv_expiry_delta,
                    htlc_min_msat: hop.htlc_minimum_msat.unwrap_or(0),
                    htlc_max_msat: hop.htlc_maximum_msat.unwrap_or(u64::MAX),
                },
                enabled: true,
            }));
        }
        edges
    }

    fn announced(&self, from: NodeKey, to: NodeKey) -> Vec<Edge> {
        let (Ok(from), Ok(to)) = (NodeId::from_slice(&from), NodeId::from_slice(&to)) else {
            return Vec::new();
        };
        let graph = self.0.node.graph.read_only();
        let Some(node) = graph.node(&from) else { return Vec::new() };
        let mut edges = Vec::new();
        for &scid in &node.channels {
            let Some(channel) = graph.channel(scid) else { continue };
            let update = match (&channel.node_one, &channel.node_two) {
                (one, two) if *one == from && *two == to => &channel.one_to_two,
                (one, two) if *two == from && *one == to => &channel.two_to_one,
                _ => continue,
            };
            let capacity_msat = channel.capacity_sats.map(|sat| sat.saturating_mul(1_000));
            edges.push(of_update(scid, update.as_ref(), capacity_msat));
        }
        edges
    }
}

fn of_ours(channel: &ChannelDetails) -> Option<Edge> {
    Some(Edge {
        scid: channel.get_outbound_payment_scid()?,
        aliases: [channel.short_channel_id, channel.outbound_scid_alias],
        policy: Policy {
            base_msat: 0,
            ppm: 0,
            cltv_delta: 0,
            htlc_min_msat: channel.next_outbound_htlc_minimum_msat,
            htlc_max_msat: channel.next_outbound_htlc_limit_msat,
        },
        enabled: channel.is_usable,
    })
}

/// A channel of which no policy is known carries nothing: nobody could tell what its node asks for.
fn of_update(scid: u64, update: Option<&ChannelUpdateInfo>, capacity_msat: Option<u64>) -> Edge {
    let most_msat = capacity_msat.unwrap_or(u64::MAX);
    let policy = update.map_or(
        Policy { base_msat: 0, ppm: 0, cltv_delta: 0, htlc_min_msat: 0, htlc_max_msat: 0 },
        |update| Policy {
            base_msat: update.fees.base_msat,
            ppm: update.fees.proportional_millionths,
            cltv_delta: update.cltv_expiry_delta,
            htlc_min_msat: update.htlc_minimum_msat,
            htlc_max_msat: update.htlc_maximum_msat.min(most_msat),
        },
    );
    Edge { scid, aliases: [None, None], policy, enabled: update.is_some_and(|it| it.enabled) }
}
