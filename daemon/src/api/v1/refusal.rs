//! Errors of the rooms as statuses: the one place where a code and a machine reason are chosen.

use tonic::{Code, Status};

use crate::api::status::{internal, malformed, refuse, unknown};
use crate::node::planner::{Cause, NoRouteReason};
use crate::node::run::net::ConnectError;
use crate::usecases::{open, rebalance};
use crate::{channels, invoices, offers, payments, peers, storage, wallet};

/// The status of an error of the room of payments; `argument` names the payment or the payee.
pub fn payments(argument: &'static str, error: payments::Error) -> Status {
    let words = error.to_string();
    let named = format!("{argument}: {words}");
    use payments::Error;
    match error {
        Error::NotAnInvoice(_) | Error::NotAnOffer(_) | Error::ToSelf => malformed(argument, words),
        Error::OtherNetwork { .. } | Error::OfferOtherNetwork(_) => {
            refuse(Code::InvalidArgument, "OTHER_NETWORK", named)
        }
        Error::AmountMissing
        | Error::AmountTooSmall { .. }
        | Error::AmountTooLarge { .. }
        | Error::AmountAbsurd(_) => malformed("amount_msat", words),
        Error::BadLimit(limit, why) => malformed(limit, why),
        Error::BadConstraint(argument, why) => malformed(argument, why),
        Error::NotOurChannel(..) => unknown("CHANNEL_UNKNOWN", words),
        Error::UnknownNode(..) => unknown("NODE_UNKNOWN", words),
        Error::NoRoute(why) => no_route(&why),
        Error::BadRoute(fault) if fault.is_of_request() => malformed("route", words),
        Error::BadRoute(_) => {
            refuse(Code::FailedPrecondition, "ROUTE_UNUSABLE", format!("route: {words}"))
        }
        Error::BadCustomRecord => malformed("custom_records", words),
        Error::KeyReused => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::Expired { .. } => refuse(Code::FailedPrecondition, "INVOICE_EXPIRED", named),
        Error::OfferExpired { .. } => refuse(Code::FailedPrecondition, "OFFER_EXPIRED", named),
        Error::NoReplyPath => refuse(Code::FailedPrecondition, "NO_MESSAGE_PATH", words),
        Error::Unpayable(_) => refuse(Code::FailedPrecondition, "INVOICE_UNPAYABLE", named),
        Error::AlreadyPaid => refuse(Code::AlreadyExists, "ALREADY_PAID", named),
        Error::UnderWay => refuse(Code::AlreadyExists, "PAYMENT_UNDER_WAY", named),
        Error::NoUsableChannel => refuse(Code::FailedPrecondition, "NO_USABLE_CHANNEL", words),
        Error::TooLittleMoney { .. } => refuse(
            Code::FailedPrecondition,
            "INSUFFICIENT_BALANCE",
            format!("amount_msat: {words}"),
        ),
        Error::TooMuchInFlight { .. } | Error::TooMuchForOneChannel { .. } => {
            refuse(Code::FailedPrecondition, "IN_FLIGHT_LIMIT", format!("amount_msat: {words}"))
        }
        Error::OverBudget { .. } => {
            refuse(Code::ResourceExhausted, "AMOUNT_LIMIT", format!("amount_msat: {words}"))
        }
        Error::TooManyWaiting(_) => {
            refuse(Code::ResourceExhausted, "TOO_MANY_PAYMENTS_WAITING", words)
        }
        Error::NotReady(not) => refuse(Code::FailedPrecondition, not.word(), words),
        Error::Unknown => unknown("PAYMENT_NOT_FOUND", named),
        Error::Ended(_) => refuse(Code::FailedPrecondition, "PAYMENT_ENDED", named),
        Error::Store(storage::Error::BadToken) => malformed("page_token", storage::Error::BadToken),
        Error::Store(error) => internal(&error),
    }
}

