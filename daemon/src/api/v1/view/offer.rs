//! Offers on the wire.

use fulmen_proto::v1;

use crate::offers::OfferRecord;

/// Writes an offer of ours.
pub fn offer(record: OfferRecord, now: u64) -> v1::Offer {
    v1::Offer {
        expired: record.is_expired(now),
        offer_id: record.offer_id.to_vec(),
        offer: record.offer,
        amount_msat: record.amount_msat.unwrap_or(0),
        description: record.description,
        issuer: record.issuer.unwrap_or_default(),
        max_quantity: record.max_quantity.unwrap_or(1),
        created_at: record.created_at,
        expires_at: record.expires_at.unwrap_or(0),
        disabled: record.disabled,
    }
}
