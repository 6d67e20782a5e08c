//! The API's names of arguments, in the words of the command line.

/// Arguments of requests, and what they are called here.
const ARGUMENTS: [(&str, &str); 46] = [
    ("address", "the address"),
    ("after_index", "--after"),
    ("after_sequence", "--after"),
    ("amount", "the amount"),
    ("amount_msat", "the amount"),
    ("amount_sat", "the amount"),
    ("bolt11", "the invoice"),
    ("to", "the invoice"),
    ("capacity_sat", "the capacity"),
    ("channel", "the channel"),
    ("close_address", "--close-address"),
    ("coins", "--coins"),
    ("min_confirmations", "--min-confirmations"),
    ("outputs", "the recipients"),
    ("subtract_fee", "--subtract-fee"),
    ("target_blocks", "--target"),
    ("channels", "the channel"),
    ("cltv_expiry_delta", "--cltv-delta"),
    ("confirmations", "--confirmations"),
    ("custom_records", "--record"),
    ("description", "--description"),
    ("expiry_secs", "--expiry"),
    ("fallback_address", "--fallback"),
    ("feerate_msat_per_vb", "--feerate"),
    ("hint_channels", "--hint"),
    ("label", "--label"),
    ("last_hop", "--in-through"),
    ("max_amount_msat", "--max"),
    ("max_fee_msat", "--max-fee"),
    ("max_parts", "--max-parts"),
    ("max_total_cltv_delta", "--max-cltv-delta"),
    ("message", "the text"),
    ("min_amount_msat", "--min"),
    ("min_final_cltv_expiry_delta", "--min-final-cltv-delta"),
    ("node_id", "the node"),
    ("page_token", "the page"),
    ("path", "the file"),
    ("payee", "the payee"),
    ("payment_metadata", "--metadata"),
    ("preimage", "--preimage"),
    ("push_msat", "--push"),
    ("short_channel_id", "the channel"),
    ("since", "--since"),
    ("timeout_secs", "--timeout"),
    ("until", "--until"),
    ("words", "--words"),
];

/// A sentence of the daemon that begins with the name of an argument, with the name that users typed.
pub(super) fn in_our_words(message: &str) -> String {
    let named = message.split_once(": ").and_then(|(name, rest)| {
        let field = name.rsplit('.').next().unwrap_or(name);
        let found = ARGUMENTS.iter().find(|(argument, _)| *argument == field);
        found.map(|(_, ours)| format!("{ours}: {rest}"))
    });
    named.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_read_the_names_that_they_typed() {
        for (message, ours) in [
            ("feerate_msat_per_vb: too low", "--feerate: too low"),
            ("limits.max_fee_msat: too low", "--max-fee: too low"),
            ("bolt11: paid already", "the invoice: paid already"),
            ("the node is not synced: wait", "the node is not synced: wait"),
            ("no colon", "no colon"),
        ] {
            assert_eq!(in_our_words(message), ours);
        }
    }
}
