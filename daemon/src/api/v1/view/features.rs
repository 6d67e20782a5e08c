//! Feature bits on the wire, by the names of BOLT 9.

use fulmen_proto::v1;

/// The even bit of each feature and its name.
const NAMES: [(u32, &str); 30] = [
    (0, "option_data_loss_protect"),
    (2, "initial_routing_sync"),
    (4, "option_upfront_shutdown_script"),
    (6, "gossip_queries"),
    (8, "var_onion_optin"),
    (10, "gossip_queries_ex"),
    (12, "option_static_remotekey"),
    (14, "payment_secret"),
    (16, "basic_mpp"),
    (18, "option_support_large_channel"),
    (20, "option_anchor_outputs"),
    (22, "option_anchors"),
    (24, "option_route_blinding"),
    (26, "option_shutdown_anysegwit"),
    (28, "option_dual_fund"),
    (30, "option_taproot"),
    (34, "option_quiesce"),
    (36, "option_attribution_data"),
    (38, "option_onion_messages"),
    (40, "zero_fee_commitments"),
    (42, "option_provide_storage"),
    (44, "option_channel_type"),
    (46, "option_scid_alias"),
    (48, "option_payment_metadata"),
    (50, "option_zeroconf"),
    (54, "keysend"),
    (56, "option_trampoline_routing"),
    (60, "option_simple_close"),
    (62, "option_splice"),
    (258, "dns_resolver"),
];

/// Writes the features whose bits are set in `flags`, the lowest byte first.
pub fn features(flags: &[u8]) -> Vec<v1::Feature> {
    let is_set = |bit: usize| flags.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    let pairs = (0..flags.len() * 8).step_by(2);
    let set = pairs.filter(|even| is_set(*even) || is_set(even + 1));
    set.map(|even| {
        let bit = u32::try_from(even).unwrap_or(u32::MAX);
        let known = NAMES.iter().find(|(known, _)| *known == bit);
        let name = known.map_or("", |(_, name)| name).to_owned();
        v1::Feature { bit, name, required: is_set(even) }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use lightning::types::features::InitFeatures;

    use super::*;

    #[test]
    fn features_have_the_names_of_bolt_9() {
        let mut known = InitFeatures::empty();
        known.set_wumbo_optional();
        known.set_static_remote_key_required();
        let read: Vec<(String, bool)> = features(known.le_flags())
            .into_iter()
            .map(|feature| (feature.name, feature.required))
            .collect();
        let expected = [("option_static_remotekey", true), ("option_support_large_channel", false)];
        assert_eq!(read, expected.map(|(name, required)| (name.to_owned(), required)));
        assert!(features(&[]).is_empty());
    }

    #[test]
    fn unknown_bits_are_shown_by_number() {
        // Bits 100 and 103.
        let mut flags = vec![0; 13];
        flags[12] = 0b1001_0000;
        let read = features(&flags);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].bit, read[0].name.as_str(), read[0].required), (100, "", true));
        assert_eq!((read[1].bit, read[1].required), (102, false));
    }
}
