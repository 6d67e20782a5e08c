//! The text of an invoice in a request, distinguished from other texts that ask for money.

use tonic::Status;

use crate::api::status::malformed;
use crate::bolt11 as invoice_text;

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
    let text = &text[bare..];
    match invoice_text::read(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt11::samples;

    #[test]
    fn an_invoice_is_taken_in_either_case_and_from_a_link() {
        for text in [
            samples::signed(None),
            samples::signed(Some(1_500_000)),
            samples::signed(Some(1)).to_ascii_uppercase(),
        ] {
            assert_eq!(read(&text), Ok(text.clone()));
            assert_eq!(read(&format!(" lightning:{text}\n")), Ok(text));
        }
    }

    #[test]
    fn a_fault_of_the_encoding_is_named() {
        let text = samples::under("lnbcrt01m", &samples::signed(None));
        let why = read(&text).expect_err("not minimal");
        assert!(why.contains("other bytes were signed"), "{why}");
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
