//! Payments.

use bitcoin::hex::DisplayHex as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::failure::FailureCode;
use fulmen_lnd_proto::lnrpc::htlc_attempt::HtlcStatus;
use fulmen_lnd_proto::lnrpc::payment::PaymentStatus;
use lnrpc::PaymentFailureReason as Reason;

use super::channel::signed;
use super::route;
use crate::node::planner::Cause;
use crate::payments::{self, FailureReason, Part, PartEnd, PaymentRecord, PaymentState};

/// The preimage of a payment that has none yet: clients decode 32 bytes in any case.
const NO_PREIMAGE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Writes a payment; `index` is its position, 0 where that is not looked up.
pub fn payment(record: &PaymentRecord, index: u64) -> lnrpc::Payment {
    let fee_msat = record.fee_msat.unwrap_or(0);
    lnrpc::Payment {
        payment_hash: record.payment_hash.to_lower_hex_string(),
        value: signed(record.amount_msat / 1_000),
        value_sat: signed(record.amount_msat / 1_000),
        value_msat: signed(record.amount_msat),
        fee: signed(fee_msat / 1_000),
        fee_sat: signed(fee_msat / 1_000),
        fee_msat: signed(fee_msat),
        creation_date: signed(record.created_at_ms / 1_000),
        creation_time_ns: nanos(record.created_at_ms),
        payment_preimage: match record.preimage {
            Some(preimage) => preimage.to_lower_hex_string(),
            None => NO_PREIMAGE.to_owned(),
        },
        payment_request: record.bolt11.clone().unwrap_or_default(),
        status: match record.state {
            PaymentState::Pending => PaymentStatus::InFlight,
            PaymentState::Succeeded => PaymentStatus::Succeeded,
            PaymentState::Failed => PaymentStatus::Failed,
        }
        .into(),
        failure_reason: failure(record).into(),
        payment_index: index,
        htlcs: attempts(record),
        ..Default::default()
    }
}

/// Writes a payment that was refused before it was recorded, as lnd does: it has failed.
pub fn refused(
    payment_hash: [u8; 32],
    bolt11: &str,
    amount_msat: u64,
    now: u64,
    reason: Reason,
) -> lnrpc::Payment {
    lnrpc::Payment {
        payment_hash: payment_hash.to_lower_hex_string(),
        value_sat: signed(amount_msat / 1_000),
        value_msat: signed(amount_msat),
        creation_date: signed(now),
        creation_time_ns: nanos(now.saturating_mul(1_000)),
        payment_preimage: NO_PREIMAGE.to_owned(),
        payment_request: bolt11.to_owned(),
        status: PaymentStatus::Failed.into(),
        failure_reason: reason.into(),
        ..Default::default()
    }
}

/// Returns why a payment fails for lnd that our room refuses; none where lnd refuses the call as well.
pub fn refused_because(error: &payments::Error) -> Option<Reason> {
    use payments::Error;
    match error {
        Error::NoUsableChannel
        | Error::TooLittleMoney { .. }
        | Error::TooMuchInFlight { .. }
        | Error::TooMuchForOneChannel { .. } => Some(Reason::FailureReasonInsufficientBalance),
        Error::NoRoute(why) => Some(no_route(why.cause)),
        _ => None,
    }
}

/// The text of `SendResponse.payment_error`.
pub fn error_text(reason: Reason) -> &'static str {
    match reason {
        Reason::FailureReasonNone => "",
        Reason::FailureReasonTimeout => "timeout",
        Reason::FailureReasonNoRoute => "no_route",
        Reason::FailureReasonError => "error",
        Reason::FailureReasonIncorrectPaymentDetails => "incorrect_payment_details",
        Reason::FailureReasonInsufficientBalance => "insufficient_balance",
        Reason::FailureReasonCanceled => "canceled",
    }
}

fn no_route(cause: Cause) -> Reason {
    match cause {
        Cause::OwnBalance | Cause::NoOwnChannel => Reason::FailureReasonInsufficientBalance,
        Cause::Contradiction
        | Cause::UnknownPayee
        | Cause::PayeeInbound
        | Cause::NoPath
        | Cause::FeeLimit
        | Cause::CltvLimit
        | Cause::Parts
        | Cause::Liquidity
        | Cause::Effort
        | Cause::Unexplained
        | Cause::Broken => Reason::FailureReasonNoRoute,
    }
}

