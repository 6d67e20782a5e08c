//! What is kept of a payment, and where.

use bitcoin::secp256k1::PublicKey;
use lightning::{impl_writeable_tlv_based, impl_writeable_tlv_based_enum};

use crate::idempotency::KeyTable;
use crate::listing::{Ask, ChannelNames, Listed};
use crate::node::planner::{Constraints, NoRouteReason};
use crate::storage::{History, Table, record};

/// Payments by id, newest first.
pub const PAYMENTS: History<PaymentRecord> = History::new("payments");
/// Those that have not ended; found at a start without reading the history.
pub const PENDING: Table<PaymentRef> = Table::new("payments_pending");
/// The newest attempt at a payment hash.
pub const BY_HASH: Table<PaymentRef> = Table::new("payments_by_hash");
/// What was asked for under an idempotency key.
pub const BY_KEY: KeyTable<22> = KeyTable::new("payments_by_key");

/// The most parts that are kept of one payment; the oldest failed ones go first.
pub const MAX_KEPT_PARTS: usize = 40;

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// Recorded; nothing is known to be lost or won yet.
    Pending,
    /// The recipient gave the preimage.
    Succeeded,
    /// No part of it is under way, and none will be.
    Failed,
}
impl_writeable_tlv_based_enum!(PaymentState, (1, Pending) => {}, (2, Succeeded) => {}, (3, Failed) => {},);

impl PaymentState {
    /// Tells whether nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            PaymentState::Pending => false,
            PaymentState::Succeeded | PaymentState::Failed => true,
        }
    }
}

/// What was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentKind {
    /// An invoice.
    Bolt11,
    /// A node, without an invoice.
    Keysend,
    /// Not known: the store had no record of the payment when LDK's event came.
    Unknown,
    /// An invoice of our own, from one of our channels to another.
    Rebalance,
    /// An offer.
    Bolt12,
    /// A refund that we gave.
    Refund,
}
impl_writeable_tlv_based_enum!(PaymentKind,
    (1, Bolt11) => {},
    (2, Keysend) => {},
    (3, Unknown) => {},
    (4, Rebalance) => {},
    (5, Bolt12) => {},
    (6, Refund) => {},
);

/// Why a payment failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// No route that keeps the limits, or none that has not failed already.
    RouteNotFound,
    /// Attempts failed until the time was up.
    RetriesExhausted,
    /// The recipient does not take it: unknown, expired, cancelled or paid there.
    RecipientRejected,
    /// The invoice expired.
    PaymentExpired,
    /// The user cancelled it.
    Cancelled,
    /// The daemon stopped between recording and sending it: nothing was sent.
    NotSentBeforeRestart,
    /// Its time was up while it waited for others to finish: nothing was sent.
    TooManyInFlight,
    /// The data for the recipient does not fit into an onion.
    OnionTooLarge,
    /// The recipient asks for a feature that we do not know.
    UnknownRequiredFeatures,
    /// LDK gave a reason that is not one of ours, or none.
    Unexpected,
    /// No invoice came for the offer in time, or nobody redeemed the refund.
    InvoiceRequestExpired,
    /// The payee of the offer answered with an error instead of an invoice.
    InvoiceRequestRejected,
    /// No connected peer could lead the payee's answer back to us.
    NoReplyPath,
    /// The invoice that came asks for another amount, or uses the hash of another payment.
    InvoiceUnacceptable,
}
impl_writeable_tlv_based_enum!(FailureReason,
    (1, RouteNotFound) => {},
    (2, RetriesExhausted) => {},
    (3, RecipientRejected) => {},
    (4, PaymentExpired) => {},
    (5, Cancelled) => {},
    (6, NotSentBeforeRestart) => {},
    (7, TooManyInFlight) => {},
    (8, OnionTooLarge) => {},
    (9, UnknownRequiredFeatures) => {},
    (10, Unexpected) => {},
    (11, InvoiceRequestExpired) => {},
    (12, InvoiceRequestRejected) => {},
    (13, NoReplyPath) => {},
    (14, InvoiceUnacceptable) => {},
);

