//! Feature bits by lnd's names.

use std::collections::HashMap;

use fulmen_lnd_proto::lnrpc::Feature;

/// The even bit of each feature and lnd's name.
const NAMES: [(u32, &str); 21] = [
    (0, "data-loss-protect"),
    (2, "initial-routing-sync"),
    (4, "upfront-shutdown-script"),
    (6, "gossip-queries"),
    (8, "tlv-onion"),
    (12, "static-remote-key"),
    (14, "payment-addr"),
    (16, "multi-path-payments"),
    (18, "wumbo-channels"),
    (20, "anchor-commitments"),
    (22, "anchors-zero-fee-htlc-tx"),
    (24, "route-blinding"),
    (26, "shutdown-any-segwit"),
    (30, "amp"),
    (34, "quiescence"),
    (44, "explicit-commitment-type"),
    (46, "scid-alias"),
    (48, "payment-metadata"),
    (50, "zero-conf"),
    (54, "keysend"),
    (60, "rbf-coop-close"),
];

/// Writes the bits that are set; `flags` are in little-endian order.
pub fn features(flags: &[u8]) -> HashMap<u32, Feature> {
    let bits = (0..).zip(flags).flat_map(|(index, byte): (u32, &u8)| {
        let byte = *byte;
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| index * 8 + bit)
    });
    bits.map(|bit| (bit, feature(bit))).collect()
}

fn feature(bit: u32) -> Feature {
    let known = NAMES.iter().find(|(even, _)| *even == bit & !1);
    Feature {
        name: known.map_or("unknown", |(_, name)| name).to_owned(),
        is_required: bit.is_multiple_of(2),
        is_known: known.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_lnds_names() {
        let found = features(&[0b10, 0b0100_0000, 0, 0, 0, 0, 0, 0, 0b1]);
        let named = |bit: u32| (found[&bit].name.as_str(), found[&bit].is_required);
        assert_eq!(found.len(), 3);
        assert_eq!(named(1), ("data-loss-protect", false));
        assert_eq!(named(14), ("payment-addr", true));
        assert_eq!(named(64), ("unknown", true));
        assert!(!found[&64].is_known);
    }
}
