//! The `Payments` service.

use fulmen_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::filter::{among, filter};
use super::convert::{self, fields};
use super::{payable, refusal, view};
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::Channels;
use crate::invoices::Invoices;
use crate::payments::{
    Inquiry, Keysend, Pay, PaymentFollower, PaymentRecord, PaymentState, Payments, Probe,
    SendToRoute,
};
use crate::usecases::rebalance::{self, RebalanceUpdate, Rebalancing};

/// Serves `fulmen.v1.Payments`.
#[derive(Clone)]
pub struct PaymentsService {
    /// The room that it serves.
    pub payments: Payments,
    /// Knows the names of channels, by which payments are filtered.
    pub channels: Channels,
    /// Makes the invoices of rebalances.
    pub invoices: Invoices,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::payments_server::Payments for PaymentsService {
    type PayStream = ResponseStream<v1::Payment>;
    type KeysendStream = ResponseStream<v1::Payment>;
    type ProbeStream = ResponseStream<v1::ProbeUpdate>;
    type SendToRouteStream = ResponseStream<v1::Payment>;
    type RebalanceStream = ResponseStream<v1::RebalanceUpdate>;
    type WatchStream = ResponseStream<v1::Payment>;

    async fn pay(
        &self,
        request: Request<v1::PayRequest>,
    ) -> Result<Response<Self::PayStream>, Status> {
        let request = request.into_inner();
        if !request.to.is_empty() {
            if !request.bolt11.is_empty() {
                return Err(malformed("to", "cannot be given together with bolt11"));
            }
            let following = payable::pay(&self.payments, request).await?;
            return Ok(Response::new(stream(following, self.stopping.clone())));
        }
        let pay = Pay {
            bolt11: convert::bolt11::bolt11("bolt11", &request.bolt11)?,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            limits: convert::payment::limits(request.limits),
            constraints: convert::route::constraints(request.constraints)?,
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
            label: fields::label(request.label)?,
        };
        let following =
            self.payments.pay(pay).await.map_err(|error| refusal::payments("bolt11", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn decode(
        &self,
        request: Request<v1::DecodeRequest>,
    ) -> Result<Response<v1::DecodeResponse>, Status> {
        let text = request.into_inner().text;
        Ok(Response::new(payable::decode(&self.payments, &text).await?))
    }

    async fn keysend(
        &self,
        request: Request<v1::KeysendRequest>,
    ) -> Result<Response<Self::KeysendStream>, Status> {
        let request = request.into_inner();
        let custom_records = convert::payment::custom_records(request.custom_records)?;
        let keysend = Keysend {
            node_id: fields::node_id("node_id", &request.node_id)?,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?
                .ok_or_else(|| malformed("amount_msat", "must be more than 0"))?,
            limits: convert::payment::limits(request.limits),
            constraints: convert::route::constraints(request.constraints)?,
            custom_records,
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
            label: fields::label(request.label)?,
        };
        let following = self
            .payments
            .keysend(keysend)
            .await
            .map_err(|error| refusal::payments("node_id", error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn send_to_route(
        &self,
        request: Request<v1::SendToRouteRequest>,
    ) -> Result<Response<Self::SendToRouteStream>, Status> {
        let request = request.into_inner();
        let (argument, to) = convert::route::payee(request.to)?;
        let order = SendToRoute {
            to,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            route: convert::route::given(request.route)?,
            limits: convert::payment::limits(request.limits),
            idempotency_key: fields::idempotency_key(request.idempotency_key)?,
            label: fields::label(request.label)?,
        };
        let following = self.payments.send_to_route(order).await;
        let following = following.map_err(|error| refusal::payments(argument, error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn rebalance(
        &self,
        request: Request<v1::RebalanceRequest>,
    ) -> Result<Response<Self::RebalanceStream>, Status> {
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let request = convert::payment::rebalance(request)?;
        let started = match dry_run {
            true => rebalance::preview(&self.payments, &request),
            false => rebalance::start(&self.payments, &self.invoices, request).await,
        };
        let rebalancing = started.map_err(refusal::rebalance)?;
        Ok(Response::new(stream(rebalancing, self.stopping.clone())))
    }

    async fn probe(
        &self,
        request: Request<v1::ProbeRequest>,
    ) -> Result<Response<Self::ProbeStream>, Status> {
        let request = request.into_inner();
        let (argument, payee) = convert::route::payee(request.to)?;
        let inquiry = Inquiry {
            payee,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            payer: None,
            limits: convert::payment::limits(request.limits),
            constraints: convert::route::constraints(request.constraints)?,
        };
        let probing = self.payments.probe(inquiry, request.max_attempts);
        let probing = probing.map_err(|error| refusal::payments(argument, error))?;
        Ok(Response::new(stream(probing, self.stopping.clone())))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelPaymentRequest>,
    ) -> Result<Response<v1::CancelPaymentResponse>, Status> {
        let payment_id = fields::bytes32("payment_id", &request.into_inner().payment_id)?;
        let record = self.payments.cancel(payment_id).await;
        let record = record.map_err(|error| refusal::payments("payment_id", error))?;
        Ok(Response::new(v1::CancelPaymentResponse {
            payment: Some(view::payment::payment(record)),
        }))
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
                .get(&fields::bytes32("payment_id", &id)?)
                .map_err(|error| refusal::payments("payment_id", error))?,
            Some(By::PaymentHash(hash)) => self
                .payments
                .get_by_hash(&fields::payment_hash("payment_hash", &hash)?.0)
                .map_err(|error| refusal::payments("payment_hash", error))?,
        };
        Ok(Response::new(v1::GetPaymentResponse { payment: Some(view::payment::payment(record)) }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchPaymentRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        use v1::watch_payment_request::By;
        let (argument, payment_id) = match request.into_inner().by {
            None => return Err(malformed("payment_id", "it or a payment_hash is needed")),
            Some(By::PaymentId(id)) => ("payment_id", fields::bytes32("payment_id", &id)?),
            Some(By::PaymentHash(hash)) => {
                let hash = fields::payment_hash("payment_hash", &hash)?;
                let newest = self.payments.get_by_hash(&hash.0);
                let newest = newest.map_err(|error| refusal::payments("payment_hash", error))?;
                ("payment_hash", newest.payment_id)
            }
        };
        let following = self.payments.follow(payment_id);
        let following = following.map_err(|error| refusal::payments(argument, error))?;
        Ok(Response::new(stream(following, self.stopping.clone())))
    }

    async fn list(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        use v1::payment::State as Wire;
        let request = request.into_inner();
        let state = match Wire::try_from(request.state) {
            Ok(Wire::Unspecified) => None,
            Ok(Wire::Pending) => Some(PaymentState::Pending),
            Ok(Wire::Succeeded) => Some(PaymentState::Succeeded),
            Ok(Wire::Failed) => Some(PaymentState::Failed),
            Err(_) => return Err(malformed("state", "is not a state of a payment")),
        };
        let page = fields::page(request.page)?;
        let wanted = filter::<PaymentRecord>(request.filter, among(&self.channels))?;
        let page = self.payments.page(&page.token, page.limit, state, &wanted);
        let page = page.map_err(|error| refusal::payments("page_token", error))?;
        Ok(Response::new(v1::ListPaymentsResponse {
            payments: page
                .items
                .into_iter()
                .map(|(_, record)| view::payment::payment(record))
                .collect(),
            next_page_token: page.next_token,
        }))
    }
}

impl Steps for PaymentFollower {
    type Item = v1::Payment;

    async fn next(&mut self) -> Result<Option<v1::Payment>, Status> {
        match PaymentFollower::next(self).await {
            Ok(record) => Ok(record.map(view::payment::payment)),
            Err(error) => Err(internal(&error)),
        }
    }
}

impl Steps for Probe {
    type Item = v1::ProbeUpdate;

    async fn next(&mut self) -> Result<Option<v1::ProbeUpdate>, Status> {
        Ok(Probe::next(self).await.map(view::probe::update))
    }
}

impl Steps for Rebalancing {
    type Item = v1::RebalanceUpdate;

    async fn next(&mut self) -> Result<Option<v1::RebalanceUpdate>, Status> {
        let step = Rebalancing::next(self).await.map_err(|error| internal(&error))?;
        Ok(step.map(|step| match step {
            RebalanceUpdate::Planned(plan) => {
                v1::RebalanceUpdate { route: Some(view::route::route(&plan)), payment: None }
            }
            RebalanceUpdate::Payment(record) => {
                v1::RebalanceUpdate { route: None, payment: Some(view::payment::payment(*record)) }
            }
        }))
    }
}
