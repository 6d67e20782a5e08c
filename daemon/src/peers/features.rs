//! The features of a peer by the names of BOLT 9.

/// LDK's name and BOLT 9's.
const NAMES: &[(&str, &str)] = &[
    ("DataLossProtect", "option_data_loss_protect"),
    ("InitialRoutingSync", "initial_routing_sync"),
    ("UpfrontShutdownScript", "option_upfront_shutdown_script"),
    ("GossipQueries", "gossip_queries"),
    ("VariableLengthOnion", "var_onion_optin"),
    ("StaticRemoteKey", "option_static_remotekey"),
    ("PaymentSecret", "payment_secret"),
    ("BasicMPP", "basic_mpp"),
    ("Wumbo", "option_support_large_channel"),
    ("AnchorsNonzeroFeeHtlcTx", "option_anchor_outputs"),
    ("AnchorsZeroFeeHtlcTx", "option_anchors"),
    ("RouteBlinding", "option_route_blinding"),
    ("ShutdownAnySegwit", "option_shutdown_anysegwit"),
    ("DualFund", "option_dual_fund"),
    ("Taproot", "option_taproot"),
    ("Quiescence", "option_quiesce"),
    ("OnionMessages", "option_onion_messages"),
    ("ProvideStorage", "option_provide_storage"),
    ("ChannelType", "option_channel_type"),
    ("SCIDPrivacy", "option_scid_alias"),
    ("ZeroConf", "option_zeroconf"),
    ("SimpleClose", "option_simple_close"),
    ("SpliceProduction", "option_splice"),
];

/// Reads LDK's `Name: supported, Other: not supported, ...` and leaves out what is not supported.
pub fn names(ldk: &str) -> Vec<String> {
    ldk.split(", ")
        .filter_map(|one| one.split_once(": "))
        .filter(|(name, state)| *name != "unknown flags" && *state != "not supported")
        .map(|(name, state)| {
            let known = NAMES.iter().find(|(ldk, _)| *ldk == name);
            let name = known.map_or(name, |(_, bolt)| bolt);
            match state {
                "required" => format!("{name} (required)"),
                _ => name.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use lightning::types::features::InitFeatures;

    use super::*;

    #[test]
    fn features_have_the_names_of_bolt_9() {
        let mut features = InitFeatures::empty();
        features.set_wumbo_optional();
        features.set_static_remote_key_required();
        assert_eq!(
            names(&features.to_string()),
            ["option_static_remotekey (required)", "option_support_large_channel"]
        );
        assert!(names(&InitFeatures::empty().to_string()).is_empty());
    }
}
