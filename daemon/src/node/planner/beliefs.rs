//! Learns the liquidity of channels from LDK's payment events.

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::Beliefs;
use lightning::routing::gossip::NodeId;
use lightning::routing::router::Path;

/// The outcome of an HTLC along a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtlcOutcome {
    /// It was settled: the amounts moved.
    Settled,
    /// It reached the payee and failed there: a probe, or a payee that refused.
    Reached,
    /// It failed at this channel, which may carry less.
    FailedAt(u64),
    /// It failed at this channel for good: it is closed, or its node does not know it.
    BrokenAt(u64),
}

/// An HTLC's path and outcome.
#[derive(Clone, Debug)]
pub struct PathOutcome {
    /// Our node, which sent it.
    pub payer: PublicKey,
    /// The path.
    pub path: Path,
    /// The outcome.
    pub outcome: HtlcOutcome,
}

/// Learns hop by hop, except from our own channels, whose balances we know exactly. `hints` are the channels of the
/// path that the graph lacks.
pub(super) fn learn(beliefs: &mut Beliefs, path_outcome: &PathOutcome, hints: &[u64], now: u64) {
    let amounts = amounts_msat(&path_outcome.path);
    let sources = std::iter::once(&path_outcome.payer)
        .chain(path_outcome.path.hops.iter().map(|hop| &hop.pubkey));
    for (index, ((source, hop), amount_msat)) in
        sources.zip(&path_outcome.path.hops).zip(amounts).enumerate()
    {
        let direction = match hints.contains(&hop.short_channel_id) {
            // The planner reads beliefs about a hint as direction 0, whichever of its ends has the lesser key.
            true => 0,
            false => u8::from(NodeId::from_pubkey(source) > NodeId::from_pubkey(&hop.pubkey)),
        };
        let ours = index == 0 || hop.pubkey == path_outcome.payer;
        if path_outcome.outcome == HtlcOutcome::BrokenAt(hop.short_channel_id) {
            return;
        }
        if path_outcome.outcome == HtlcOutcome::FailedAt(hop.short_channel_id) {
            if !ours {
                beliefs.failed(hop.short_channel_id, direction, amount_msat, now);
            }
            return;
        }
        if ours {
            continue;
        }
        beliefs.passed(hop.short_channel_id, direction, amount_msat, now);
        if path_outcome.outcome == HtlcOutcome::Settled {
            beliefs.settled(hop.short_channel_id, direction, amount_msat);
        }
    }
}

/// Returns the amount that each hop carries, first hop first, in msat.
pub(super) fn amounts_msat(path: &Path) -> Vec<u64> {
    let tail = path.blinded_tail.as_ref().map_or(0, |tail| tail.final_value_msat);
    let mut carried = tail;
    let mut amounts: Vec<u64> = path
        .hops
        .iter()
        .rev()
        .map(|hop| {
            carried = carried.saturating_add(hop.fee_msat);
            carried
        })
        .collect();
    amounts.reverse();
    amounts
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning::routing::router::RouteHop;
    use lightning::types::features::{ChannelFeatures, NodeFeatures};

    use super::*;

    const ANNOUNCED: u64 = 7;
    const HINT: u64 = 8;
    const CAPACITY_MSAT: u64 = 10_000;

    fn key(byte: u8) -> PublicKey {
        let secret = SecretKey::from_slice(&[byte; 32]).expect("a key");
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    fn hop(pubkey: PublicKey, short_channel_id: u64, fee_msat: u64) -> RouteHop {
        RouteHop {
            pubkey,
            node_features: NodeFeatures::empty(),
            short_channel_id,
            channel_features: ChannelFeatures::empty(),
            fee_msat,
            cltv_expiry_delta: 40,
            maybe_announced_channel: short_channel_id == ANNOUNCED,
        }
    }

    /// What is known of a direction after a payment of 500 over two nodes failed at `scid`.
    fn most_after_a_failure(nodes: [PublicKey; 2], scid: u64, direction: u8) -> u64 {
        let hops = vec![hop(nodes[0], 1, 10), hop(nodes[1], scid, 500)];
        let path = Path { hops, blinded_tail: None };
        let path_outcome =
            PathOutcome { payer: key(9), path, outcome: HtlcOutcome::FailedAt(scid) };
        let mut beliefs = Beliefs::new();
        learn(&mut beliefs, &path_outcome, &[HINT], 5);
        beliefs.range(scid, direction, CAPACITY_MSAT, 5).most_msat
    }

    #[test]
    fn an_announced_channel_learns_by_the_order_of_its_keys_and_a_hint_always_as_direction_0() {
        let (mut lesser, mut greater) = (key(1), key(2));
        if NodeId::from_pubkey(&lesser) > NodeId::from_pubkey(&greater) {
            (lesser, greater) = (greater, lesser);
        }
        for (nodes, scid, direction) in [
            ([lesser, greater], ANNOUNCED, 0),
            ([greater, lesser], ANNOUNCED, 1),
            ([lesser, greater], HINT, 0),
            ([greater, lesser], HINT, 0),
        ] {
            assert_eq!(most_after_a_failure(nodes, scid, direction), 499, "{scid} {direction}");
            let other = most_after_a_failure(nodes, scid, 1 - direction);
            assert_eq!(other, CAPACITY_MSAT, "{scid} {direction}");
        }
    }
}