impl FailureReason {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            FailureReason::RouteNotFound => "route_not_found",
            FailureReason::RetriesExhausted => "retries_exhausted",
            FailureReason::RecipientRejected => "recipient_rejected",
            FailureReason::PaymentExpired => "payment_expired",
            FailureReason::Cancelled => "cancelled",
            FailureReason::NotSentBeforeRestart => "not_sent_before_restart",
            FailureReason::TooManyInFlight => "too_many_in_flight",
            FailureReason::OnionTooLarge => "onion_too_large",
            FailureReason::UnknownRequiredFeatures => "unknown_required_features",
            FailureReason::Unexpected => "unexpected_error",
            FailureReason::InvoiceRequestExpired => "no_invoice_in_time",
            FailureReason::InvoiceRequestRejected => "invoice_refused",
            FailureReason::NoReplyPath => "no_reply_path",
            FailureReason::InvoiceUnacceptable => "invoice_unacceptable",
        }
    }
}

/// One node on the way and the channel that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The node.
    pub node_id: PublicKey,
    /// The channel that leads to it; at the ends this may be an alias.
    pub short_channel_id: u64,
    /// What it gets for forwarding to the next one; 0 at the last one.
    pub fee_msat: u64,
    /// The blocks it adds; at the last one what the recipient asked for.
    pub cltv_expiry_delta: u32,
}
impl_writeable_tlv_based!(Hop, {
    (0, node_id, required),
    (2, short_channel_id, required),
    (4, fee_msat, required),
    (6, cltv_expiry_delta, required),
});

/// How one part ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartEnd {
    /// It arrived and was claimed.
    Succeeded,
    /// It came back.
    Failed {
        /// The channel that is held responsible.
        short_channel_id: Option<u64>,
        /// What happened, in words.
        why: String,
    },
}
impl_writeable_tlv_based_enum!(PartEnd,
    (1, Succeeded) => {},
    (2, Failed) => { (1, short_channel_id, option), (2, why, required) },
);

/// One part of a payment, after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How it ended.
    pub end: PartEnd,
    /// What the recipient got or was to get by it.
    pub amount_msat: u64,
    /// What the nodes on the way got or were to get.
    pub fee_msat: u64,
    /// The way.
    pub hops: Vec<Hop>,
    /// When its route was found, in milliseconds since 1970; not known across a restart.
    pub began_at_ms: Option<u64>,
    /// When its end was told, in milliseconds since 1970.
    pub ended_at_ms: Option<u64>,
    /// How long each hop says it held the HTLC, in milliseconds, as far as they say so (attribution data, BOLT 4);
    /// rounded down to tenths of a second, and empty where all come to 0.
    pub hold_times_ms: Vec<u32>,
}
impl_writeable_tlv_based!(Part, {
    (0, end, required),
    (1, began_at_ms, option),
    (2, amount_msat, required),
    (3, ended_at_ms, option),
    (4, fee_msat, required),
    (5, hold_times_ms, optional_vec),
    (6, hops, required_vec),
});

impl Part {
    /// Whether both tell of the same attempt: LDK tells the end of a part again after a kill, and does not name parts.
    pub fn is_same_attempt(&self, other: &Part) -> bool {
        let same_time = match (self.began_at_ms, other.began_at_ms) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        same_time
            && self.end == other.end
            && self.amount_msat == other.amount_msat
            && self.fee_msat == other.fee_msat
            && self.hops == other.hops
    }
}