/// The status of an error of the room of invoices; `argument` names the invoice.
pub fn invoices(argument: &'static str, error: invoices::Error) -> Status {
    let words = error.to_string();
    use invoices::Error;
    match error {
        Error::Bad { argument, why } => malformed(argument, why),
        Error::NotAnInvoice(_) => malformed(argument, words),
        Error::HashTaken => {
            refuse(Code::AlreadyExists, "PAYMENT_HASH_TAKEN", format!("{argument}: {words}"))
        }
        Error::KeyReused => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::NotReady(not) => refuse(Code::FailedPrecondition, not.word(), words),
        Error::Unknown => unknown("INVOICE_NOT_FOUND", format!("{argument}: {words}")),
        Error::TooLate(_) => {
            refuse(Code::FailedPrecondition, "INVOICE_NOT_OPEN", format!("{argument}: {words}"))
        }
        Error::NotHeld => {
            refuse(Code::FailedPrecondition, "NOT_A_HOLD_INVOICE", format!("{argument}: {words}"))
        }
        Error::NotAccepted => {
            refuse(Code::FailedPrecondition, "NOT_ACCEPTED_YET", format!("{argument}: {words}"))
        }
        Error::DeadlineReached(_) => {
            refuse(Code::FailedPrecondition, "DEADLINE_REACHED", format!("{argument}: {words}"))
        }
        Error::WrongPreimage => malformed("preimage", words),
        Error::NotMade(_) => internal(&error),
        Error::Store(storage::Error::BadToken) => malformed("page_token", storage::Error::BadToken),
        Error::Store(error) => internal(&error),
    }
}

/// The status of an error of the room of offers; `argument` names the offer or the refund.
pub fn offers(argument: &'static str, error: offers::Error) -> Status {
    use offers::Error;
    let words = error.to_string();
    let named = format!("{argument}: {words}");
    match error {
        Error::Bad { argument, why } => malformed(argument, why),
        Error::NotARefund(_) => malformed(argument, words),
        Error::KeyReused => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::Unknown => unknown("OFFER_NOT_FOUND", named),
        Error::OtherNetwork(_) => refuse(Code::InvalidArgument, "OTHER_NETWORK", named),
        Error::Expired => refuse(Code::FailedPrecondition, "REFUND_EXPIRED", named),
        Error::Unredeemable(_) => refuse(Code::FailedPrecondition, "REFUND_UNREDEEMABLE", named),
        Error::NoPath => refuse(Code::FailedPrecondition, "NO_MESSAGE_PATH", words),
        Error::NotReady(not) => refuse(Code::FailedPrecondition, not.word(), words),
        Error::NotMade(_) => internal(&error),
        Error::Store(storage::Error::BadToken) => malformed("page_token", storage::Error::BadToken),
        Error::Store(error) => internal(&error),
    }
}

