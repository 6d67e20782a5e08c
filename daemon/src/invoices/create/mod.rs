//! What may be asked for in an invoice: the pure checks of a request.

mod bolt11;

use bitcoin::hashes::{Hash as _, sha256};
use lightning::ln::channelmanager::{Bolt11InvoiceParameters, MIN_FINAL_CLTV_EXPIRY_DELTA};
use lightning::types::payment::PaymentHash;
use lightning_invoice::{Bolt11InvoiceDescription, Description, Sha256};

pub(super) use bolt11::complete;
pub use bolt11::{Extras, Hints, MAX_HINTS};

use super::{Config, Error};
use crate::idempotency;

/// BOLT 11 counts in tenths of a millisatoshi, and LDK in 64 bits: 18.4 million bitcoin.
const MAX_INVOICE_MSAT: u64 = u64::MAX / 10;
const MAX_EXPIRY_SECS: u32 = 366 * 24 * 3_600;
const MAX_FINAL_CLTV_DELTA: u32 = 2_016;
/// LDK adds three blocks to what it is asked for.
const MIN_FINAL_CLTV_DELTA: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32 - 3;

/// What an invoice is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Describe {
    /// In words, at most 639 bytes.
    Text(String),
    /// The SHA-256 of longer words.
    Hash([u8; 32]),
}

/// An invoice to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateInvoice {
    /// None lets the payer choose.
    pub amount_msat: Option<u64>,
    /// What it is for.
    pub describe: Describe,
    /// 0 for the configured one.
    pub expiry_secs: u32,
    /// None for a random one.
    pub preimage: Option<[u8; 32]>,
    /// Makes a hold invoice: payments for this hash are held until the user settles or cancels it.
    pub hold_hash: Option<[u8; 32]>,
    /// 0 for LDK's.
    pub min_final_cltv_expiry_delta: u32,
    /// The same key again returns the first invoice.
    pub idempotency_key: Option<String>,
    /// What it says besides.
    pub extras: Extras,
}

