//! Errors of the rooms with lnd's codes and texts: clients match them, so they are an interface.
//!
//! lnd answers `UNKNOWN` for nearly everything. Where only this daemon refuses, the text is its own.

use tonic::{Code, Status};

use crate::api::status::internal;
use crate::node::planner::{Cause, NoRouteReason};
use crate::usecases::open;
use crate::{channels, invoices, payments, peers, wallet};

/// A refusal with lnd's usual code.
pub fn refused(words: impl Into<String>) -> Status {
    Status::new(Code::Unknown, words)
}

/// A refusal of something that does not exist.
pub fn not_found(words: impl Into<String>) -> Status {
    Status::new(Code::NotFound, words)
}

/// The status of an error of the room of payments, for what is not a failed payment.
pub fn payments(error: payments::Error) -> Status {
    use payments::Error;
    match error {
        Error::AlreadyPaid => Status::new(Code::AlreadyExists, "invoice is already paid"),
        Error::UnderWay => Status::new(Code::AlreadyExists, "payment is in transition"),
        Error::Unknown => not_found("payment isn't initiated"),
        Error::ToSelf => refused("self-payments not allowed"),
        Error::AmountMissing => {
            refused("amount must be specified when paying a zero amount invoice")
        }
        Error::NoRoute(why) => no_route(&why),
        Error::NotReady(_) => refused("chain backend is still syncing, server not active yet"),
        Error::Store(error) => internal(&error),
        error => refused(error.to_string()),
    }
}

/// The status of a question for a route that there is not.
pub fn no_route(why: &NoRouteReason) -> Status {
    match why.cause {
        Cause::OwnBalance | Cause::NoOwnChannel => refused("insufficient local balance"),
        Cause::UnknownPayee => refused("target not found"),
        Cause::Contradiction
        | Cause::PayeeInbound
        | Cause::NoPath
        | Cause::FeeLimit
        | Cause::CltvLimit
        | Cause::Parts
        | Cause::Liquidity
        | Cause::Effort
        | Cause::Unexplained
        | Cause::Broken => refused("unable to find a path to destination"),
    }
}

/// The status of an error of the room of invoices.
pub fn invoices(error: invoices::Error) -> Status {
    use invoices::{Error, InvoiceState};
    match error {
        Error::Unknown => refused("unable to locate invoice"),
        Error::HashTaken => refused("invoice with payment hash already exists"),
        Error::TooLate(InvoiceState::Settled | InvoiceState::Claiming) => {
            refused("invoice already settled")
        }
        Error::TooLate(InvoiceState::Cancelled | InvoiceState::Expired) => {
            refused("invoice already canceled")
        }
        Error::NotAccepted => refused("invoice still open"),
        Error::NotReady(_) => refused("chain backend is still syncing, server not active yet"),
        Error::Store(error) => internal(&error),
        error => refused(error.to_string()),
    }
}

/// [`invoices()`] for a look-up, where lnd has a code of its own.
pub fn invoice_lookup(error: invoices::Error) -> Status {
    match error {
        invoices::Error::Unknown => not_found("unable to locate invoice"),
        error => invoices(error),
    }
}

/// The status of an error of the room of channels.
pub fn channels(error: channels::Error) -> Status {
    use channels::Error;
    match error {
        Error::Unknown => refused("channel not found"),
        Error::AlreadyClosed { .. } => refused("channel not found, it is closed already"),
        Error::NotConnected(peer) => refused(format!("peer {peer} is not online")),
        Error::TooManyPending { .. } => refused("pending channels exceed maximum"),
        Error::NotReady(_) => {
            refused("channels cannot be created before the wallet is fully synced")
        }
        Error::Wallet(error) => funding(error),
        Error::Store(error) => internal(&error),
        error => refused(error.to_string()),
    }
}

fn funding(error: wallet::Error) -> Status {
    match error {
        wallet::Error::InsufficientFunds { .. } => {
            refused(format!("not enough witness outputs to create funding transaction: {error}"))
        }
        error => wallet(error),
    }
}

/// The status of an open that is refused.
pub fn open(error: open::Error) -> Status {
    match error {
        open::Error::Peers(peers::Error::Ourselves) => refused("cannot open channel to self"),
        open::Error::Peers(error @ (peers::Error::NoAddress(_) | peers::Error::Unreachable(_))) => {
            refused(format!("peer is not online: {error}"))
        }
        open::Error::Peers(error) => peers(error),
        open::Error::Channels(error) => channels(error),
    }
}

/// The status of an error of the room of peers.
pub fn peers(error: peers::Error) -> Status {
    use peers::Error;
    match error {
        Error::Ourselves => refused("cannot make connection to self"),
        Error::Store(error) => internal(&error),
        error => refused(error.to_string()),
    }
}

/// The status of an error of the wallet.
pub fn wallet(error: wallet::Error) -> Status {
    use wallet::Error;
    match error {
        Error::InsufficientFunds { .. } => {
            refused(format!("insufficient funds available to construct transaction: {error}"))
        }
        Error::Store(error) => internal(&error),
        error => refused(error.to_string()),
    }
}
