//! Payments on the wire.

use fulmen_proto::v1;
use lightning::offers::invoice::Bolt12Invoice;

use super::route;
use crate::payments::{Hop, Part, PartEnd, PaymentKind, PaymentRecord, PaymentState};

/// Writes a payment with its parts.
pub fn payment(record: PaymentRecord) -> v1::Payment {
    use v1::payment;
    let finished_at_ms = record.finished_at_ms;
    v1::Payment {
        payment_id: record.payment_id.to_vec(),
        payment_hash: match (record.kind, &record.bolt12_invoice) {
            (PaymentKind::Bolt12 | PaymentKind::Refund, None) => Vec::new(),
            _ => record.payment_hash.to_vec(),
        },
        state: state(record.state).into(),
        kind: match record.kind {
            PaymentKind::Bolt11 => payment::Kind::Bolt11,
            PaymentKind::Keysend => payment::Kind::Keysend,
            PaymentKind::Rebalance => payment::Kind::Rebalance,
            PaymentKind::Bolt12 => payment::Kind::Bolt12,
            PaymentKind::Refund => payment::Kind::Refund,
            PaymentKind::Unknown => payment::Kind::Unspecified,
        }
        .into(),
        payee: record.payee.map(|payee| payee.serialize().to_vec()).unwrap_or_default(),
        amount_msat: record.amount_msat,
        fee_msat: record.fee_msat.unwrap_or(0),
        preimage: record.preimage.map(Vec::from).unwrap_or_default(),
        failure_reason: record
            .failure
            .map(|reason| reason.word().to_ascii_uppercase())
            .unwrap_or_default(),
        created_at: record.created_at_ms / 1_000,
        finished_at: finished_at_ms.unwrap_or(0) / 1_000,
        bolt11: record.bolt11.unwrap_or_default(),
        description: record.description.unwrap_or_default(),
        label: record.label.unwrap_or_default(),
        parts: record.parts.into_iter().map(part).collect(),
        cancelling: record.cancelling,
        duration_ms: finished_at_ms.map_or(0, |end| end.saturating_sub(record.created_at_ms)),
        no_route_cause: record
            .no_route_reason
            .as_ref()
            .map_or("", |why| why.cause.word())
            .to_owned(),
        no_route_words: record.no_route_reason.map(|why| why.words).unwrap_or_default(),
        constraints: record.constraints.map(route::constraints),
        offer: record.offer.unwrap_or_default(),
        payer_note: record.payer_note.unwrap_or_default(),
        quantity: record.quantity.unwrap_or(0),
        payer_id: record.bolt12_invoice.as_deref().map(payer_id).unwrap_or_default(),
        bolt12_invoice: record.bolt12_invoice.unwrap_or_default(),
    }
}

/// The payer's key that an invoice names; empty where the invoice cannot be read any more.
fn payer_id(invoice: &[u8]) -> Vec<u8> {
    let invoice = Bolt12Invoice::try_from(invoice.to_vec());
    invoice.map(|invoice| invoice.payer_signing_pubkey().serialize().to_vec()).unwrap_or_default()
}

fn state(state: PaymentState) -> v1::payment::State {
    match state {
        PaymentState::Pending => v1::payment::State::Pending,
        PaymentState::Succeeded => v1::payment::State::Succeeded,
        PaymentState::Failed => v1::payment::State::Failed,
    }
}

fn part(part: Part) -> v1::PaymentPart {
    use v1::payment_part;
    let (state, failed_short_channel_id, failure) = match part.end {
        PartEnd::Succeeded => (payment_part::State::Succeeded, 0, String::new()),
        PartEnd::Failed { short_channel_id, why } => {
            (payment_part::State::Failed, short_channel_id.unwrap_or(0), why)
        }
    };
    let failed_at_hop = match failed_short_channel_id {
        0 => None,
        scid => part.hops.iter().position(|hop| hop.short_channel_id == scid),
    };
    v1::PaymentPart {
        failed_at_hop: failed_at_hop.map_or(0, |index| u32::try_from(index + 1).unwrap_or(0)),
        began_at_ms: part.began_at_ms.unwrap_or(0),
        ended_at_ms: part.ended_at_ms.unwrap_or(0),
        hold_times_ms: part.hold_times_ms,
        state: state.into(),
        amount_msat: part.amount_msat,
        fee_msat: part.fee_msat,
        hops: part.hops.into_iter().map(hop).collect(),
        failed_short_channel_id,
        failure,
    }
}

fn hop(hop: Hop) -> v1::Hop {
    v1::Hop {
        node_id: hop.node_id.serialize().to_vec(),
        short_channel_id: hop.short_channel_id,
        fee_msat: hop.fee_msat,
        cltv_expiry_delta: hop.cltv_expiry_delta,
    }
}
