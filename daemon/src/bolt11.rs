//! The text of a BOLT 11 invoice, read strictly: the only place where one that a person gives is parsed.

use std::str::FromStr as _;

use lightning_invoice::Bolt11Invoice;

/// All bitcoin, in millisatoshis.
const MAX_MONEY_MSAT: u64 = 21_000_000 * 100_000_000 * 1_000;

/// Why a text is no invoice that can be paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be parsed.
    #[error("this is not a BOLT 11 invoice: {0}")]
    Unparsable(String),
    /// It would pass for an invoice that leaves the amount to the payer.
    #[error("the amount of this invoice is more than all bitcoin")]
    AmountTooLarge,
    /// The signature covers the bytes that were given: a reader that takes them for others finds another payee.
    #[error("this invoice is not encoded as BOLT 11 demands: other bytes were signed")]
    NotCanonical,
}

/// Reads an invoice of any network, in either case.
///
/// It must be encoded as its sender would write it, with an amount that exists (BOLT 11, requirements for a reader).
///
/// # Errors
/// See [`Fault`].
pub fn read(text: &str) -> Result<Bolt11Invoice, Fault> {
    let invoice =
        Bolt11Invoice::from_str(text).map_err(|error| Fault::Unparsable(error.to_string()))?;
    let amount_msat = invoice.amount_milli_satoshis();
    let has_amount = invoice.clone().into_signed_raw().raw_invoice().hrp.raw_amount.is_some();
    if has_amount && amount_msat.is_none_or(|msat| msat > MAX_MONEY_MSAT) {
        return Err(Fault::AmountTooLarge);
    }
    match invoice.to_string() == text.to_ascii_lowercase() {
        true => Ok(invoice),
        false => Err(Fault::NotCanonical),
    }
}

/// Checks the invoices in a `bitcoin:` URI (BIP 321, parameter `lightning`).
///
/// # Errors
/// The [`Fault`] of the first one.
pub fn check_uri(uri: &str) -> Result<(), Fault> {
    let parameters = uri.split_once('?').map_or("", |(_, parameters)| parameters);
    for parameter in parameters.split('&') {
        let Some((key, value)) = parameter.split_once('=') else { continue };
        let is_invoice =
            key.eq_ignore_ascii_case("lightning") || key.eq_ignore_ascii_case("req-lightning");
        // What is percent-encoded is no canonical invoice either.
        if is_invoice && !value.to_ascii_lowercase().starts_with("lno") {
            read(value)?;
        }
    }
    Ok(())
}

/// Invoices for the tests of every reader.
#[cfg(test)]
pub(crate) mod samples {
    use bitcoin::bech32::Fe32;
    use bitcoin::bech32::primitives::decode::CheckedHrpstring;
    use bitcoin::bech32::primitives::hrp::Hrp;
    use bitcoin::bech32::primitives::iter::Fe32IterExt as _;
    use bitcoin::hashes::{Hash as _, sha256};
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning_invoice::{Bolt11Bech32, Currency, InvoiceBuilder, PaymentSecret};

    /// An invoice of regtest.
    pub(crate) fn signed(amount_msat: Option<u64>) -> String {
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

    /// The data of an invoice under another human-readable part, with a valid checksum.
    pub(crate) fn under(hrp: &str, invoice: &str) -> String {
        let parsed = CheckedHrpstring::new::<Bolt11Bech32>(invoice).expect("sound");
        let data: Vec<Fe32> = parsed.fe32_iter::<std::vec::IntoIter<u8>>().collect();
        let hrp = Hrp::parse(hrp).expect("sound");
        data.into_iter().with_checksum::<Bolt11Bech32>(&hrp).chars().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{signed, under};
    use super::*;

    #[test]
    fn amounts_that_do_not_fit_and_other_encodings_are_refused() {
        let sound = signed(None);
        for (hrp, part) in [
            ("lnbcrt18446744073709551615", "more than all bitcoin"),
            ("lnbcrt21000001", "more than all bitcoin"),
            ("lnbcrt18446744073709551616", "not a BOLT 11 invoice"),
            // Signed as `lnbcrt1m`, whatever was signed.
            ("lnbcrt01m", "other bytes were signed"),
        ] {
            let text = under(hrp, &sound);
            let why = read(&text).expect_err(hrp).to_string();
            let uri = format!("bitcoin:?lightning={text}");
            assert_eq!(check_uri(&uri).expect_err(hrp).to_string(), why);
            assert!(why.contains(part), "{hrp}: {why}");
        }
        assert!(read(&under("lnbcrt1m", &sound)).is_ok(), "well encoded, of another signer");
    }

    #[test]
    fn a_uri_with_sound_invoices_or_none_passes() {
        let sound = signed(Some(1_500_000));
        for uri in [
            "bitcoin:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".to_owned(),
            format!("bitcoin:?lightning={sound}"),
            format!("BITCOIN:?AMOUNT=1&LIGHTNING={}", sound.to_ascii_uppercase()),
            "bitcoin:?lightning=lno1pgx2qttyypzhsf".to_owned(),
        ] {
            assert_eq!(check_uri(&uri), Ok(()), "{uri}");
        }
    }
}
