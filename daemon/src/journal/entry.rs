//! Journal entries: one variant for each thing that happened, as in `events.proto`.

use bitcoin::secp256k1::PublicKey;
use bitcoin::{OutPoint, Txid};
use lightning::impl_writeable_tlv_based_enum;

/// Something that happened to the node's money or channels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Entry {
    PaymentStarted {
        payment_id: [u8; 32],
        payment_hash: [u8; 32],
        amount_msat: u64,
    },
    PaymentFinished {
        payment_id: [u8; 32],
        payment_hash: [u8; 32],
        /// The preimage came back, rather than all its money.
        succeeded: bool,
        amount_msat: u64,
        fee_msat: u64,
        /// Empty for a payment that succeeded.
        failure_reason: String,
    },
    InvoiceCreated {
        payment_hash: [u8; 32],
        /// None where the payer chooses.
        amount_msat: Option<u64>,
    },
    InvoiceSettled {
        payment_hash: [u8; 32],
        received_msat: u64,
        kind: ReceiptKind,
    },
    InvoiceAccepted {
        payment_hash: [u8; 32],
        /// What is held.
        received_msat: u64,
        /// Block height from which the HTLCs are failed back.
        claim_deadline_height: u32,
    },
    InvoiceCancelled {
        payment_hash: [u8; 32],
        /// A stable word: `by_user`, `deadline`, `htlcs_failed`.
        reason: String,
    },
    ForwardSettled {
        /// The record's id in the forwards' history.
        forward_id: Vec<u8>,
    },
    ForwardFailed {
        inbound_channel_id: [u8; 32],
        outbound_short_channel_id: Option<u64>,
        reason: String,
    },
    ChannelOpening {
        channel_id: [u8; 32],
        node_id: PublicKey,
        funding: OutPoint,
        capacity_sat: u64,
        outbound: bool,
    },
    ChannelReady {
        channel_id: [u8; 32],
        node_id: PublicKey,
    },
    ChannelClosed {
        channel_id: [u8; 32],
        node_id: Option<PublicKey>,
        kind: String,
        reason: String,
    },
    OutputSwept {
        channel_id: Option<[u8; 32]>,
        txid: Txid,
        amount_sat: u64,
    },
    WalletSent {
        txid: Txid,
        amount_sat: u64,
        fee_sat: u64,
    },
    WalletReceived {
        txid: Txid,
        amount_sat: u64,
    },
    MirrorFailed {
        /// What happened, with its directory.
        why: String,
    },
    MirrorCaughtUp {
        /// Rows that it lacked or had otherwise.
        rows: u64,
    },
}

/// What was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// A BOLT 11 invoice.
    Bolt11,
    /// An invoice for one of our offers.
    Bolt12,
    /// A payment that nobody asked for.
    Keysend,
    /// Our own money, from one of our channels to another.
    Rebalance,
    /// A BOLT 11 invoice whose payment was held until the user settled it.
    Hold,
}

impl_writeable_tlv_based_enum!(ReceiptKind,
    (0, Bolt11) => {},
    (1, Bolt12) => {},
    (2, Keysend) => {},
    (3, Rebalance) => {},
    (4, Hold) => {},
);

impl_writeable_tlv_based_enum!(Entry,
    (0, PaymentStarted) => {
        (0, payment_id, required), (2, payment_hash, required), (4, amount_msat, required),
    },
    (1, PaymentFinished) => {
        (0, payment_id, required), (2, payment_hash, required), (4, succeeded, required),
        (6, amount_msat, required), (8, fee_msat, required), (10, failure_reason, required),
    },
    (2, InvoiceCreated) => { (0, payment_hash, required), (1, amount_msat, option), },
    (3, InvoiceSettled) => {
        (0, payment_hash, required), (2, received_msat, required), (4, kind, required),
    },
    (4, ForwardSettled) => { (0, forward_id, required_vec), },
    (5, ForwardFailed) => {
        (0, inbound_channel_id, required), (1, outbound_short_channel_id, option),
        (2, reason, required),
    },
    (6, ChannelOpening) => {
        (0, channel_id, required), (2, node_id, required), (4, funding, required),
        (6, capacity_sat, required), (8, outbound, required),
    },
    (7, ChannelReady) => { (0, channel_id, required), (2, node_id, required), },
    (8, ChannelClosed) => {
        (0, channel_id, required), (1, node_id, option), (2, kind, required), (4, reason, required),
    },
    (9, OutputSwept) => { (0, txid, required), (1, channel_id, option), (2, amount_sat, required), },
    (10, WalletSent) => { (0, txid, required), (2, amount_sat, required), (4, fee_sat, required), },
    (11, WalletReceived) => { (0, txid, required), (2, amount_sat, required), },
    (12, MirrorFailed) => { (0, why, required), },
    (13, MirrorCaughtUp) => { (0, rows, required), },
    (14, InvoiceAccepted) => {
        (0, payment_hash, required), (2, received_msat, required),
        (4, claim_deadline_height, required),
    },
    (15, InvoiceCancelled) => { (0, payment_hash, required), (2, reason, required), },
);
