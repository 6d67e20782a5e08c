//! `fulmen keysend` and commands of `fulmen payment`: sending money, and what became of it.
use clap::{Args, ValueEnum};
use fulmen_proto::v1::get_payment_request::By;
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::{
    CancelPaymentRequest, CustomRecord, GetPaymentRequest, GetPaymentResponse, KeysendRequest,
    ListPaymentsRequest, Payment, WatchPaymentRequest, watch_payment_request,
};
use tonic::{Code, Streaming};

use super::invoice;
use super::options::constraints::Constraints;
use super::options::filter::Filtering;
use super::options::limits::Limits;
use super::options::names;
use super::options::paging;
use crate::amount::SomeMsat;
use crate::failure::{Failure, advice};
use crate::format::human;
use crate::ids::{HashOrBolt11, NodeId, Record};
use crate::render::{Names, Progress, payments};
use crate::session::{Session, next_state};

#[derive(Debug, Args)]
pub struct Handling {
    /// A note of your own, kept with the payment
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub label: String,
    /// The same key again follows the first payment, never pays twice
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub idempotency_key: String,
    /// Do not ask (it is asked only at a terminal)
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Keysend {
    /// The payee
    node_id: NodeId,
    /// How much: 50sat, 2500msat
    amount: SomeMsat,
    /// A custom record for the receiver; can be repeated
    #[arg(long, value_name = "TYPE=HEX")]
    record: Vec<Record>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    handling: Handling,
    #[command(flatten)]
    constraints: Constraints,
}

impl Keysend {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let SomeMsat(amount_msat) = self.amount;
        if !self.handling.yes && session.screen.has_someone_to_ask() {
            let node = human::hex(&self.node_id.0);
            session.screen.confirm(&format!("Pay {} to {node}?", human::msat(amount_msat)))?;
        }
        let given = self.constraints.given();
        let progress = session.screen.progress("paying");
        let record = |Record { kind, value }| CustomRecord { r#type: kind, value };
        let request = KeysendRequest {
            node_id: self.node_id.0,
            amount_msat,
            limits: Some(self.limits.wire()),
            custom_records: self.record.into_iter().map(record).collect(),
            idempotency_key: self.handling.idempotency_key,
            label: self.handling.label,
            constraints: self.constraints.wire()?,
        };
        let stream = session.payments().keysend(request).await;
        let stream = stream.map_err(|status| given.advise(status.into()))?.into_inner();
        follow(session, stream, progress).await.map_err(|failure| given.advise(failure))
    }
}

/// Nobody is asked about an invoice that is paid, or is being paid, already.
pub async fn refuse_if_paid(session: &Session, payment_hash: &[u8]) -> Result<(), Failure> {
    let by = Some(By::PaymentHash(payment_hash.to_vec()));
    let payment = match session.payments().get(GetPaymentRequest { by }).await {
        Ok(found) => found.into_inner().payment.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => return Ok(()),
        Err(status) => return Err(status.into()),
    };
    match payment.state() {
        State::Succeeded => {
            Err(Failure::failed("this invoice has been paid already").because("ALREADY_PAID"))
        }
        State::Pending => {
            Err(Failure::failed("this invoice is being paid").because("PAYMENT_UNDER_WAY"))
        }
        State::Unspecified | State::Failed => Ok(()),
    }
}

/// Watches a payment until it has succeeded or failed.
pub async fn follow(
    session: &Session,
    mut stream: Streaming<Payment>,
    progress: Progress,
) -> Result<(), Failure> {
    let screen = &session.screen;
    let goes_on = "interrupted; the payment goes on in the daemon: see `fulmen payments`, \
                   or stop it with `fulmen payment cancel`";
    while let Some(payment) = next_state(&mut stream, goes_on).await? {
        if screen.json {
            screen.show_next(&payment, |_, _| String::new())?;
        }
        match payment.state() {
            State::Unspecified | State::Pending => progress.doing(payments::under_way(&payment)),
            State::Succeeded if screen.json => return Ok(()),
            State::Succeeded => {
                drop(progress);
                return screen.show_next(&payment, payments::done);
            }
            State::Failed => return Err(not_paid("not paid", &payment)),
        }
    }
    Err(Failure::failed("the daemon ended the stream before the payment's end")
        .advise("See `fulmen payments`: the payment may go on"))
}

/// The sentence for a payment that failed.
pub fn not_paid(what: &str, payment: &Payment) -> Failure {
    let words = payments::why_failed(payment);
    let id = human::hex(&payment.payment_id);
    Failure::failed(format!("{what}: {words} (payment {id})"))
        .or_advise(advice(&payment.no_route_cause))
        .because(&payment.failure_reason)
}

/// The states to list by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnlyState {
    Pending,
    Succeeded,
    Failed,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state
    #[arg(long)]
    state: Option<OnlyState>,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let state = match self.state {
            None => State::Unspecified,
            Some(OnlyState::Pending) => State::Pending,
            Some(OnlyState::Succeeded) => State::Succeeded,
            Some(OnlyState::Failed) => State::Failed,
        };
        let mut client = session.payments();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let (state, filter) = (state.into(), filter.clone());
            client.list(ListPaymentsRequest { page: Some(page), state, filter }).await
        };
        let payee = |payment: &Payment| vec![payment.payee.clone()];
        paging::show_named(session, &self.paging, fetch, payee, payments::list).await
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// Payment id, payment hash, or the invoice that was paid
    #[arg(value_name = "ID|HASH|INVOICE")]
    pub payment: HashOrBolt11,
}

