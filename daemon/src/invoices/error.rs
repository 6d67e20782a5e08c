//! Why an invoice cannot be made, shown or cancelled.

use super::record::InvoiceState;
use crate::admission::NotReady;
use crate::storage;

/// Why something cannot be done with invoices.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An argument makes no sense.
    #[error("{argument}: {why}")]
    Bad {
        /// Its name.
        argument: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The text is not an invoice.
    #[error("this is not a BOLT 11 invoice: {0}")]
    NotAnInvoice(String),
    /// An invoice with the preimage's hash exists.
    #[error("an invoice with this payment hash exists already")]
    HashTaken,
    /// The key stands for another request.
    #[error("this key was used for another invoice")]
    KeyReused,
    /// The node takes on nothing new: a payment of the invoice would be refused.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// No such invoice.
    #[error("no such invoice")]
    Unknown,
    /// It cannot be cancelled any more.
    #[error("this invoice {}", match .0 {
        InvoiceState::Open => "is open",
        InvoiceState::Accepted => "is accepted",
        InvoiceState::Claiming => "is being paid",
        InvoiceState::Settled => "has been paid",
        InvoiceState::Cancelled => "was cancelled",
        InvoiceState::Expired => "has expired",
    })]
    TooLate(InvoiceState),
    /// It is not a hold invoice: its payments are claimed as they arrive.
    #[error("this is not a hold invoice: it is settled as soon as it is paid")]
    NotHeld,
    /// Nothing has arrived that could be settled.
    #[error("no payment for this hold invoice has been accepted yet")]
    NotAccepted,
    /// The HTLCs are about to be failed back, or were: a claim may lose against their expiry.
    #[error("the claim deadline of this hold invoice, block {0}, is reached")]
    DeadlineReached(u32),
    /// The preimage belongs to another hash.
    #[error("this preimage does not fit the payment hash")]
    WrongPreimage,
    /// LDK could not make it.
    #[error("the invoice could not be made: {0}")]
    NotMade(String),
    /// The store refused.
    #[error("invoices cannot be stored or read")]
    Store(#[from] storage::Error),
}
