//! The content of an invoice, an offer or a refund on the wire.

use bitcoin::hashes::Hash as _;
use fulmen_proto::v1;
use lightning::offers::offer::{Amount, Offer, Quantity};
use lightning::offers::refund::Refund;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, RouteHint};

use super::features::features;

/// Writes what an invoice says.
pub fn decoded(invoice: &Bolt11Invoice, now: u64) -> v1::DecodeInvoiceResponse {
    let created_at = invoice.duration_since_epoch();
    let expires_at = created_at.saturating_add(invoice.expiry_time()).as_secs();
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (text.to_string(), Vec::new()),
        Bolt11InvoiceDescriptionRef::Hash(hash) => (String::new(), hash.0.to_byte_array().to_vec()),
    };
    v1::DecodeInvoiceResponse {
        payment_hash: invoice.payment_hash().to_byte_array().to_vec(),
        payee: invoice.get_payee_pub_key().serialize().to_vec(),
        amount_msat: invoice.amount_milli_satoshis().unwrap_or(0),
        description,
        description_hash,
        created_at: created_at.as_secs(),
        expires_at,
        min_final_cltv_expiry_delta: u32::try_from(invoice.min_final_cltv_expiry_delta())
            .unwrap_or(u32::MAX),
        route_hints: invoice.route_hints().iter().map(route_hint).collect(),
        fallback_addresses: invoice.fallback_addresses().iter().map(ToString::to_string).collect(),
        network: invoice.network().to_string(),
        expired: now > expires_at,
        features: invoice.features().map_or_else(Vec::new, |it| features(it.le_flags())),
        bolt11: invoice.to_string(),
        payment_metadata: invoice.payment_metadata().cloned().unwrap_or_default(),
    }
}

/// Writes what an offer says.
pub fn offer(offer: &Offer, now: u64) -> v1::DecodedOffer {
    let (amount_msat, currency, currency_amount) = match offer.amount() {
        None => (0, String::new(), 0),
        Some(Amount::Bitcoin { amount_msats }) => (amount_msats, String::new(), 0),
        Some(Amount::Currency { iso4217_code, amount }) => {
            (0, iso4217_code.as_str().to_owned(), amount)
        }
    };
    let expires_at = offer.absolute_expiry().map_or(0, |at| at.as_secs());
    v1::DecodedOffer {
        offer_id: offer.id().0.to_vec(),
        offer: offer.to_string(),
        amount_msat,
        currency,
        currency_amount,
        description: offer.description().map(|text| text.to_string()).unwrap_or_default(),
        issuer: offer.issuer().map(|text| text.to_string()).unwrap_or_default(),
        issuer_id: offer
            .issuer_signing_pubkey()
            .map(|key| key.serialize().to_vec())
            .unwrap_or_default(),
        expires_at,
        expired: expires_at > 0 && now > expires_at,
        max_quantity: match offer.supported_quantity() {
            Quantity::One => 1,
            Quantity::Bounded(most) => most.get(),
            Quantity::Unbounded => 0,
        },
        paths: u32::try_from(offer.paths().len()).unwrap_or(u32::MAX),
    }
}

/// Writes what a refund says.
pub fn refund(refund: &Refund, now: u64) -> v1::DecodedRefund {
    let expires_at = refund.absolute_expiry().map_or(0, |at| at.as_secs());
    v1::DecodedRefund {
        refund: refund.to_string(),
        amount_msat: refund.amount_msats(),
        description: refund.description().to_string(),
        issuer: refund.issuer().map(|text| text.to_string()).unwrap_or_default(),
        payer_note: refund.payer_note().map(|text| text.to_string()).unwrap_or_default(),
        expires_at,
        expired: expires_at > 0 && now > expires_at,
        paths: u32::try_from(refund.paths().len()).unwrap_or(u32::MAX),
    }
}

fn route_hint(hint: &RouteHint) -> v1::RouteHint {
    let hops = hint.0.iter().map(|hop| v1::RouteHintHop {
        node_id: hop.src_node_id.serialize().to_vec(),
        short_channel_id: hop.short_channel_id,
        policy: Some(v1::ForwardPolicy {
            base_fee_msat: hop.fees.base_msat,
            proportional_millionths: hop.fees.proportional_millionths,
            cltv_expiry_delta: hop.cltv_expiry_delta.into(),
        }),
    });
    v1::RouteHint { hops: hops.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices;

    #[test]
    fn an_invoice_of_another_network_is_read_too() {
        // BOLT 11, examples: "Please send $3 for a cup of coffee to the same peer, within one minute".
        let text = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqf\
            qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85f\
            kpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
        let text = text.replace(char::is_whitespace, "");
        let answer = decoded(&invoices::decode(&text).expect("an invoice"), u64::MAX);
        assert_eq!((answer.amount_msat, answer.network.as_str()), (250_000_000, "bitcoin"));
        assert_eq!(answer.description, "1 cup coffee");
        assert_eq!(answer.expires_at - answer.created_at, 60);
        assert!(answer.expired);
        let secret = answer.features.iter().find(|feature| feature.name == "payment_secret");
        assert!(secret.is_some_and(|secret| secret.required), "{:?}", answer.features);
        assert!(invoices::decode("lnbc1nonsense").is_err());
    }

    #[test]
    fn fallback_addresses_and_hints_are_shown_in_full() {
        // BOLT 11, examples: "On mainnet, with fallback (p2pkh) address 1RustyRX2oai4EYYDpQGWvEL62BBGqN9T with extra
        // routing info to go via nodes 029e03a9... then 039e03a9..."; the signature's form allows 2^-x deviations.
        let text = "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqc\
            yq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqsfpp3qjmp7lwpagxun9pygexvgpj\
            dc4jdj85fr9yq20q82gphp2nflc7jtzrcazrra7wwgzxqc8u7754cdlpfrmccae92qgzqvzq2ps8pqqqqqqpqqqqq9qqqvpeuqafqxu92d8lr6f\
            vg0r5gv0heeeqgcrqlnm6jhphu9y00rrhy4grqszsvpcgpy9qqqqqqgqqqqq7qqzq9qrsgqdfjcdk6w3ak5pca9hwfwfh63zrrz06wwfya0ydlz\
            pgzxkn5xagsqz7x9j4jwe7yj7vaf2k9lqsdk45kts2fd0fkr28am0u4w95tt2nsq76cqw0";
        let text = text.replace(char::is_whitespace, "");
        let answer = decoded(&invoices::decode(&text).expect("an invoice"), 0);
        assert_eq!(answer.fallback_addresses, ["1RustyRX2oai4EYYDpQGWvEL62BBGqN9T"]);
        let [hint] = &answer.route_hints[..] else { panic!("{:?}", answer.route_hints) };
        let hops: Vec<_> = hint.hops.iter().map(|hop| (hop.short_channel_id, hop.policy)).collect();
        let policy = |base_fee_msat, proportional_millionths, cltv_expiry_delta| {
            Some(v1::ForwardPolicy { base_fee_msat, proportional_millionths, cltv_expiry_delta })
        };
        let scid =
            |block: u64, transaction: u64, output: u64| block << 40 | transaction << 16 | output;
        let expected = [
            (scid(66_051, 263_430, 1_800), policy(1, 20, 3)),
            (scid(197_637, 395_016, 2_314), policy(2, 30, 4)),
        ];
        assert_eq!(hops, expected);
    }
}