/// All that is kept of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRecord {
    /// What LDK knows it by. The first attempt at an invoice has the invoice's payment hash for id, so
    /// that even LDK alone would refuse to send it twice.
    pub payment_id: [u8; 32],
    /// What the HTLCs are locked to.
    pub payment_hash: [u8; 32],
    /// How far it has come.
    pub state: PaymentState,
    /// What was paid.
    pub kind: PaymentKind,
    /// The recipient; not known if the record was made from LDK's event alone.
    pub payee: Option<PublicKey>,
    /// What the recipient gets.
    pub amount_msat: u64,
    /// What the nodes on the way got; known once it succeeded.
    pub fee_msat: Option<u64>,
    /// The receipt.
    pub preimage: Option<[u8; 32]>,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Milliseconds since 1970.
    pub created_at_ms: u64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<u64>,
    /// The invoice.
    pub bolt11: Option<String>,
    /// The invoice's description.
    pub description: Option<String>,
    /// The payer's own words.
    pub label: Option<String>,
    /// Cancelled by the user while parts may still be under way.
    pub cancelling: bool,
    /// The parts that have ended, bounded by `MAX_KEPT_PARTS`.
    pub parts: Vec<Part>,
    /// Why there was no route, where that is why it failed.
    pub no_route_reason: Option<NoRouteReason>,
    /// Which ways it may go, where it may not go all.
    pub constraints: Option<Constraints>,
    /// The caller's key, which goes when the record goes.
    pub idempotency_key: Option<String>,
    /// The offer that is paid, or the refund that is given.
    pub offer: Option<String>,
    /// The note that the payee of the offer reads (BOLT 12, `invreq_payer_note`).
    pub payer_note: Option<String>,
    /// How many items of the offer.
    pub quantity: Option<u64>,
    /// The BOLT 12 invoice, as the payee signed it; until it comes, the payment's id stands for its hash.
    pub bolt12_invoice: Option<Vec<u8>>,
}
impl_writeable_tlv_based!(PaymentRecord, {
    (0, payment_id, required),
    (1, payee, option),
    (2, payment_hash, required),
    (3, fee_msat, option),
    (4, state, required),
    (5, preimage, option),
    (6, kind, required),
    (7, failure, option),
    (8, amount_msat, required),
    (9, finished_at_ms, option),
    (10, created_at_ms, required),
    (11, bolt11, option),
    (13, description, option),
    (15, label, option),
    (17, cancelling, (default_value, false)),
    (19, parts, required_vec),
    (21, no_route_reason, option),
    (23, constraints, option),
    (25, idempotency_key, option),
    (27, offer, option),
    (29, payer_note, option),
    (31, quantity, option),
    (33, bolt12_invoice, option),
});

impl PaymentRecord {
    /// A payment of which no more is known yet.
    pub fn begun(
        payment_id: [u8; 32],
        payment_hash: [u8; 32],
        kind: PaymentKind,
        now_ms: u64,
    ) -> Self {
        Self {
            payment_id,
            payment_hash,
            state: PaymentState::Pending,
            kind,
            payee: None,
            amount_msat: 0,
            fee_msat: None,
            preimage: None,
            failure: None,
            created_at_ms: now_ms,
            finished_at_ms: None,
            bolt11: None,
            description: None,
            label: None,
            cancelling: false,
            parts: Vec::new(),
            no_route_reason: None,
            constraints: None,
            idempotency_key: None,
            offer: None,
            payer_note: None,
            quantity: None,
            bolt12_invoice: None,
        }
    }
}
record!(PaymentRecord, kind = 20, version = 1);

impl PaymentRecord {
    /// What arrived by the parts that are known.
    pub fn arrived_msat(&self) -> u64 {
        let arrived = self.parts.iter().filter(|part| part.end == PartEnd::Succeeded);
        arrived.fold(0, |sum, part| sum.saturating_add(part.amount_msat))
    }
}

impl Listed for PaymentRecord {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Node, Ask::Channel, Ask::Words];

    fn at(&self) -> u64 {
        self.created_at_ms / 1_000
    }

    fn amount_msat(&self) -> u64 {
        self.amount_msat
    }

    fn is_of_node(&self, node_id: &PublicKey) -> bool {
        let mut hops = self.parts.iter().flat_map(|part| &part.hops);
        self.payee.as_ref() == Some(node_id) || hops.any(|hop| hop.node_id == *node_id)
    }

    fn is_of_channel(&self, channel: &ChannelNames) -> bool {
        let mut hops = self.parts.iter().flat_map(|part| &part.hops);
        hops.any(|hop| channel.short_ids.contains(&hop.short_channel_id))
    }

    fn texts(&self) -> Vec<&str> {
        [&self.label, &self.description, &self.payer_note]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }
}

