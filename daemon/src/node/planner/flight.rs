//! Whether a route of LDK's router puts more on a channel than its peers let be in flight.

use std::collections::HashMap;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::{NodeId, ReadOnlyNetworkGraph};
use lightning::routing::router::{InFlightHtlcs, Route};
use lightning::util::ser::Writeable;

use super::beliefs::amounts_msat;
use crate::node::ldk::limits::sendable_msat;
use crate::node::ldk::types::Graph;

/// Returns a channel on which the parts of a route, together with what is in flight there, exceed the greatest HTLC: a
/// part beyond it would fail while the others wait at the payee.
pub(super) fn overfilled(
    graph: &Graph,
    payer: &PublicKey,
    route: &Route,
    own: &[&ChannelDetails],
    in_flight: &InFlightHtlcs,
) -> Option<u64> {
    let mut load: HashMap<(u64, bool), u64> = HashMap::new();
    let ours = |scid| own.iter().find(|channel| channel.get_outbound_payment_scid() == Some(scid));
    for (scid, from_lesser, msat) in in_flight_rows(in_flight) {
        // What we can send has it subtracted already.
        if ours(scid).is_none() {
            load.insert((scid, from_lesser), msat);
        }
    }
    let graph = graph.read_only();
    for path in &route.paths {
        let sources = std::iter::once(payer).chain(path.hops.iter().map(|hop| &hop.pubkey));
        for ((source, hop), amount_msat) in sources.zip(&path.hops).zip(amounts_msat(path)) {
            let (source, target) = (NodeId::from_pubkey(source), NodeId::from_pubkey(&hop.pubkey));
            let scid = hop.short_channel_id;
            let (scid, most_msat) = match ours(scid) {
                Some(channel) => (scid, Some(sendable_msat(channel))),
                None => match channel_for(&graph, scid, &source, &target) {
                    Some((scid, most_msat)) => (scid, Some(most_msat)),
                    None => (scid, None),
                },
            };
            let carried = load.entry((scid, source < target)).or_default();
            *carried = carried.saturating_add(amount_msat);
            if most_msat.is_some_and(|most_msat| *carried > most_msat) {
                return Some(scid);
            }
        }
    }
    None
}

/// Finds the announced channel that a hop takes, with its greatest HTLC in msat. A hint may name it by an alias: payees
/// hint at announced channels as well where these look too small for the invoice.
fn channel_for(
    graph: &ReadOnlyNetworkGraph<'_>,
    scid: u64,
    source: &NodeId,
    target: &NodeId,
) -> Option<(u64, u64)> {
    match htlc_max_msat(graph, scid, source) {
        Some(most_msat) => Some((scid, most_msat)),
        None => announced_between(graph, source, target),
    }
}

/// Returns the widest announced channel from one node to another, with its greatest HTLC in msat.
pub(super) fn announced_between(
    graph: &ReadOnlyNetworkGraph<'_>,
    source: &NodeId,
    target: &NodeId,
) -> Option<(u64, u64)> {
    let channels = &graph.node(target)?.channels;
    let leads_there = |scid: &&u64| {
        graph.channel(**scid).is_some_and(|it| it.node_one == *source || it.node_two == *source)
    };
    let wide = |scid: &u64| Some((*scid, htlc_max_msat(graph, *scid, source)?));
    channels.iter().filter(leads_there).filter_map(wide).max_by_key(|(_, most_msat)| *most_msat)
}

fn htlc_max_msat(graph: &ReadOnlyNetworkGraph<'_>, scid: u64, source: &NodeId) -> Option<u64> {
    let channel = graph.channel(scid)?;
    let towards = match channel.node_one == *source {
        true => channel.one_to_two.as_ref(),
        false => channel.two_to_one.as_ref(),
    };
    towards.map(|update| update.htlc_maximum_msat)
}

/// Reads LDK's table from its encoding, since it has no accessor: a count, then per channel its short id, whether the
/// HTLC comes from the lesser key, and the amount in msat.
pub(super) fn in_flight_rows(in_flight: &InFlightHtlcs) -> Vec<(u64, bool, u64)> {
    use lightning::util::ser::{CollectionLength, Readable};
    let bytes = in_flight.encode();
    let mut reader = &bytes[..];
    let Ok(CollectionLength(count)) = CollectionLength::read(&mut reader) else {
        return Vec::new();
    };
    (0..count)
        .map_while(|_| {
            let (scid, from_lesser): (u64, bool) = Readable::read(&mut reader).ok()?;
            Some((scid, from_lesser, Readable::read(&mut reader).ok()?))
        })
        .collect()
}
