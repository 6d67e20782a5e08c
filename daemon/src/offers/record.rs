//! What is kept of an offer.

use lightning::impl_writeable_tlv_based;

use crate::idempotency::KeyTable;
use crate::listing::{Ask, Listed};
use crate::storage::{History, record};

/// Offers by id, newest first.
pub(super) const OFFERS: History<OfferRecord> = History::new("offers");
/// What was asked for under an idempotency key.
pub(super) const BY_KEY: KeyTable<81> = KeyTable::new("offers_by_key");

/// All that is kept of an offer; what came in for it is kept with the invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferRecord {
    /// The hash of its bytes (LDK's `OfferId`).
    pub offer_id: [u8; 32],
    /// The text to pay (BOLT 12, `lno…`).
    pub offer: String,
    /// What one item costs; none lets the payer choose.
    pub amount_msat: Option<u64>,
    /// What it is for; empty for nothing said.
    pub description: String,
    /// Who offers it, in words.
    pub issuer: Option<String>,
    /// How many items one payment may be for: none for one, 0 for any number.
    pub max_quantity: Option<u64>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; none for never.
    pub expires_at: Option<u64>,
    /// Requests for invoices are refused.
    pub disabled: bool,
}
impl_writeable_tlv_based!(OfferRecord, {
    (0, offer_id, required),
    (1, amount_msat, option),
    (2, offer, required),
    (3, issuer, option),
    (4, description, required),
    (5, max_quantity, option),
    (6, created_at, required),
    (7, expires_at, option),
    (8, disabled, required),
});
record!(OfferRecord, kind = 80, version = 1);

impl Listed for OfferRecord {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Words];

    fn at(&self) -> u64 {
        self.created_at
    }

    fn amount_msat(&self) -> u64 {
        self.amount_msat.unwrap_or(0)
    }

    fn texts(&self) -> Vec<&str> {
        [Some(self.description.as_str()), self.issuer.as_deref()].into_iter().flatten().collect()
    }
}

impl OfferRecord {
    /// Whether it has expired at a time in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| now > at)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What release 0.2 writes; never to be edited.
    const VERSION_1: &str = "6a002001010101010101010101010101010101010101010101010101010101010101010108000000000000\
        0005020900076c6e6f31707170030700056672616e6b040700056272656164050800000000000000030608\
        000000000000000407080000000000000009080101";

    fn whole() -> OfferRecord {
        OfferRecord {
            offer_id: [1; 32],
            offer: "lno1pqp".to_owned(),
            amount_msat: Some(5),
            description: "bread".to_owned(),
            issuer: Some("frank".to_owned()),
            max_quantity: Some(3),
            created_at: 4,
            expires_at: Some(9),
            disabled: true,
        }
    }

    #[test]
    fn what_was_stored_stays_readable() {
        assert_eq!(Record::encode(&whole()).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(OfferRecord::decode(1, &stored), Ok(whole()));
    }
}