/// The id of a payment, in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentRef {
    /// The payment.
    pub payment_id: [u8; 32],
}
impl_writeable_tlv_based!(PaymentRef, { (0, payment_id, required) });
record!(PaymentRef, kind = 21, version = 1);

/// Bytes for a log line.
pub fn hex(bytes: &[u8; 32]) -> String {
    bitcoin::hex::DisplayHex::to_lower_hex_string(bytes)
}

#[cfg(test)]
pub mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What release 0.1 writes; never to be edited, only joined by what later versions write.
    const VERSION_1: &str = "fd01a200200101010101010101010101010101010101010101010101010101010101010101012102eec7245d\
        6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f28368661902200202020202020202020202020202\
        0202020202020202020202020202020202020308000000000000000104020200052003030303030303030303\
        030303030303030303030303030303030303030303030602020007020500080800000000000001f409080000\
        0000000000050a0800000000000000040b0700056c6e6263310d07000562726561640f060004686f6d651101\
        0113c66c001602140108000000000000000702080006636c6f736564020800000000000001f4040800000000\
        00000001063e3d002102eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f2836866190208\
        0000000000000007040800000000000000010604000000485800020100020800000000000001f40408000000\
        0000000001063e3d002102eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f28368661902\
        08000000000000000704080000000000000001060400000048";

    pub(crate) fn whole() -> PaymentRecord {
        let node_id = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let node_id: PublicKey = node_id.parse().expect("it is a point");
        let hop = Hop { node_id, short_channel_id: 7, fee_msat: 1, cltv_expiry_delta: 72 };
        let failed = PartEnd::Failed { short_channel_id: Some(7), why: "closed".to_owned() };
        let part = |end| Part {
            end,
            amount_msat: 500,
            fee_msat: 1,
            hops: vec![hop.clone()],
            began_at_ms: None,
            ended_at_ms: None,
            hold_times_ms: Vec::new(),
        };
        PaymentRecord {
            payment_id: [1; 32],
            payment_hash: [2; 32],
            state: PaymentState::Succeeded,
            kind: PaymentKind::Keysend,
            payee: Some(node_id),
            amount_msat: 500,
            fee_msat: Some(1),
            preimage: Some([3; 32]),
            failure: Some(FailureReason::Cancelled),
            created_at_ms: 4,
            finished_at_ms: Some(5),
            bolt11: Some("lnbc1".to_owned()),
            description: Some("bread".to_owned()),
            label: Some("home".to_owned()),
            cancelling: true,
            parts: vec![part(failed), part(PartEnd::Succeeded)],
            no_route_reason: None,
            constraints: None,
            idempotency_key: None,
            offer: None,
            payer_note: None,
            quantity: None,
            bolt12_invoice: None,
        }
    }

    #[test]
    fn what_was_stored_stays_readable() {
        assert_eq!(Record::encode(&whole()).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(PaymentRecord::decode(1, &stored), Ok(whole()));
    }

    #[test]
    fn what_came_later_is_read_back() {
        let why = NoRouteReason {
            cause: crate::node::planner::Cause::FeeLimit,
            words: "dear".to_owned(),
        };
        let constraints = Constraints { out_through: vec![7], ..Constraints::default() };
        let mut parts = whole().parts;
        parts[0].began_at_ms = Some(5);
        parts[0].ended_at_ms = Some(900);
        parts[0].hold_times_ms = vec![300, 100, 0];
        let record = PaymentRecord {
            parts,
            kind: PaymentKind::Rebalance,
            no_route_reason: Some(why),
            constraints: Some(constraints),
            idempotency_key: Some("rent".to_owned()),
            ..whole()
        };
        assert_eq!(PaymentRecord::decode(1, &Record::encode(&record)), Ok(record));
    }
}
