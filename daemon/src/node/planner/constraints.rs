//! Which routes a payment may take: the payer's wishes beside the limits.

use std::collections::HashSet;

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Query;
use lightning::impl_writeable_tlv_based;
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId;
use lightning::routing::router::{Payee, RouteHint, RouteParameters};

use crate::node::ldk::types::Graph;

/// Most entries of one kind; more are a mistake of the caller and would only cost time.
const MOST: usize = 1_000;

/// Which routes a payment may take; empty lists allow everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Only these channels of the payer may be the first hop, by any of their short ids.
    pub out_through: Vec<u64>,
    /// Only these channels may be the last hop, by any of their short ids.
    pub in_through: Vec<u64>,
    /// The node before the payee.
    pub last_hop: Option<PublicKey>,
    /// Nodes that must not forward.
    pub avoid_nodes: Vec<PublicKey>,
    /// Channels that must not be used.
    pub avoid_channels: Vec<u64>,
}
impl_writeable_tlv_based!(Constraints, {
    (1, out_through, optional_vec),
    (3, in_through, optional_vec),
    (5, last_hop, option),
    (7, avoid_nodes, optional_vec),
    (9, avoid_channels, optional_vec),
});

/// A faulty constraint: the argument and the reason.
pub type Fault = (&'static str, String);

impl Constraints {
    /// Returns whether everything is allowed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the first constraint that can never be met, whatever the network looks like.
    pub fn fault(&self, payer: &PublicKey, payee: &PublicKey) -> Option<Fault> {
        let lists = [
            ("out_through", self.out_through.len()),
            ("in_through", self.in_through.len()),
            ("avoid_nodes", self.avoid_nodes.len()),
            ("avoid_channels", self.avoid_channels.len()),
        ];
        if let Some((name, count)) = lists.into_iter().find(|(_, count)| *count > MOST) {
            return Some((name, format!("{count} are given, at most {MOST} are taken")));
        }
        let avoided: HashSet<u64> = self.avoid_channels.iter().copied().collect();
        for (name, scids) in [
            ("out_through", &self.out_through),
            ("in_through", &self.in_through),
            ("avoid_channels", &self.avoid_channels),
        ] {
            if scids.contains(&0) {
                return Some((name, "0 is no short channel id".to_owned()));
            }
            let nothing_left = !scids.is_empty() && scids.iter().all(|scid| avoided.contains(scid));
            if name != "avoid_channels" && nothing_left {
                return Some((name, "all of these channels are to be avoided".to_owned()));
            }
        }
        if payer != payee {
            if self.avoid_nodes.contains(payee) {
                return Some(("avoid_nodes", "the payee is among them".to_owned()));
            }
            if self.avoid_nodes.contains(payer) {
                return Some(("avoid_nodes", "the payer is among them".to_owned()));
            }
        }
        let last_hop = self.last_hop?;
        if last_hop == *payee {
            return Some(("last_hop", "the payee cannot be the node before itself".to_owned()));
        }
        let avoided = self.avoid_nodes.contains(&last_hop);
        avoided.then(|| ("last_hop", "this node is to be avoided".to_owned()))
    }

    /// Returns the first channel to leave by that the payer does not have.
    pub fn unknown_out(&self, channels: &[ChannelDetails]) -> Option<u64> {
        let has = |scid: &&u64| !channels.iter().any(|channel| is_named(channel, **scid));
        self.out_through.iter().find(has).copied()
    }

    /// Adds the constraints to a query; `own` are the payer's channels, where they are known.
    pub(super) fn narrow(
        &self,
        query: &mut Query,
        graph: &Graph,
        own: Option<&[&ChannelDetails]>,
        hints: &[RouteHint],
    ) {
        let own = own.unwrap_or_default();
        query.out_through =
            spelled(&self.out_through, own, ChannelDetails::get_outbound_payment_scid);
        // Where the payer is the payee, the last hop is a channel of ours too.
        query.in_through = match query.payer == query.payee {
            true => spelled(&self.in_through, own, last_hop_scid),
            false => self.in_through.clone(),
        };
        query.last_hop = self.last_hop.map(|node| node.serialize());
        query.avoid_nodes = self.avoid_nodes.iter().map(PublicKey::serialize).collect();
        query.avoid_channels.extend(&self.avoid_channels);
        query.avoid_channels.extend(self.avoided_hints(graph, hints, &query.payee));
        let avoided = own
            .iter()
            .filter(|channel| self.avoid_channels.iter().any(|&scid| is_named(channel, scid)));
        query.avoid_channels.extend(avoided.filter_map(|it| it.get_outbound_payment_scid()));
    }

    /// Returns the channels of hints that may be channels to avoid under another name: invoices name young
    /// channels by an alias, which leads from and to the same nodes.
    fn avoided_hints(&self, graph: &Graph, hints: &[RouteHint], payee: &[u8; 33]) -> Vec<u64> {
        let graph = graph.read_only();
        let known = self.avoid_channels.iter().filter_map(|&scid| graph.channel(scid));
        let ends: Vec<[NodeId; 2]> = known.map(|it| [it.node_one, it.node_two]).collect();
        let mut avoided = Vec::new();
        for hint in hints {
            let last = NodeId::from_slice(payee).ok();
            let nexts =
                hint.0.iter().skip(1).map(|hop| Some(NodeId::from_pubkey(&hop.src_node_id)));
            for (hop, next) in hint.0.iter().zip(nexts.chain([last])) {
                let from = NodeId::from_pubkey(&hop.src_node_id);
                let leads = |ends: &[NodeId; 2]| {
                    next.is_some_and(|next| ends.contains(&from) && ends.contains(&next))
                };
                let alias = graph.channel(hop.short_channel_id).is_none();
                if alias && ends.iter().any(leads) {
                    avoided.push(hop.short_channel_id);
                }
            }
        }
        avoided
    }

    /// Returns the request for LDK's router, which knows only channels that have failed before: what the
    /// constraints rule out is given as such.
    pub(super) fn bar(
        &self,
        graph: &Graph,
        payer: &PublicKey,
        asked: &RouteParameters,
        own: &[&ChannelDetails],
    ) -> RouteParameters {
        let mut asked = asked.clone();
        let payee = match &asked.payment_params.payee {
            Payee::Clear { node_id, .. } => Some(*node_id),
            Payee::Blinded { .. } => None,
        };
        let mut barred: Vec<u64> = self.avoid_channels.clone();
        for channel in own {
            let named = |scids: &[u64]| scids.iter().any(|&scid| is_named(channel, scid));
            let out = self.out_through.is_empty() || named(&self.out_through);
            if !out || named(&self.avoid_channels) {
                barred.extend(channel.get_outbound_payment_scid());
            }
        }
        if let Payee::Clear { node_id, route_hints, .. } = &asked.payment_params.payee {
            barred.extend(self.avoided_hints(graph, route_hints, &node_id.serialize()));
        }
        let graph = graph.read_only();
        for node in &self.avoid_nodes {
            let known = graph.node(&NodeId::from_pubkey(node));
            barred.extend(known.iter().flat_map(|node| &node.channels));
        }
        if let Some(payee) =
            payee.filter(|_| !self.in_through.is_empty() || self.last_hop.is_some())
        {
            let may_end = |scid: u64, from: Option<NodeId>| {
                let last_hop = self.last_hop.as_ref().map(NodeId::from_pubkey);
                (self.in_through.is_empty() || self.in_through.contains(&scid))
                    && (last_hop.is_none() || last_hop == from)
            };
            let payee_id = NodeId::from_pubkey(&payee);
            for &scid in graph.node(&payee_id).iter().flat_map(|node| &node.channels) {
                let from = graph.channel(scid).map(|channel| match channel.node_one == payee_id {
                    true => channel.node_two,
                    false => channel.node_one,
                });
                barred.extend((!may_end(scid, from)).then_some(scid));
            }
            for last in asked.payment_params.payee_hints().iter().filter_map(|hint| hint.0.last()) {
                let from = NodeId::from_pubkey(&last.src_node_id);
                let scid = last.short_channel_id;
                barred.extend((!may_end(scid, Some(from))).then_some(scid));
            }
            // A channel of ours that ends at the payee is first hop and last hop at once.
            for channel in own.iter().filter(|channel| channel.counterparty.node_id == payee) {
                let allowed = self.last_hop.is_none_or(|node| node == *payer)
                    && (self.in_through.is_empty()
                        || self.in_through.iter().any(|&scid| is_named(channel, scid)));
                let scid = channel.get_outbound_payment_scid();
                barred.extend(scid.filter(|_| !allowed));
            }
        }
        asked.payment_params.previously_failed_channels.extend(barred);
        asked
    }
}

/// The route hints of a payee that is named openly.
trait Hints {
    fn payee_hints(&self) -> &[RouteHint];
}

impl Hints for lightning::routing::router::PaymentParameters {
    fn payee_hints(&self) -> &[RouteHint] {
        match &self.payee {
            Payee::Clear { route_hints, .. } => route_hints,
            Payee::Blinded { .. } => &[],
        }
    }
}

/// Returns whether our channel has this short id: the announced one or an alias of either side.
pub fn is_named(channel: &ChannelDetails, scid: u64) -> bool {
    [channel.short_channel_id, channel.outbound_scid_alias, channel.inbound_scid_alias]
        .contains(&Some(scid))
}

/// Returns the short id by which the peer knows this channel of ours as a last hop.
pub(super) fn last_hop_scid(channel: &ChannelDetails) -> Option<u64> {
    match channel.is_announced {
        true => channel.short_channel_id,
        false => channel.get_inbound_payment_scid(),
    }
}

/// Replaces the short ids of our own channels by the ones that routes use.
fn spelled(
    scids: &[u64],
    own: &[&ChannelDetails],
    spell: impl Fn(&ChannelDetails) -> Option<u64>,
) -> Vec<u64> {
    let spelled = |&scid: &u64| {
        let channel = own.iter().find(|channel| is_named(channel, scid));
        channel.and_then(|channel| spell(channel)).unwrap_or(scid)
    };
    scids.iter().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    use lightning::util::ser::{Readable as _, Writeable as _};

    use super::*;

    fn key(byte: u8) -> PublicKey {
        let secret = bitcoin::secp256k1::SecretKey::from_slice(&[byte; 32]).expect("a key");
        PublicKey::from_secret_key(&bitcoin::secp256k1::Secp256k1::new(), &secret)
    }

    #[test]
    fn contradictions_are_named() {
        let (payer, payee) = (key(1), key(2));
        let none = Constraints::default();
        for (constraints, argument) in [
            (none.clone(), None),
            (Constraints { out_through: vec![5], avoid_channels: vec![6], ..none.clone() }, None),
            (
                Constraints { out_through: vec![5], avoid_channels: vec![5], ..none.clone() },
                Some("out_through"),
            ),
            (
                Constraints { out_through: vec![5, 6], avoid_channels: vec![5], ..none.clone() },
                None,
            ),
            (
                Constraints { in_through: vec![5], avoid_channels: vec![5], ..none.clone() },
                Some("in_through"),
            ),
            (Constraints { avoid_channels: vec![0], ..none.clone() }, Some("avoid_channels")),
            (
                Constraints { avoid_channels: vec![1; MOST + 1], ..none.clone() },
                Some("avoid_channels"),
            ),
            (Constraints { avoid_nodes: vec![payee], ..none.clone() }, Some("avoid_nodes")),
            (Constraints { avoid_nodes: vec![payer], ..none.clone() }, Some("avoid_nodes")),
            (Constraints { last_hop: Some(payee), ..none.clone() }, Some("last_hop")),
            (Constraints { last_hop: Some(payer), ..none.clone() }, None),
            (
                Constraints { last_hop: Some(key(3)), avoid_nodes: vec![key(3)], ..none.clone() },
                Some("last_hop"),
            ),
        ] {
            let fault = constraints.fault(&payer, &payee).map(|(argument, _)| argument);
            assert_eq!(fault, argument, "{constraints:?}");
        }
    }

    #[test]
    fn constraints_are_read_back_as_they_were_written() {
        let constraints = Constraints {
            out_through: vec![1, 2],
            last_hop: Some(key(1)),
            avoid_nodes: vec![key(2)],
            ..Constraints::default()
        };
        let bytes = constraints.encode();
        assert_eq!(Constraints::read(&mut &bytes[..]).expect("it is whole"), constraints);
    }
}