impl Show {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let found = find(session, self.payment).await?;
        let names = names(session, found.payment.as_ref()).await;
        session.screen.show(&found, |found, look| {
            found.payment.as_ref().map_or_else(String::new, |it| payments::show(it, &names, look))
        })
    }
}

#[derive(Debug, Args)]
pub struct Proof {
    /// Payment id, payment hash, or the invoice that was paid
    #[arg(value_name = "ID|HASH|INVOICE")]
    payment: HashOrBolt11,
}

impl Proof {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let found = find(session, self.payment).await?;
        let is_paid = found.payment.as_ref().is_some_and(|it| it.state() == State::Succeeded);
        if !is_paid {
            return Err(Failure::failed("this payment has not arrived: nothing proves it")
                .advise("`fulmen payment show` tells what became of it"));
        }
        session.screen.show(&found, |found, look| {
            found.payment.as_ref().map_or_else(String::new, |it| payments::proof(it, look))
        })
    }
}

async fn names(session: &Session, payment: Option<&Payment>) -> Names {
    names::names(session, payment.map(payments::nodes).unwrap_or_default()).await
}

/// 32 bytes may be a payment's id or its hash: ids are tried first.
pub async fn find(session: &Session, name: HashOrBolt11) -> Result<GetPaymentResponse, Failure> {
    let mut client = session.payments();
    if let HashOrBolt11::Hash(id) = &name {
        let by = Some(By::PaymentId(id.clone()));
        match client.get(GetPaymentRequest { by }).await {
            Ok(found) => return Ok(found.into_inner()),
            Err(status) if status.code() == Code::NotFound => (),
            Err(status) => return Err(status.into()),
        }
    }
    let by = Some(By::PaymentHash(invoice::hash_of(session, name).await?));
    Ok(client.get(GetPaymentRequest { by }).await?.into_inner())
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Payment id, payment hash, or the invoice that is being paid
    #[arg(value_name = "ID|HASH|INVOICE")]
    payment: HashOrBolt11,
}

impl Watch {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let progress = session.screen.progress("waiting for the payment");
        let found = find(session, self.payment).await?.payment.unwrap_or_default();
        let by = Some(watch_payment_request::By::PaymentId(found.payment_id));
        let stream = session.payments().watch(WatchPaymentRequest { by }).await?.into_inner();
        follow(session, stream, progress).await
    }
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// Payment id, payment hash, or the invoice that is being paid
    #[arg(value_name = "ID|HASH|INVOICE")]
    payment: HashOrBolt11,
}

impl Cancel {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let found = find(session, self.payment).await?.payment.unwrap_or_default();
        let request = CancelPaymentRequest { payment_id: found.payment_id };
        let cancelled = session.payments().cancel(request).await?.into_inner();
        let names = names(session, cancelled.payment.as_ref()).await;
        session.screen.show(&cancelled, |cancelled, look| {
            let payment = cancelled.payment.as_ref();
            payment.map_or_else(String::new, |it| payments::show(it, &names, look))
        })
    }
}
