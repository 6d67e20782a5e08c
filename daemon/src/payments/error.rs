//! Why a payment is refused before anything is recorded, or cannot be shown.

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;

use super::named::Fault;
use super::records::record::PaymentState;
use crate::admission::NotReady;
use crate::node::planner::NoRouteReason;
use crate::storage;

/// A short channel id as people write it (BOLT 7).
fn short(scid: u64) -> String {
    format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
}

/// Why something cannot be done with payments.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The text is not an invoice.
    #[error("this is not a BOLT 11 invoice: {0}")]
    NotAnInvoice(String),
    /// The text is not an offer.
    #[error("this is not a BOLT 12 offer: {0}")]
    NotAnOffer(String),
    /// The offer belongs to another network.
    #[error("this offer is not for {0}, on which this node runs")]
    OfferOtherNetwork(Network),
    /// The offer has expired.
    #[error("this offer expired {ago_secs} seconds ago")]
    OfferExpired {
        /// How long ago.
        ago_secs: u64,
    },
    /// No connected peer can lead an answer back to us.
    #[error(
        "no connected peer can lead onion messages to this node: connect to a public node first"
    )]
    NoReplyPath,
    /// The invoice belongs to another network.
    #[error("this invoice is for {invoice}, this node runs on {ours}")]
    OtherNetwork {
        /// The invoice's network.
        invoice: Network,
        /// Ours.
        ours: Network,
    },
    /// The invoice has expired.
    #[error("this invoice expired {ago_secs} seconds ago")]
    Expired {
        /// How long ago.
        ago_secs: u64,
    },
    /// The invoice asks for something that this release does not do.
    #[error("this cannot be paid: {0}")]
    Unpayable(String),
    /// The invoice leaves the amount to the payer, and none was given.
    #[error("the amount is left to the payer: give one")]
    AmountMissing,
    /// Less than the invoice asks for.
    #[error("{given_msat} msat are less than the {asked_msat} msat that are asked for")]
    AmountTooSmall {
        /// The invoice's amount.
        asked_msat: u64,
        /// The payer's amount.
        given_msat: u64,
    },
    /// More than twice what the invoice asks for: BOLT 4 has the recipient refuse it.
    #[error("{given_msat} msat are more than twice the {asked_msat} msat that are asked for")]
    AmountTooLarge {
        /// The invoice's amount.
        asked_msat: u64,
        /// The payer's amount.
        given_msat: u64,
    },
    /// More than all bitcoin, or nothing.
    #[error("{0} msat is not an amount that can be paid")]
    AmountAbsurd(u64),
    /// More than one payment may be here.
    #[error(
        "{amount_msat} msat are more than the {max_msat} msat that one payment may be here \
         (payments.max_amount_sat)"
    )]
    OverBudget {
        /// The payment's amount.
        amount_msat: u64,
        /// The limit.
        max_msat: u64,
    },
    /// The payee is this node.
    #[error("this node itself is the payee")]
    ToSelf,
    /// A bound that makes no sense.
    #[error("{0}: {1}")]
    BadLimit(&'static str, String),
    /// Constraints that contradict themselves.
    #[error("{0}: {1}")]
    BadConstraint(&'static str, String),
    /// A channel that a payment should leave or come back by, and that we do not have.
    #[error("{0}: this node has no channel {short}", short = short(*.1))]
    NotOurChannel(&'static str, u64),
    /// A node that gossip has not announced.
    #[error("{0}: {1} is not in our graph")]
    UnknownNode(&'static str, PublicKey),
    /// There is no way.
    #[error("{}", .0.words)]
    NoRoute(NoRouteReason),
    /// A route that the caller named cannot be taken.
    #[error("{0}")]
    BadRoute(#[from] Fault),
    /// A custom record that must not be sent.
    #[error("custom records must have distinct types of 65536 or more, none of them reserved")]
    BadCustomRecord,
    /// The invoice was paid before.
    #[error("this invoice has been paid already")]
    AlreadyPaid,
    /// A payment of the invoice is under way.
    #[error("a payment of this invoice is under way")]
    UnderWay,
    /// The key stands for another request.
    #[error("this key was used for another payment")]
    KeyReused,
    /// No channel is open and connected.
    #[error("no channel is open and connected")]
    NoUsableChannel,
    /// The channels do not hold enough.
    #[error("the channels can send {available_msat} msat now, {needed_msat} msat are needed")]
    TooLittleMoney {
        /// The amount of the payment.
        needed_msat: u64,
        /// What all channels together can send.
        available_msat: u64,
    },
    /// The channels hold enough, but their peers do not let so much be in flight at one moment.
    #[error(
        "the peers of our channels let {at_once_msat} msat be in flight at one moment, {needed_msat} msat are needed: \
         pay in several payments, or open a channel with another peer"
    )]
    TooMuchInFlight {
        /// The amount of the payment.
        needed_msat: u64,
        /// What may be in flight on all channels together.
        at_once_msat: u64,
    },
    /// The payment cannot be split, and no single channel carries it.
    #[error(
        "no single channel can send more than {largest_msat} msat at one moment, {needed_msat} msat are needed, \
         and this payment cannot be split"
    )]
    TooMuchForOneChannel {
        /// The amount of the payment.
        needed_msat: u64,
        /// What the widest channel can send.
        largest_msat: u64,
    },
    /// Too many payments wait for their turn.
    #[error("{0} payments wait for their turn already")]
    TooManyWaiting(u32),
    /// New payments have to wait.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// No such payment.
    #[error("no such payment")]
    Unknown,
    /// It has ended, so it cannot be cancelled.
    #[error("this payment has ended already: it has {}", match .0 {
        PaymentState::Succeeded => "succeeded",
        PaymentState::Failed => "failed",
        PaymentState::Pending => "not ended",
    })]
    Ended(PaymentState),
    /// The store refused.
    #[error("payments cannot be stored or read")]
    Store(#[from] storage::Error),
}
