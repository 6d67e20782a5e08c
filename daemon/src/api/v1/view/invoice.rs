//! Invoices on the wire.

use fulmen_proto::v1;

use crate::invoices::{InvoiceKind, InvoiceRecord, InvoiceState};

/// Writes an invoice or a received keysend.
pub fn invoice(record: InvoiceRecord, now: u64) -> v1::Invoice {
    use v1::invoice;
    let preimage = record.receipt().map(Vec::from).unwrap_or_default();
    let state = record.state(now);
    let (offer_id, payer_id, payer_note, quantity) = match record.request {
        None => (Vec::new(), Vec::new(), String::new(), 0),
        Some(request) => (
            request.offer_id.to_vec(),
            request.payer_id.serialize().to_vec(),
            request.payer_note.unwrap_or_default(),
            request.quantity.unwrap_or(0),
        ),
    };
    v1::Invoice {
        payment_hash: record.payment_hash.to_vec(),
        state: match state {
            InvoiceState::Open => invoice::State::Open,
            InvoiceState::Accepted => invoice::State::Accepted,
            InvoiceState::Claiming => invoice::State::Claiming,
            InvoiceState::Settled => invoice::State::Settled,
            InvoiceState::Cancelled => invoice::State::Cancelled,
            InvoiceState::Expired => invoice::State::Expired,
        }
        .into(),
        kind: kind(record.kind).into(),
        bolt11: record.bolt11.unwrap_or_default(),
        amount_msat: record.amount_msat.unwrap_or(0),
        received_msat: record.received_msat,
        description: record.description.unwrap_or_default(),
        description_hash: record.description_hash.map(Vec::from).unwrap_or_default(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        settled_at: record.settled_at.unwrap_or(0),
        preimage,
        custom_records: record
            .custom_records
            .into_iter()
            .map(|custom| v1::CustomRecord { r#type: custom.kind, value: custom.value })
            .collect(),
        parts: record.parts,
        claim_deadline_height: record.claim_deadline_height.unwrap_or(0),
        accepted_at: record.accepted_at.unwrap_or(0),
        cancel_reason: record
            .cancel_reason
            .map(|reason| reason.word().to_ascii_uppercase())
            .unwrap_or_default(),
        offer_id,
        payer_id,
        payer_note,
        quantity,
    }
}

fn kind(kind: InvoiceKind) -> v1::invoice::Kind {
    match kind {
        InvoiceKind::Bolt11 => v1::invoice::Kind::Bolt11,
        InvoiceKind::Keysend => v1::invoice::Kind::Keysend,
        InvoiceKind::Rebalance => v1::invoice::Kind::Rebalance,
        InvoiceKind::Hold => v1::invoice::Kind::Hold,
        InvoiceKind::Bolt12 => v1::invoice::Kind::Bolt12,
    }
}