impl CreateInvoice {
    /// Names the request, so that another one under the same key is noticed.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let described = match &self.describe {
            Describe::Text(text) => text.as_bytes(),
            Describe::Hash(hash) => hash,
        };
        // Requests without a hash to hold for keep the fingerprint that older releases stored.
        let hold_hash = self.hold_hash.as_ref().map_or(&[][..], |hash| &hash[..]);
        let extras = self.extras.fingerprint();
        idempotency::fingerprint([
            &self.amount_msat.unwrap_or(0).to_be_bytes()[..],
            &self.expiry_secs.to_be_bytes(),
            &self.min_final_cltv_expiry_delta.to_be_bytes(),
            &self.preimage.unwrap_or_default(),
            hold_hash,
            described,
            &extras,
        ])
    }

    /// Checks the request and says it in LDK's words.
    pub(super) fn parameters(&self, config: &Config) -> Result<Bolt11InvoiceParameters, Error> {
        self.extras.check()?;
        let bad = |argument, why| Err(Error::Bad { argument, why });
        if self.amount_msat.is_some_and(|msat| msat == 0 || msat > MAX_INVOICE_MSAT) {
            return bad("amount_msat", "is not an amount that an invoice can ask for".to_owned());
        }
        let description = match &self.describe {
            Describe::Text(text) => match Description::new(text.clone()) {
                Ok(description) => Bolt11InvoiceDescription::Direct(description),
                Err(error) => return bad("description", error.to_string()),
            },
            Describe::Hash(hash) => {
                Bolt11InvoiceDescription::Hash(Sha256(sha256::Hash::from_byte_array(*hash)))
            }
        };
        let expiry_secs = match self.expiry_secs {
            0 => config.expiry_secs,
            secs if secs > MAX_EXPIRY_SECS => {
                return bad(
                    "expiry_secs",
                    format!("{secs} is more than {MAX_EXPIRY_SECS}, a year"),
                );
            }
            secs => secs,
        };
        if self.hold_hash.is_some() && self.preimage.is_some() {
            return bad("payment_hash", "cannot be given together with a preimage".to_owned());
        }
        let delta = match self.min_final_cltv_expiry_delta {
            0 => self.hold_hash.map(|_| config.hold_final_cltv_expiry_delta),
            delta @ MIN_FINAL_CLTV_DELTA..=MAX_FINAL_CLTV_DELTA => {
                Some(u16::try_from(delta).expect("at most 2016"))
            }
            delta => {
                let range = format!("{MIN_FINAL_CLTV_DELTA} to {MAX_FINAL_CLTV_DELTA}");
                return bad("min_final_cltv_expiry_delta", format!("{delta} is not in {range}"));
            }
        };
        let hash_of = |preimage: [u8; 32]| sha256::Hash::hash(&preimage).to_byte_array();
        let payment_hash = self.hold_hash.or(self.preimage.map(hash_of)).map(PaymentHash);
        Ok(Bolt11InvoiceParameters {
            amount_msats: self.amount_msat,
            description,
            invoice_expiry_delta_secs: Some(expiry_secs),
            min_final_cltv_expiry_delta: delta,
            payment_hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_request() -> CreateInvoice {
        CreateInvoice {
            amount_msat: Some(1_000),
            describe: Describe::Text("bread".to_owned()),
            expiry_secs: 0,
            preimage: None,
            hold_hash: None,
            min_final_cltv_expiry_delta: 0,
            idempotency_key: None,
            extras: Extras::default(),
        }
    }

    #[test]
    fn absurd_requests_are_refused_by_the_argument() {
        let long = Describe::Text("x".repeat(640));
        for (request, expected) in [
            (a_request(), None),
            (CreateInvoice { amount_msat: None, ..a_request() }, None),
            (CreateInvoice { amount_msat: Some(0), ..a_request() }, Some("amount_msat")),
            (CreateInvoice { amount_msat: Some(u64::MAX), ..a_request() }, Some("amount_msat")),
            // 21 million bitcoin.
            (
                CreateInvoice { amount_msat: Some(2_100_000_000_000_000_000), ..a_request() },
                Some("amount_msat"),
            ),
            (CreateInvoice { amount_msat: Some(u64::MAX / 10), ..a_request() }, None),
            (CreateInvoice { describe: long, ..a_request() }, Some("description")),
            (CreateInvoice { describe: Describe::Hash([7; 32]), ..a_request() }, None),
            (CreateInvoice { expiry_secs: u32::MAX, ..a_request() }, Some("expiry_secs")),
            (CreateInvoice { hold_hash: Some([1; 32]), ..a_request() }, None),
            (
                CreateInvoice { hold_hash: Some([1; 32]), preimage: Some([2; 32]), ..a_request() },
                Some("payment_hash"),
            ),
            (CreateInvoice { min_final_cltv_expiry_delta: 39, ..a_request() }, None),
            (
                CreateInvoice { min_final_cltv_expiry_delta: 38, ..a_request() },
                Some("min_final_cltv_expiry_delta"),
            ),
            (
                CreateInvoice { min_final_cltv_expiry_delta: 2_017, ..a_request() },
                Some("min_final_cltv_expiry_delta"),
            ),
        ] {
            let refused = match request.parameters(&Config::default()) {
                Ok(_) => None,
                Err(Error::Bad { argument, .. }) => Some(argument),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(refused, expected, "{request:?}");
        }
    }

    #[test]
    fn a_request_that_differs_has_another_fingerprint() {
        let first = a_request().fingerprint();
        for other in [
            CreateInvoice { amount_msat: None, ..a_request() },
            CreateInvoice { describe: Describe::Text("milk".to_owned()), ..a_request() },
            CreateInvoice { expiry_secs: 1, ..a_request() },
            CreateInvoice { preimage: Some([1; 32]), ..a_request() },
            CreateInvoice { hold_hash: Some([1; 32]), ..a_request() },
            CreateInvoice {
                extras: Extras { hints: Hints::Nowhere, ..Extras::default() },
                ..a_request()
            },
        ] {
            assert_ne!(other.fingerprint(), first, "{other:?}");
        }
        let keyed = CreateInvoice { idempotency_key: Some("k".to_owned()), ..a_request() };
        assert_eq!(keyed.fingerprint(), first);
    }
}
