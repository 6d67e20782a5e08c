//! The `Payments` service.

use fulmen_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::{convert::fields as convert, rebalance, view::route as routes};
use crate::api::status::{internal, malformed, refuse, unknown};
use crate::api::stream::{Answers, Steps, stream};
use crate::invoices::Invoices;
use crate::payments::{
    AskedLimits, Error, Following, Hop, Inquiry, Keysend, Kind, Part, PartEnd, Pay, PaymentRecord,
    Payments, State,
};
use crate::storage;

/// A longer text cannot be an invoice that is worth reading.
const MAX_BOLT11_BYTES: usize = 7_089;
/// What custom records may weigh in all: an onion has room for 1,300 bytes.
const MAX_CUSTOM_BYTES: usize = 1_300;

/// Serves `fulmen.v1.Payments`.
#[derive(Clone)]
pub struct PaymentsService {
    /// The room behind it.
    pub payments: Payments,
    /// Makes the invoices that we pay ourselves.
    pub invoices: Invoices,
    /// Cancelled when calls are to end.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::payments_server::Payments for PaymentsService {
    type PayStream = Answers<v1::Payment>;
    type KeysendStream = Answers<v1::Payment>;
    type ProbeStream = Answers<v1::ProbeUpdate>;
    type RebalanceStream = Answers<v1::RebalanceUpdate>;