/// The status of an error of the room of channels.
pub fn channels(error: channels::Error) -> Status {
    let words = error.to_string();
    let precondition = |reason| refuse(Code::FailedPrecondition, reason, words.clone());
    use channels::Error;
    match error {
        Error::Argument(argument, why) => malformed(argument, why),
        Error::KeyReused { .. } => {
            refuse(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", words.clone())
        }
        Error::Unknown => unknown("CHANNEL_UNKNOWN", words.clone()),
        Error::AlreadyClosed { .. } => precondition("CHANNEL_CLOSED"),
        Error::NotConnected(_) => precondition("PEER_NOT_CONNECTED"),
        Error::NoAnchors(_) => precondition("PEER_WITHOUT_ANCHORS"),
        Error::NotReady(not) => precondition(not.word()),
        Error::TooManyPending { .. } => {
            refuse(Code::ResourceExhausted, "TOO_MANY_PENDING_CHANNELS", words.clone())
        }
        Error::AddressFixed => precondition("CLOSE_ADDRESS_FIXED"),
        Error::Wallet(error) => funding(error),
        Error::Busy => refuse(Code::Unavailable, "CHANNEL_BUSY", words.clone()),
        Error::Ldk(_) => precondition("CHANNEL_REFUSED"),
        Error::Store(storage::Error::BadToken) => bad_token(),
        Error::Store(error) => internal(&error),
    }
}

fn funding(error: wallet::Error) -> Status {
    let words = error.to_string();
    match error {
        wallet::Error::InsufficientFunds { .. } => {
            refuse(Code::FailedPrecondition, "INSUFFICIENT_FUNDS", words)
        }
        wallet::Error::ReserveUnconfirmed { .. } | wallet::Error::ReserveInOneCoin { .. } => {
            refuse(Code::FailedPrecondition, "ANCHOR_RESERVE", words)
        }
        wallet::Error::Dust { .. } => malformed("capacity_sat", words),
        wallet::Error::Starting => refuse(Code::Unavailable, "STARTING", words),
        other => internal(&other),
    }
}

/// The status of an error of the room of peers.
pub fn peers(error: peers::Error) -> Status {
    let words = error.to_string();
    use peers::Error;
    match error {
        Error::Address(_) => malformed("address", words),
        Error::Ourselves => malformed("node_id", words),
        Error::NoAddress(_) => refuse(Code::FailedPrecondition, "PEER_ADDRESS_UNKNOWN", words),
        // Most likely a slip of the keyboard.
        Error::Unreachable(ConnectError::Resolve { .. }) => malformed("address", words),
        Error::Unreachable(_) => refuse(Code::FailedPrecondition, "PEER_UNREACHABLE", words),
        Error::Unknown(_) => unknown("PEER_UNKNOWN", words),
        Error::HasChannels { .. } => refuse(Code::FailedPrecondition, "PEER_HAS_CHANNELS", words),
        Error::Store(error) => internal(&error),
    }
}

/// The status of an error of the wallet.
pub fn wallet(error: wallet::Error) -> Status {
    let words = error.to_string();
    use wallet::Error;
    match error {
        Error::InsufficientFunds { .. } => {
            refuse(Code::FailedPrecondition, "INSUFFICIENT_FUNDS", words)
        }
        Error::ReserveUnconfirmed { .. } | Error::ReserveInOneCoin { .. } => {
            refuse(Code::FailedPrecondition, "ANCHOR_RESERVE", words)
        }
        Error::Dust { .. } => malformed("amount_sat", words),
        Error::KeyReused(_) => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::Starting => refuse(Code::Unavailable, "STARTING", words),
        Error::Store(storage::Error::BadToken) => malformed("page_token", words),
        Error::OtherSeed(_)
        | Error::Damaged(_)
        | Error::Build(_)
        | Error::Sign(_)
        | Error::Store(_) => internal(&error),
    }
}

/// The status of a list that cannot be read.
pub fn stored_page(error: storage::Error) -> Status {
    match error {
        storage::Error::BadToken => bad_token(),
        error => internal(&error),
    }
}

/// The status of a page token that no page of the list gave out.
pub fn bad_token() -> Status {
    malformed("page_token", storage::Error::BadToken)
}

/// The status of a rebalance that is refused.
pub fn rebalance(error: rebalance::Error) -> Status {
    match error {
        rebalance::Error::Payments(error) => payments("amount_msat", error),
        rebalance::Error::Invoices(error) => invoices("amount_msat", error),
    }
}

/// The status of an open that is refused.
pub fn open(error: open::Error) -> Status {
    match error {
        open::Error::Peers(error) => peers(error),
        open::Error::Channels(error) => channels(error),
    }
}

/// The status of a request that no route fulfils.
pub fn no_route(why: &NoRouteReason) -> Status {
    match why.cause {
        Cause::Contradiction => refuse(Code::InvalidArgument, why.cause.word(), &why.words),
        Cause::UnknownPayee => unknown(why.cause.word(), &why.words),
        Cause::NoOwnChannel
        | Cause::OwnBalance
        | Cause::PayeeInbound
        | Cause::NoPath
        | Cause::FeeLimit
        | Cause::CltvLimit
        | Cause::Parts
        | Cause::Liquidity
        | Cause::Broken
        | Cause::Unexplained => refuse(Code::FailedPrecondition, why.cause.word(), &why.words),
        Cause::Effort => refuse(Code::ResourceExhausted, why.cause.word(), &why.words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::NotReady;

    #[test]
    fn refused_payments_have_the_code_of_their_kind_and_name_the_argument() {
        use crate::payments::Error;
        for (error, code, begins) in [
            (Error::NotAnInvoice("x".to_owned()), Code::InvalidArgument, "bolt11: "),
            (Error::Expired { ago_secs: 3 }, Code::FailedPrecondition, "bolt11: "),
            (Error::AmountMissing, Code::InvalidArgument, "amount_msat: "),
            (Error::AmountAbsurd(0), Code::InvalidArgument, "amount_msat: "),
            (Error::BadLimit("max_parts", "x".to_owned()), Code::InvalidArgument, "max_parts: x"),
            (Error::KeyReused, Code::InvalidArgument, "idempotency_key: "),
            (Error::AlreadyPaid, Code::AlreadyExists, "bolt11: "),
            (Error::UnderWay, Code::AlreadyExists, "bolt11: "),
            (
                Error::TooMuchInFlight { needed_msat: 2, at_once_msat: 1 },
                Code::FailedPrecondition,
                "amount_msat: ",
            ),
            (
                Error::TooLittleMoney { needed_msat: 2, available_msat: 1 },
                Code::FailedPrecondition,
                "amount_msat: ",
            ),
            (Error::TooManyWaiting(7), Code::ResourceExhausted, "7 "),
            (
                Error::NotReady(NotReady::LowSpace("the disk is full".to_owned())),
                Code::FailedPrecondition,
                "the disk is full",
            ),
            (Error::Unknown, Code::NotFound, "bolt11: "),
        ] {
            let status = payments("bolt11", error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().starts_with(begins), "{}", status.message());
        }
    }

    #[test]
    fn refused_invoices_have_the_code_of_their_kind_and_name_the_argument() {
        use crate::invoices::{Error, InvoiceState};
        for (error, code, begins) in [
            (
                Error::Bad { argument: "expiry_secs", why: "x".to_owned() },
                Code::InvalidArgument,
                "expiry_secs: x",
            ),
            (Error::NotAnInvoice("x".to_owned()), Code::InvalidArgument, "bolt11: "),
            (Error::HashTaken, Code::AlreadyExists, "bolt11: "),
            (Error::NotAccepted, Code::FailedPrecondition, "bolt11: "),
            (Error::WrongPreimage, Code::InvalidArgument, "preimage: "),
            (Error::KeyReused, Code::InvalidArgument, "idempotency_key: "),
            (Error::Unknown, Code::NotFound, "bolt11: "),
            (Error::TooLate(InvoiceState::Settled), Code::FailedPrecondition, "bolt11: "),
        ] {
            let status = invoices("bolt11", error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().starts_with(begins), "{}", status.message());
        }
    }

    #[test]
    fn refused_offers_have_the_code_of_their_kind_and_name_the_argument() {
        use crate::offers::Error;
        for (error, code, begins) in [
            (
                Error::Bad { argument: "issuer", why: "x".to_owned() },
                Code::InvalidArgument,
                "issuer: x",
            ),
            (Error::NotARefund("x".to_owned()), Code::InvalidArgument, "refund: "),
            (Error::KeyReused, Code::InvalidArgument, "idempotency_key: "),
            (Error::Unknown, Code::NotFound, "refund: "),
            (Error::Expired, Code::FailedPrecondition, "refund: "),
            (Error::NoPath, Code::FailedPrecondition, "no connected peer"),
        ] {
            let status = offers("refund", error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().starts_with(begins), "{}", status.message());
        }
    }

    #[test]
    fn refusals_of_the_wallet_name_the_argument_or_the_amounts() {
        use crate::wallet::Error;
        let refused = wallet(Error::InsufficientFunds {
            needed_sat: 5,
            spendable_sat: 3,
            reserved_sat: 25_000,
        });
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("5 sat are needed"));
        let dust = wallet(Error::Dust { amount_sat: 1, minimum_sat: 330 });
        assert_eq!(dust.code(), Code::InvalidArgument);
        assert!(dust.message().starts_with("amount_sat: 1 sat is dust"));
        let token = wallet(Error::Store(storage::Error::BadToken));
        assert!(token.message().starts_with("page_token: "));
        assert_eq!(wallet(Error::Starting).code(), Code::Unavailable);
        assert_eq!(wallet(Error::Sign("?".to_owned())).code(), Code::Internal);
    }
}
