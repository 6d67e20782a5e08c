//! Invoices and what came for them.

use std::str::FromStr as _;

use bitcoin::hashes::Hash as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::invoice::InvoiceState;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, RouteHint};

use super::channel::signed;
use super::features::features;
use crate::invoices::{InvoiceKind, InvoiceRecord, InvoiceState as Stored};

/// What is known of an invoice beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Indices {
    /// Its position among all invoices; 0 where that is not looked up.
    pub add: u64,
    /// The journal's number of its settlement; 0 where that is not looked up.
    pub settle: u64,
    /// The height of the chain now; the record has no height of the arrival, and clients need one.
    pub height: u32,
}

/// Writes an invoice at a time in seconds since 1970.
pub fn invoice(record: InvoiceRecord, now: u64, indices: Indices) -> lnrpc::Invoice {
    let state = state(&record, now);
    let decoded = record.bolt11.as_deref().and_then(|text| Bolt11Invoice::from_str(text).ok());
    let amount_msat = record.amount_msat.unwrap_or(0);
    let hints: Vec<_> = decoded.iter().flat_map(Bolt11Invoice::route_hints).collect();
    lnrpc::Invoice {
        htlcs: htlcs(&record, state, indices.height),
        // Only what the payer has as well: a reader of an open invoice could take its money on the way.
        r_preimage: record.receipt().map(Vec::from).unwrap_or_default(),
        r_hash: record.payment_hash.to_vec(),
        value: signed(amount_msat / 1_000),
        value_msat: signed(amount_msat),
        settled: state == InvoiceState::Settled,
        creation_date: signed(record.created_at),
        settle_date: signed(record.settled_at.unwrap_or(0)),
        expiry: signed(record.expires_at.saturating_sub(record.created_at)),
        memo: record.description.unwrap_or_default(),
        payment_request: record.bolt11.unwrap_or_default(),
        description_hash: record.description_hash.map(Vec::from).unwrap_or_default(),
        cltv_expiry: decoded.as_ref().map_or(0, Bolt11Invoice::min_final_cltv_expiry_delta),
        private: !hints.is_empty(),
        route_hints: hints.iter().map(route_hint).collect(),
        add_index: indices.add,
        settle_index: indices.settle,
        amt_paid: signed(record.received_msat),
        amt_paid_sat: signed(record.received_msat / 1_000),
        amt_paid_msat: signed(record.received_msat),
        state: state.into(),
        features: decoded.as_ref().map(features_of).unwrap_or_default(),
        is_keysend: record.kind == InvoiceKind::Keysend,
        payment_addr: decoded
            .map(|invoice| invoice.payment_secret().0.to_vec())
            .unwrap_or_default(),
        ..Default::default()
    }
}

/// Writes what an invoice says.
pub fn decoded(invoice: &Bolt11Invoice) -> lnrpc::PayReq {
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (text.to_string(), String::new()),
        Bolt11InvoiceDescriptionRef::Hash(hash) => (String::new(), hash.0.to_string()),
    };
    let amount_msat = invoice.amount_milli_satoshis().unwrap_or(0);
    let fallback = invoice.fallback_addresses().first().map(ToString::to_string);
    lnrpc::PayReq {
        destination: invoice.get_payee_pub_key().to_string(),
        payment_hash: invoice.payment_hash().to_string(),
        num_satoshis: signed(amount_msat / 1_000),
        timestamp: signed(invoice.duration_since_epoch().as_secs()),
        expiry: signed(invoice.expiry_time().as_secs()),
        description,
        description_hash,
        fallback_addr: fallback.unwrap_or_default(),
        cltv_expiry: signed(invoice.min_final_cltv_expiry_delta()),
        route_hints: invoice.route_hints().iter().map(route_hint).collect(),
        payment_addr: invoice.payment_secret().0.to_vec(),
        num_msat: signed(amount_msat),
        features: features_of(invoice),
        ..Default::default()
    }
}

/// The payment hash of an invoice.
pub fn payment_hash(invoice: &Bolt11Invoice) -> [u8; 32] {
    invoice.payment_hash().to_byte_array()
}

fn features_of(invoice: &Bolt11Invoice) -> std::collections::HashMap<u32, lnrpc::Feature> {
    invoice.features().map(|found| features(found.le_flags())).unwrap_or_default()
}

/// lnd cancels what has expired, and has no word for what is being claimed.
fn state(record: &InvoiceRecord, now: u64) -> InvoiceState {
    match record.state(now) {
        Stored::Open => InvoiceState::Open,
        Stored::Claiming if record.kind != InvoiceKind::Hold => InvoiceState::Open,
        Stored::Accepted | Stored::Claiming => InvoiceState::Accepted,
        Stored::Settled => InvoiceState::Settled,
        Stored::Cancelled | Stored::Expired => InvoiceState::Canceled,
    }
}

/// What came, in one piece: the record keeps the sum, and in how many parts it came.
fn htlcs(record: &InvoiceRecord, state: InvoiceState, height: u32) -> Vec<lnrpc::InvoiceHtlc> {
    let htlc_state = match state {
        InvoiceState::Settled => lnrpc::InvoiceHtlcState::Settled,
        InvoiceState::Accepted => lnrpc::InvoiceHtlcState::Accepted,
        InvoiceState::Open | InvoiceState::Canceled => return Vec::new(),
    };
    let came_at = record.accepted_at.or(record.settled_at).unwrap_or(0);
    let custom = record.custom_records.iter().map(|it| (it.kind, it.value.clone()));
    vec![lnrpc::InvoiceHtlc {
        amt_msat: record.received_msat,
        accept_height: i32::try_from(height).unwrap_or(i32::MAX),
        expiry_height: i32::try_from(record.claim_deadline_height.unwrap_or(height))
            .unwrap_or(i32::MAX),
        accept_time: signed(came_at),
        resolve_time: signed(record.settled_at.unwrap_or(0)),
        state: htlc_state.into(),
        custom_records: custom.collect(),
        mpp_total_amt_msat: record.received_msat,
        ..Default::default()
    }]
}

fn route_hint(hint: &RouteHint) -> lnrpc::RouteHint {
    let hops = hint.0.iter().map(|hop| lnrpc::HopHint {
        node_id: hop.src_node_id.to_string(),
        chan_id: hop.short_channel_id,
        fee_base_msat: hop.fees.base_msat,
        fee_proportional_millionths: hop.fees.proportional_millionths,
        cltv_expiry_delta: hop.cltv_expiry_delta.into(),
    });
    lnrpc::RouteHint { hop_hints: hops.collect() }
}
