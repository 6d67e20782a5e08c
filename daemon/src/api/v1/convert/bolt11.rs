//! The text of an invoice: read strictly, and distinguished from other texts that ask for money.

use std::str::FromStr as _;

use lightning_invoice::Bolt11Invoice;
use tonic::Status;

use super::fields::MAX_MONEY_SAT;
use crate::api::status::malformed;

/// The longest invoice that is read, in bytes: what fits into a QR code.
const MAX_BYTES: usize = 7_089;

/// Other texts that ask for money: how they begin, and what they are.
const OTHERS: [(&str, &str); 8] = [
    ("lno1", "this is a BOLT 12 offer, not a BOLT 11 invoice"),
    ("lnr1", "this is a BOLT 12 invoice request, which asks its reader for an invoice"),
    ("lni1", "this is a BOLT 12 invoice, not a BOLT 11 invoice"),
    (
        "lnurl1",
        "this is an LNURL, the address of a web service that makes invoices: ask it for one",
    ),
    ("bitcoin:", "this is a bitcoin: URI: give the invoice in its `lightning` parameter"),
    ("bc1", ON_CHAIN),
    ("tb1", ON_CHAIN),
    ("bcrt1", ON_CHAIN),
];
const ON_CHAIN: &str = "this is an on-chain address, not an invoice";
const USER_AT_DOMAIN: &str =
    "this is a Lightning address, user@domain, whose web service makes invoices: ask it for one";

/// Reads an invoice of any network, with or without `lightning:` before it, and returns its text.
///
/// An invoice is refused when its encoding is not the one that a sender would write: the signature covers the bytes that
/// were given, so a reader that takes them for others finds another payee (BOLT 11, requirements for a reader). It is
/// refused when its amount does not fit, because it would pass for one that leaves the amount to the payer.
///
/// # Errors
/// `INVALID_ARGUMENT`, with a sentence that says what the text is.
pub fn bolt11(argument: &'static str, text: &str) -> Result<String, Status> {
    read(text).map_err(|why| malformed(argument, why))
}

fn read(text: &str) -> Result<String, String> {
    match text.len() {
        0 => return Err("an invoice is needed".to_owned()),
        1..=MAX_BYTES => (),
        length => return Err(format!("has {length} bytes, at most {MAX_BYTES} are taken")),
    }
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some((_, what)) = OTHERS.iter().find(|(prefix, _)| lower.starts_with(prefix)) {
        return Err((*what).to_owned());
    }
    if lower.contains('@') {
        return Err(USER_AT_DOMAIN.to_owned());
    }
    let bare = lower.strip_prefix("lightning:").map_or(0, |rest| lower.len() - rest.len());
    let (text, lower) = (&text[bare..], &lower[bare..]);
    let invoice = Bolt11Invoice::from_str(text)
        .map_err(|error| format!("this is not a BOLT 11 invoice: {error}"))?;
    let amount_msat = invoice.amount_milli_satoshis();
    let has_amount = invoice.clone().into_signed_raw().raw_invoice().hrp.raw_amount.is_some();
    if has_amount && amount_msat.is_none_or(|msat| msat > MAX_MONEY_SAT * 1_000) {
        return Err("the amount of this invoice is more than all bitcoin".to_owned());
    }
    if invoice.to_string() != lower {
        return Err(
            "this invoice is not encoded as BOLT 11 demands: other bytes were signed".to_owned()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use bitcoin::bech32::Fe32;
    use bitcoin::bech32::primitives::decode::CheckedHrpstring;
    use bitcoin::bech32::primitives::hrp::Hrp;
    use bitcoin::bech32::primitives::iter::Fe32IterExt as _;
    use bitcoin::hashes::{Hash as _, sha256};
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning_invoice::{Bolt11Bech32, Currency, InvoiceBuilder, PaymentSecret};

    use super::*;

    fn made(amount_msat: Option<u64>) -> String {
        let key = SecretKey::from_slice(&[7; 32]).expect("a key");
        let builder = InvoiceBuilder::new(Currency::Regtest)
            .description("coffee".to_owned())
            .payment_hash(sha256::Hash::all_zeros())
            .payment_secret(PaymentSecret([3; 32]))
            .duration_since_epoch(std::time::Duration::from_secs(1_700_000_000))
            .min_final_cltv_expiry_delta(144);
        let builder = match amount_msat {
            Some(msat) => builder.amount_milli_satoshis(msat),
            None => builder,
        };
        let signed =
            builder.build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &key));
        signed.expect("a sound invoice").to_string()
    }

    /// The same data under another human-readable part, with a valid checksum.
    fn under(hrp: &str, invoice: &str) -> String {
        let parsed = CheckedHrpstring::new::<Bolt11Bech32>(invoice).expect("sound");
        let data: Vec<Fe32> = parsed.fe32_iter::<std::vec::IntoIter<u8>>().collect();
        let hrp = Hrp::parse(hrp).expect("sound");
        data.into_iter().with_checksum::<Bolt11Bech32>(&hrp).chars().collect()
    }

    #[test]
    fn an_invoice_is_taken_in_either_case_and_from_a_link() {
        for text in [made(None), made(Some(1_500_000)), made(Some(1)).to_ascii_uppercase()] {
            assert_eq!(read(&text), Ok(text.clone()));
            assert_eq!(read(&format!(" lightning:{text}\n")), Ok(text));
        }
    }

    #[test]
    fn amounts_that_do_not_fit_and_other_encodings_are_refused() {
        let sound = made(None);
        for (hrp, part) in [
            ("lnbcrt18446744073709551615", "more than all bitcoin"),
            ("lnbcrt21000001", "more than all bitcoin"),
            ("lnbcrt18446744073709551616", "not a BOLT 11 invoice"),
            // Signed as `lnbcrt1m`, whatever was signed.
            ("lnbcrt01m", "other bytes were signed"),
        ] {
            let why = read(&under(hrp, &sound)).expect_err(hrp);
            assert!(why.contains(part), "{hrp}: {why}");
        }
        assert!(read(&under("lnbcrt1m", &sound)).is_ok(), "well encoded, of another signer");
    }

    #[test]
    fn other_texts_are_named() {
        for (text, part) in [
            ("", "an invoice is needed"),
            ("lno1qgsqvgnwgcg35z6ee2h3yczraddm72xrfua9uve2rlrm9deu7xyfzrc", "BOLT 12 offer"),
            ("LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35X", "an LNURL"),
            ("alice@example.org", "Lightning address"),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "on-chain address"),
            ("bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=1", "bitcoin: URI"),
            ("nonsense", "not a BOLT 11 invoice"),
        ] {
            let status = bolt11("bolt11", text).expect_err("refused");
            let why = status.message();
            assert!(why.starts_with("bolt11: ") && why.contains(part), "{text}: {why}");
        }
    }
}
