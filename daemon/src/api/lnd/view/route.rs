//! Routes, planned and taken.

use bitcoin::hex::DisplayHex as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_routing::Part as PlannedPart;

use super::channel::signed;
use crate::payments::Part;

/// Writes a planned part; `height` is that of the next block's parent.
pub fn planned(part: &PlannedPart, height: u32) -> lnrpc::Route {
    let nexts = part.hops.iter().skip(1).map(Some).chain([None]);
    let hops = part.hops.iter().zip(nexts).map(|(hop, next)| {
        let forwarded_msat = next.map_or(hop.amount_msat, |next| next.amount_msat);
        let expiry = height.saturating_add(next.map_or(hop.cltv, |next| next.cltv));
        let fee_msat = hop.amount_msat.saturating_sub(forwarded_msat);
        self::hop(hop.scid, hop.node.to_lower_hex_string(), forwarded_msat, fee_msat, expiry)
    });
    let total_msat = part.amount_msat.saturating_add(part.fee_msat);
    let lock = height.saturating_add(part.hops.first().map_or(0, |hop| hop.cltv));
    route(hops.collect(), total_msat, part.fee_msat, lock)
}

/// Writes a part of a payment. The record has no block height, so time locks count from the payment's own.
pub fn taken(part: &Part) -> lnrpc::Route {
    let (mut forwarded_msat, mut expiry) = (part.amount_msat, 0_u32);
    let mut hops = Vec::with_capacity(part.hops.len());
    for taken in part.hops.iter().rev() {
        let is_last = hops.is_empty();
        if is_last {
            expiry = taken.cltv_expiry_delta;
        }
        let (fee_msat, node) =
            (if is_last { 0 } else { taken.fee_msat }, taken.node_id.to_string());
        hops.push(hop(taken.short_channel_id, node, forwarded_msat, fee_msat, expiry));
        forwarded_msat = forwarded_msat.saturating_add(fee_msat);
        if !is_last {
            expiry = expiry.saturating_add(taken.cltv_expiry_delta);
        }
    }
    hops.reverse();
    let total_msat = part.amount_msat.saturating_add(part.fee_msat);
    route(hops, total_msat, part.fee_msat, expiry)
}

/// Writes a route of one hop, for a payment whose route is not known any more.
pub fn direct(payee: String, amount_msat: u64, fee_msat: u64) -> lnrpc::Route {
    let hops = vec![hop(0, payee, amount_msat, 0, 0)];
    route(hops, amount_msat.saturating_add(fee_msat), fee_msat, 0)
}

fn hop(scid: u64, node: String, forwarded_msat: u64, fee_msat: u64, expiry: u32) -> lnrpc::Hop {
    lnrpc::Hop {
        chan_id: scid,
        amt_to_forward: signed(forwarded_msat / 1_000),
        fee: signed(fee_msat / 1_000),
        expiry,
        amt_to_forward_msat: signed(forwarded_msat),
        fee_msat: signed(fee_msat),
        pub_key: node,
        tlv_payload: true,
        ..Default::default()
    }
}

fn route(hops: Vec<lnrpc::Hop>, total_msat: u64, fee_msat: u64, time_lock: u32) -> lnrpc::Route {
    lnrpc::Route {
        total_time_lock: time_lock,
        total_fees: signed(fee_msat / 1_000),
        total_amt: signed(total_msat / 1_000),
        hops,
        total_fees_msat: signed(fee_msat),
        total_amt_msat: signed(total_msat),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};

    use super::*;
    use crate::payments::{Hop, PartEnd};

    #[test]
    fn a_planned_hop_says_what_it_sends_on_and_keeps() {
        let hop = |scid, amount_msat, cltv| fulmen_routing::Hop {
            scid,
            node: [2; 33],
            direction: 0,
            amount_msat,
            cltv,
        };
        let hops = vec![hop(7, 1_030, 120), hop(8, 1_010, 80), hop(9, 1_000, 40)];
        let part = PlannedPart { hops, amount_msat: 1_000, fee_msat: 30, chance: 0.5 };
        let route = planned(&part, 500);
        let seen: Vec<_> = route
            .hops
            .iter()
            .map(|hop| (hop.amt_to_forward_msat, hop.fee_msat, hop.expiry))
            .collect();
        assert_eq!(seen, [(1_010, 20, 580), (1_000, 10, 540), (1_000, 0, 540)]);
        assert_eq!((route.total_amt_msat, route.total_fees_msat), (1_030, 30));
        assert_eq!(route.total_time_lock, 620);
    }

    #[test]
    fn a_taken_part_adds_its_fees_up_from_the_payee() {
        let key = SecretKey::from_slice(&[1; 32]).expect("a key");
        let node_id = PublicKey::from_secret_key(&Secp256k1::new(), &key);
        let hop = |short_channel_id, fee_msat, cltv_expiry_delta| Hop {
            node_id,
            short_channel_id,
            fee_msat,
            cltv_expiry_delta,
        };
        let hops = vec![hop(7, 20, 40), hop(8, 10, 40), hop(9, 0, 18)];
        let part = Part {
            end: PartEnd::Succeeded,
            amount_msat: 1_000,
            fee_msat: 30,
            hops,
            began_at_ms: None,
            ended_at_ms: None,
            hold_times_ms: Vec::new(),
        };
        let route = taken(&part);
        let seen: Vec<_> = route
            .hops
            .iter()
            .map(|hop| (hop.chan_id, hop.amt_to_forward_msat, hop.fee_msat, hop.expiry))
            .collect();
        assert_eq!(seen, [(7, 1_010, 20, 58), (8, 1_000, 10, 18), (9, 1_000, 0, 18)]);
        assert_eq!((route.total_amt_msat, route.total_time_lock), (1_030, 98));
    }
}
