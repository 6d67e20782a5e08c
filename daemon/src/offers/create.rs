//! What may be offered: the pure checks of a request.

use super::Error;
use crate::idempotency;

const MAX_MONEY_MSAT: u64 = 21_000_000 * 100_000_000 * 1_000;
/// A longer text makes a QR code that no camera reads.
const MAX_TEXT_BYTES: usize = 639;

/// An offer to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateOffer {
    /// What one item costs; none lets the payer choose.
    pub amount_msat: Option<u64>,
    /// What it is for; empty says nothing, which BOLT 12 allows only without an amount.
    pub description: String,
    /// Who offers it, in words; empty says nothing.
    pub issuer: String,
    /// How many items one payment may be for: none for one, 0 for any number.
    pub max_quantity: Option<u64>,
    /// Seconds from now; 0 for no expiry.
    pub expiry_secs: u64,
    /// The same key again returns the first offer.
    pub idempotency_key: Option<String>,
}

impl CreateOffer {
    /// Names the request, so that another one under the same key is noticed.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        idempotency::fingerprint([
            &self.amount_msat.unwrap_or(0).to_be_bytes()[..],
            &self.max_quantity.map_or([0xff; 8], u64::to_be_bytes),
            &self.expiry_secs.to_be_bytes(),
            &(self.description.len() as u64).to_be_bytes(),
            self.description.as_bytes(),
            self.issuer.as_bytes(),
        ])
    }

    /// Checks the request by itself.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |argument, why: &str| Err(Error::Bad { argument, why: why.to_owned() });
        let items = self.max_quantity.unwrap_or(1).max(1);
        match self.amount_msat {
            Some(0) => return bad("amount_msat", "must be more than 0"),
            Some(msat) if msat.checked_mul(items).is_none_or(|all| all > MAX_MONEY_MSAT) => {
                return bad("amount_msat", "is not an amount that can be paid");
            }
            Some(_) if self.description.is_empty() => {
                return bad("description", "is needed where an amount is given (BOLT 12)");
            }
            Some(_) | None => (),
        }
        for (argument, text) in [("description", &self.description), ("issuer", &self.issuer)] {
            if text.len() > MAX_TEXT_BYTES {
                let why = format!("has {} bytes, at most {MAX_TEXT_BYTES} are taken", text.len());
                return Err(Error::Bad { argument, why });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_request() -> CreateOffer {
        CreateOffer {
            amount_msat: Some(1_000),
            description: "bread".to_owned(),
            ..CreateOffer::default()
        }
    }

    #[test]
    fn absurd_requests_are_refused_by_the_argument() {
        for (request, expected) in [
            (a_request(), None),
            (CreateOffer::default(), None),
            (CreateOffer { amount_msat: Some(0), ..a_request() }, Some("amount_msat")),
            (CreateOffer { amount_msat: Some(u64::MAX), ..a_request() }, Some("amount_msat")),
            (CreateOffer { max_quantity: Some(u64::MAX), ..a_request() }, Some("amount_msat")),
            (CreateOffer { max_quantity: Some(0), ..a_request() }, None),
            (CreateOffer { description: String::new(), ..a_request() }, Some("description")),
            (CreateOffer { issuer: "x".repeat(640), ..a_request() }, Some("issuer")),
        ] {
            let refused = match request.check() {
                Ok(()) => None,
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
            CreateOffer { amount_msat: None, ..a_request() },
            CreateOffer { max_quantity: Some(0), ..a_request() },
            CreateOffer { max_quantity: Some(1), ..a_request() },
            CreateOffer { expiry_secs: 1, ..a_request() },
            CreateOffer { description: "brea".to_owned(), issuer: "d".to_owned(), ..a_request() },
        ] {
            assert_ne!(other.fingerprint(), first, "{other:?}");
        }
    }
}