fn failure(record: &PaymentRecord) -> Reason {
    let Some(failure) = record.failure else { return Reason::FailureReasonNone };
    match failure {
        FailureReason::RouteNotFound => record
            .no_route_reason
            .as_ref()
            .map_or(Reason::FailureReasonNoRoute, |why| no_route(why.cause)),
        FailureReason::RetriesExhausted
        | FailureReason::TooManyInFlight
        | FailureReason::InvoiceRequestExpired => Reason::FailureReasonTimeout,
        FailureReason::RecipientRejected => Reason::FailureReasonIncorrectPaymentDetails,
        FailureReason::Cancelled => Reason::FailureReasonCanceled,
        FailureReason::PaymentExpired
        | FailureReason::NotSentBeforeRestart
        | FailureReason::OnionTooLarge
        | FailureReason::UnknownRequiredFeatures
        | FailureReason::Unexpected
        | FailureReason::InvoiceRequestRejected
        | FailureReason::NoReplyPath
        | FailureReason::InvoiceUnacceptable => Reason::FailureReasonError,
    }
}

/// The attempts; a payment that succeeded has one that did, because clients look for its route.
fn attempts(record: &PaymentRecord) -> Vec<lnrpc::HtlcAttempt> {
    let mut attempts: Vec<_> =
        (1..).zip(&record.parts).map(|(id, part)| attempt(record, part, id)).collect();
    let arrived = record.parts.iter().any(|part| part.end == PartEnd::Succeeded);
    if record.state == PaymentState::Succeeded && !arrived {
        let payee = record.payee.map(|payee| payee.to_string()).unwrap_or_default();
        let route = route::direct(payee, record.amount_msat, record.fee_msat.unwrap_or(0));
        let blank = blank(record, attempts.len() as u64 + 1, route);
        attempts.push(succeeded(record, blank));
    }
    attempts
}

fn attempt(record: &PaymentRecord, part: &Part, id: u64) -> lnrpc::HtlcAttempt {
    let (began, ended) = (part.began_at_ms, part.ended_at_ms.or(record.finished_at_ms));
    let blank = lnrpc::HtlcAttempt {
        attempt_time_ns: nanos(began.unwrap_or(record.created_at_ms)),
        resolve_time_ns: nanos(ended.unwrap_or(0)),
        ..blank(record, id, route::taken(part))
    };
    let PartEnd::Failed { short_channel_id, .. } = &part.end else {
        return succeeded(record, blank);
    };
    // A failure's source is the node before the channel; that of the payee has the last place.
    let at = part.hops.iter().position(|hop| Some(hop.short_channel_id) == *short_channel_id);
    let (code, source) = match (record.failure, at) {
        (Some(FailureReason::RecipientRejected), _) => {
            (FailureCode::IncorrectOrUnknownPaymentDetails, part.hops.len())
        }
        (_, Some(at)) => (FailureCode::TemporaryChannelFailure, at),
        (_, None) => (FailureCode::UnknownFailure, 0),
    };
    lnrpc::HtlcAttempt {
        status: HtlcStatus::Failed.into(),
        failure: Some(lnrpc::Failure {
            code: code.into(),
            failure_source_index: u32::try_from(source).unwrap_or(u32::MAX),
            ..Default::default()
        }),
        ..blank
    }
}

fn succeeded(record: &PaymentRecord, blank: lnrpc::HtlcAttempt) -> lnrpc::HtlcAttempt {
    lnrpc::HtlcAttempt {
        status: HtlcStatus::Succeeded.into(),
        preimage: record.preimage.map(Vec::from).unwrap_or_default(),
        ..blank
    }
}

fn blank(record: &PaymentRecord, id: u64, route: lnrpc::Route) -> lnrpc::HtlcAttempt {
    lnrpc::HtlcAttempt {
        attempt_id: id,
        route: Some(route),
        attempt_time_ns: nanos(record.created_at_ms),
        resolve_time_ns: nanos(record.finished_at_ms.unwrap_or(0)),
        ..Default::default()
    }
}

fn nanos(millis: u64) -> i64 {
    signed(millis.saturating_mul(1_000_000))
}
