//! What arrived, as LDK's events describe it.

use lightning::blinded_path::payment::Bolt12OfferContext;
use lightning::events::PaymentPurpose;
use lightning::ln::channelmanager::{PaymentId, RecipientOnionFields};
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;

use super::record::{CustomRecord, InvoiceKind, OfferRequest};

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What the HTLCs are locked to.
    pub payment_hash: [u8; 32],
    /// How it was asked for, as the HTLCs say.
    pub kind: InvoiceKind,
    /// What can be claimed.
    pub amount_msat: u64,
    /// The preimage, where LDK or the payer made it.
    pub preimage: Option<[u8; 32]>,
    /// Which set of HTLCs this is.
    pub claim_id: Option<[u8; 32]>,
    /// What the payer sent with it.
    pub custom_records: Vec<CustomRecord>,
    /// How many HTLCs it came in.
    pub parts: u32,
    /// Block height from which LDK fails them back.
    pub claim_deadline_height: Option<u32>,
    /// What the payer of an offer put into the request for the invoice.
    pub request: Option<OfferRequest>,
    /// What the payer sent back of the invoice's metadata.
    pub payment_metadata: Option<Vec<u8>>,
    /// The channels by which the HTLCs came.
    pub channels: Vec<[u8; 32]>,
}

/// Reads what LDK's events about a receipt have in common.
pub fn arrival(
    payment_hash: PaymentHash,
    onion_fields: Option<&RecipientOnionFields>,
    amount_msat: u64,
    purpose: &PaymentPurpose,
    payment_id: Option<PaymentId>,
) -> Arrival {
    let kind = match purpose {
        PaymentPurpose::Bolt11InvoicePayment { .. } => InvoiceKind::Bolt11,
        PaymentPurpose::SpontaneousPayment(_) => InvoiceKind::Keysend,
        PaymentPurpose::Bolt12OfferPayment { .. } | PaymentPurpose::Bolt12RefundPayment { .. } => {
            InvoiceKind::Bolt12
        }
    };
    let custom = onion_fields.map(|fields| fields.custom_tlvs().as_slice()).unwrap_or_default();
    Arrival {
        payment_hash: payment_hash.0,
        kind,
        amount_msat,
        preimage: purpose.preimage().map(|preimage| preimage.0),
        claim_id: payment_id.map(|id| id.0),
        custom_records: custom
            .iter()
            .map(|(kind, value)| CustomRecord { kind: *kind, value: value.clone() })
            .collect(),
        parts: 0,
        payment_metadata: onion_fields.and_then(|fields| fields.payment_metadata.clone()),
        channels: Vec::new(),
        claim_deadline_height: None,
        request: match purpose {
            PaymentPurpose::Bolt12OfferPayment { payment_context, .. } => {
                Some(request(payment_context))
            }
            PaymentPurpose::Bolt11InvoicePayment { .. }
            | PaymentPurpose::Bolt12RefundPayment { .. }
            | PaymentPurpose::SpontaneousPayment(_) => None,
        },
    }
}

fn request(context: &Bolt12OfferContext) -> OfferRequest {
    let fields = &context.invoice_request;
    OfferRequest {
        offer_id: context.offer_id.0,
        payer_id: fields.payer_signing_pubkey,
        payer_note: fields.payer_note_truncated.as_ref().map(|note| note.0.clone()),
        quantity: fields.quantity,
    }
}

/// Each channel once, in the order in which they come.
pub fn each_once(channels: impl IntoIterator<Item = ChannelId>) -> Vec<[u8; 32]> {
    let mut ids = Vec::new();
    for ChannelId(id) in channels {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