    async fn pay(
        &self,
        request: Request<v1::PayRequest>,
    ) -> Result<Response<Self::PayStream>, Status> {
        let request = request.into_inner();
        let pay = Pay {
            bolt11: bolt11("bolt11", request.bolt11)?,
            amount_msat: convert::optional_amount_msat("amount_msat", request.amount_msat)?,
            limits: limits(request.limits),
            constraints: routes::constraints(request.constraints)?,
            idempotency_key: convert::idempotency_key(request.idempotency_key)?,
            label: convert::label(request.label)?,
        };
        let following = self.payments.pay(pay).await.map_err(|error| refusal("bolt11", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn keysend(
        &self,
        request: Request<v1::KeysendRequest>,
    ) -> Result<Response<Self::KeysendStream>, Status> {
        let request = request.into_inner();
        let custom_records = request.custom_records.into_iter();
        let custom_records: Vec<(u64, Vec<u8>)> =
            custom_records.map(|record| (record.r#type, record.value)).collect();
        if custom_records.iter().map(|(_, value)| value.len() + 9).sum::<usize>() > MAX_CUSTOM_BYTES
        {
            return Err(malformed("custom_records", "do not fit into an onion"));
        }
        let keysend = Keysend {
            node_id: convert::node_id("node_id", &request.node_id)?,
            amount_msat: convert::optional_amount_msat("amount_msat", request.amount_msat)?
                .ok_or_else(|| malformed("amount_msat", "must be more than 0"))?,
            limits: limits(request.limits),
            constraints: routes::constraints(request.constraints)?,
            custom_records,
            idempotency_key: convert::idempotency_key(request.idempotency_key)?,
            label: convert::label(request.label)?,
        };
        let following =
            self.payments.keysend(keysend).await.map_err(|error| refusal("node_id", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn rebalance(
        &self,
        request: Request<v1::RebalanceRequest>,
    ) -> Result<Response<Self::RebalanceStream>, Status> {
        let request = request.into_inner();
        let told = rebalance::rebalance(&self.payments, &self.invoices, request).await?;
        Ok(Response::new(stream(told, self.stopping.clone())))
    }

    async fn probe(
        &self,
        request: Request<v1::ProbeRequest>,
    ) -> Result<Response<Self::ProbeStream>, Status> {
        let request = request.into_inner();
        let (argument, payee) = routes::payee(request.to)?;
        let inquiry = Inquiry {
            payee,
            amount_msat: convert::optional_amount_msat("amount_msat", request.amount_msat)?,
            payer: None,
            limits: limits(request.limits),
            constraints: routes::constraints(request.constraints)?,
        };
        let probing = self.payments.probe(inquiry, request.max_attempts);
        let probing = probing.map_err(|error| refusal(argument, error))?;
        Ok(Response::new(stream(probing, self.stopping.clone())))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelPaymentRequest>,
    ) -> Result<Response<v1::CancelPaymentResponse>, Status> {
        let payment_id = convert::bytes32("payment_id", &request.into_inner().payment_id)?;
        let record = self.payments.cancel(payment_id).await;
        let record = record.map_err(|error| refusal("payment_id", error))?;
        Ok(Response::new(v1::CancelPaymentResponse { payment: Some(payment(record)) }))
    }

    async fn get(
        &self,
        request: Request<v1::GetPaymentRequest>,
    ) -> Result<Response<v1::GetPaymentResponse>, Status> {
        use v1::get_payment_request::By;
        let record = match request.into_inner().by {
            None => return Err(malformed("payment_id", "it or a payment_hash is needed")),
            Some(By::PaymentId(id)) => self
                .payments
                .get(&convert::bytes32("payment_id", &id)?)
                .map_err(|error| refusal("payment_id", error))?,
            Some(By::PaymentHash(hash)) => self
                .payments
                .get_by_hash(&convert::payment_hash("payment_hash", &hash)?.0)
                .map_err(|error| refusal("payment_hash", error))?,
        };
        Ok(Response::new(v1::GetPaymentResponse { payment: Some(payment(record)) }))
    }

    async fn list(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        use v1::payment::State as Wire;
        let request = request.into_inner();
        let state = match Wire::try_from(request.state) {
            Ok(Wire::Unspecified) => None,
            Ok(Wire::Pending) => Some(State::Pending),
            Ok(Wire::Succeeded) => Some(State::Succeeded),
            Ok(Wire::Failed) => Some(State::Failed),
            Err(_) => return Err(malformed("state", "is not a state of a payment")),
        };
        let page = convert::page(request.page)?;
        let page = self.payments.page(&page.token, page.limit, state);
        let page = page.map_err(|error| refusal("page_token", error))?;
        Ok(Response::new(v1::ListPaymentsResponse {
            payments: page.items.into_iter().map(|(_, record)| payment(record)).collect(),
            next_page_token: page.next_token,
        }))
    }
}

impl Steps for Following {
    type Item = v1::Payment;

    async fn next(&mut self) -> Result<Option<v1::Payment>, Status> {
        match Following::next(self).await {
            Ok(record) => Ok(record.map(payment)),
            Err(error) => Err(internal(&error)),
        }
    }
}

/// Bounds the length of an invoice before anything reads it.
pub(super) fn bolt11(argument: &'static str, text: String) -> Result<String, Status> {
    match text.len() {
        0 => Err(malformed(argument, "an invoice is needed")),
        1..=MAX_BOLT11_BYTES => Ok(text),
        length => Err(malformed(
            argument,
            format!("has {length} bytes, at most {MAX_BOLT11_BYTES} are taken"),
        )),
    }
}

pub(super) fn limits(limits: Option<v1::PaymentLimits>) -> AskedLimits {
    let limits = limits.unwrap_or_default();
    AskedLimits {
        max_fee_msat: limits.max_fee_msat,
        timeout_secs: limits.timeout_secs,
        max_parts: limits.max_parts,
        max_total_cltv_delta: limits.max_total_cltv_delta,
    }
}

/// The status of a refusal; `argument` is what named the payment or the payee.
pub(super) fn refusal(argument: &'static str, error: Error) -> Status {
    let words = error.to_string();
    let named = format!("{argument}: {words}");
    match error {
        Error::NotAnInvoice(_) | Error::ToSelf => malformed(argument, words),
        Error::OtherNetwork { .. } => refuse(Code::InvalidArgument, "OTHER_NETWORK", named),
        Error::AmountMissing
        | Error::AmountTooSmall { .. }
        | Error::AmountTooLarge { .. }
        | Error::AmountAbsurd(_) => malformed("amount_msat", words),
        Error::BadLimit(limit, why) => malformed(limit, why),
        Error::BadConstraint(argument, why) => malformed(argument, why),
        Error::NotOurChannel(..) => unknown("CHANNEL_UNKNOWN", words),
        Error::UnknownNode(..) => unknown("NODE_UNKNOWN", words),
        Error::NoWay(why) => routes::no_way(&why),
        Error::BadCustomRecord => malformed("custom_records", words),
        Error::KeyReused => refuse(
            Code::InvalidArgument,
            "IDEMPOTENCY_KEY_REUSED",
            format!("idempotency_key: {words}"),
        ),
        Error::Expired { .. } => refuse(Code::FailedPrecondition, "INVOICE_EXPIRED", named),
        Error::Unpayable(_) => refuse(Code::FailedPrecondition, "INVOICE_UNPAYABLE", named),
        Error::AlreadyPaid => refuse(Code::AlreadyExists, "ALREADY_PAID", named),
        Error::UnderWay => refuse(Code::AlreadyExists, "PAYMENT_UNDER_WAY", named),
        Error::NoUsableChannel => refuse(Code::FailedPrecondition, "NO_USABLE_CHANNEL", words),
        Error::TooLittleMoney { .. } => refuse(
            Code::FailedPrecondition,
            "INSUFFICIENT_BALANCE",
            format!("amount_msat: {words}"),
        ),
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

pub(super) fn payment(record: PaymentRecord) -> v1::Payment {
    use v1::payment;
    let finished_at_ms = record.finished_at_ms;
    v1::Payment {
        payment_id: record.payment_id.to_vec(),
        payment_hash: record.payment_hash.to_vec(),
        state: state(record.state).into(),
        kind: match record.kind {
            Kind::Bolt11 => payment::Kind::Bolt11,
            Kind::Keysend => payment::Kind::Keysend,
            Kind::Rebalance => payment::Kind::Rebalance,
            Kind::Unknown => payment::Kind::Unspecified,
        }
        .into(),
        payee: record.payee.map(|payee| payee.serialize().to_vec()).unwrap_or_default(),
        amount_msat: record.amount_msat,
        fee_msat: record.fee_msat.unwrap_or(0),
        preimage: record.preimage.map(Vec::from).unwrap_or_default(),
        failure_reason: record.failure.map(|reason| reason.word().to_owned()).unwrap_or_default(),
        created_at: record.created_at_ms / 1_000,
        finished_at: finished_at_ms.unwrap_or(0) / 1_000,
        bolt11: record.bolt11.unwrap_or_default(),
        description: record.description.unwrap_or_default(),
        label: record.label.unwrap_or_default(),
        parts: record.parts.into_iter().map(part).collect(),
        cancelling: record.cancelling,
        duration_ms: finished_at_ms.map_or(0, |end| end.saturating_sub(record.created_at_ms)),
        no_route_cause: record.no_way.as_ref().map_or("", |why| why.cause.word()).to_owned(),
        no_route_words: record.no_way.map(|why| why.words).unwrap_or_default(),
        constraints: record.constraints.map(routes::wire),
    }
}

fn state(state: State) -> v1::payment::State {
    match state {
        State::Pending => v1::payment::State::Pending,
        State::Succeeded => v1::payment::State::Succeeded,
        State::Failed => v1::payment::State::Failed,
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
    v1::PaymentPart {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::NotReady;

    #[test]
    fn refusals_have_the_code_of_their_kind_and_name_the_argument() {
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
            let status = refusal("bolt11", error.clone());
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().starts_with(begins), "{}", status.message());
        }
    }
}
