//! Payments: sent, followed, listed.

use fulmen_lnd_proto::{lnrpc, routerrpc};
use tonic::Status;

use super::graph::fee_limit_msat;
use super::invoices::read_invoice;
use crate::api::lnd::journal::{JournalFollower, Reader};
use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, not_found, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::invoice::payment_hash;
use crate::api::lnd::view::payment::{error_text, payment, refused as failed, refused_because};
use crate::api::status::internal;
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::journal::{Entry, Numbered};
use crate::node::planner::Constraints;
use crate::payments::{
    self, AskedLimits, Keysend, Pay, PaymentFollower, PaymentRecord, PaymentState, Payments,
};

/// The most that are listed at once.
const MAX_LISTED: u64 = 10_000;
/// The longest timeout, in seconds.
const MAX_TIMEOUT_SECS: i32 = 24 * 3_600;
/// The most parts and the longest time lock that the room takes.
const MAX_PARTS: u32 = 100;
const MAX_CLTV_LIMIT: u32 = 2_016;
/// What lnd takes where the caller names none.
const DEFAULT_TIMEOUT_SECS: u32 = 60;
const DEFAULT_PARTS: u32 = 16;
/// The custom record that makes a payment a keysend; its value is the preimage.
const KEYSEND_RECORD: u64 = 5_482_373_484;

/// A payment as both of lnd's ways of sending ask for it.
struct Order {
    bolt11: String,
    dest: Vec<u8>,
    amount_msat: Option<u64>,
    custom_records: Vec<(u64, Vec<u8>)>,
    limits: AskedLimits,
    constraints: Constraints,
}

/// What becomes of an order.
enum Begun {
    /// It is recorded and under way.
    Following(Box<PaymentFollower>),
    /// It is refused in a way that lnd calls a failed payment.
    Failed(Box<lnrpc::Payment>),
}

pub(in crate::api::lnd) async fn send(
    rooms: &LndRooms,
    request: routerrpc::SendPaymentRequest,
) -> Result<ResponseStream<lnrpc::Payment>, Status> {
    let final_only = request.no_inflight_updates;
    let begun = begin(rooms, order(request)?).await?;
    let sending = Sending { begun: Some(begun), final_only };
    Ok(stream(sending, rooms.stopping.clone()))
}

fn order(request: routerrpc::SendPaymentRequest) -> Result<Order, Status> {
    let unsupported = [
        (request.amp, "amp"),
        (!request.route_hints.is_empty(), "route_hints"),
        (!request.first_hop_custom_records.is_empty(), "first_hop_custom_records"),
    ];
    if let Some((_, field)) = unsupported.into_iter().find(|(is_asked, _)| *is_asked) {
        return Err(refused(format!("{field} is not supported by this daemon")));
    }
    let timeout_secs = match request.timeout_seconds {
        0 => DEFAULT_TIMEOUT_SECS,
        secs if secs < 0 => return Err(refused("timeout_seconds cannot be negative")),
        secs => secs.min(MAX_TIMEOUT_SECS).unsigned_abs(),
    };
    let cltv_limit =
        u32::try_from(request.cltv_limit).map_err(|_| refused("cltv limit cannot be negative"))?;
    let one = request.outgoing_chan_id;
    let mut out_through = request.outgoing_chan_ids;
    out_through.extend((one != 0).then_some(one));
    Ok(Order {
        bolt11: request.payment_request,
        dest: request.dest,
        amount_msat: read::amount_msat(request.amt, request.amt_msat)?,
        custom_records: request.dest_custom_records.into_iter().collect(),
        limits: AskedLimits {
            // No limit given is a limit of 0, as in lnd.
            max_fee_msat: Some(read::limit_msat(request.fee_limit_sat, request.fee_limit_msat)?),
            timeout_secs,
            max_parts: match request.max_parts {
                0 => DEFAULT_PARTS,
                parts => parts.min(MAX_PARTS),
            },
            max_total_cltv_delta: cltv_limit.min(MAX_CLTV_LIMIT),
        },
        constraints: constraints(out_through, &request.last_hop_pubkey)?,
    })
}

fn constraints(out_through: Vec<u64>, last_hop: &[u8]) -> Result<Constraints, Status> {
    let last_hop = match last_hop {
        [] => None,
        bytes => Some(read::node_id(bytes)?),
    };
    Ok(Constraints { out_through, last_hop, ..Constraints::default() })
}

async fn begin(rooms: &LndRooms, order: Order) -> Result<Begun, Status> {
    if order.bolt11.is_empty() {
        return keysend(rooms, order).await;
    }
    if !order.dest.is_empty() {
        return Err(refused("dest and payment_request cannot appear together"));
    }
    if !order.custom_records.is_empty() {
        return Err(refused("dest_custom_records are for keysend payments only"));
    }
    let invoice = read_invoice(&order.bolt11)?;
    let hash = payment_hash(&invoice);
    let amount_msat = match (invoice.amount_milli_satoshis(), order.amount_msat) {
        (Some(_), Some(_)) => {
            return Err(refused(
                "amount must not be specified when paying a non-zero amount invoice",
            ));
        }
        (None, None) => {
            return Err(refused("amount must be specified when paying a zero amount invoice"));
        }
        (Some(msat), None) | (None, Some(msat)) => msat,
    };
    let pay = Pay {
        bolt11: order.bolt11.clone(),
        amount_msat: order.amount_msat,
        limits: order.limits,
        constraints: order.constraints,
        idempotency_key: None,
        label: String::new(),
    };
    let error = match rooms.payments.pay(pay).await {
        Ok(following) => return Ok(Begun::Following(Box::new(following))),
        Err(error) => error,
    };
    if let Some(reason) = refused_because(&error) {
        let now = rooms.payments.now();
        let payment = failed(hash, &order.bolt11, amount_msat, now, reason);
        return Ok(Begun::Failed(Box::new(payment)));
    }
    Err(match error {
        payments::Error::Expired { .. } => {
            let until = invoice.duration_since_epoch() + invoice.expiry_time();
            refused(format!("invoice expired. Valid until {} (unix time)", until.as_secs()))
        }
        error => refusal::payments(error),
    })
}

/// A keysend; its preimage is made here, so a caller's own is refused rather than replaced.
async fn keysend(rooms: &LndRooms, order: Order) -> Result<Begun, Status> {
    if order.dest.is_empty() {
        return Err(refused("either dest or payment_request must be specified"));
    }
    let amount_msat = order.amount_msat.ok_or_else(|| refused("amount must be specified"))?;
    if order.custom_records.iter().any(|(kind, _)| *kind == KEYSEND_RECORD) {
        return Err(refused(
            "the preimage of a keysend is chosen by this daemon: leave record 5482373484 out",
        ));
    }
    let keysend = Keysend {
        node_id: read::node_id(&order.dest)?,
        amount_msat,
        limits: order.limits,
        constraints: order.constraints,
        custom_records: order.custom_records,
        idempotency_key: None,
        label: String::new(),
    };
    match rooms.payments.keysend(keysend).await {
        Ok(following) => Ok(Begun::Following(Box::new(following))),
        Err(error) => match refused_because(&error) {
            Some(reason) => {
                let now = rooms.payments.now();
                Ok(Begun::Failed(Box::new(failed([0; 32], "", amount_msat, now, reason))))
            }
            None => Err(refusal::payments(error)),
        },
    }
}

/// The states of a payment; it goes on when the caller leaves.
struct Sending {
    begun: Option<Begun>,
    /// Whether only the last state is sent.
    final_only: bool,
}

impl Steps for Sending {
    type Item = lnrpc::Payment;

    async fn next(&mut self) -> Result<Option<lnrpc::Payment>, Status> {
        loop {
            let record = match &mut self.begun {
                None => return Ok(None),
                Some(Begun::Following(following)) => following.next().await,
                Some(Begun::Failed(_)) => {
                    let Some(Begun::Failed(payment)) = self.begun.take() else { return Ok(None) };
                    return Ok(Some(*payment));
                }
            };
            match record.map_err(|error| internal(&error))? {
                None => return Ok(None),
                Some(record) if self.final_only && !record.state.is_final() => (),
                Some(record) => return Ok(Some(payment(&record, 0))),
            }
        }
    }
}

pub(super) async fn send_sync(
    rooms: &LndRooms,
    request: lnrpc::SendRequest,
) -> Result<lnrpc::SendResponse, Status> {
    let dest_text = &request.dest_string;
    let dest = match (request.dest.as_slice(), dest_text.as_str()) {
        ([], "") => Vec::new(),
        ([], text) => read::node_id_hex(text)?.serialize().to_vec(),
        (bytes, _) => bytes.to_vec(),
    };
    let amount_msat = read::amount_msat(request.amt, request.amt_msat)?;
    let invoiced_msat = match request.payment_request.as_str() {
        "" => None,
        text => read_invoice(text)?.amount_milli_satoshis(),
    };
    let whole_msat = amount_msat.or(invoiced_msat).unwrap_or(0);
    let order = Order {
        bolt11: request.payment_request,
        dest,
        amount_msat,
        custom_records: request.dest_custom_records.into_iter().collect(),
        limits: AskedLimits {
            max_fee_msat: Some(fee_limit_msat(request.fee_limit, whole_msat)?),
            timeout_secs: DEFAULT_TIMEOUT_SECS,
            max_parts: DEFAULT_PARTS,
            max_total_cltv_delta: request.cltv_limit.min(MAX_CLTV_LIMIT),
        },
        constraints: constraints(
            Some(request.outgoing_chan_id).filter(|id| *id != 0).into_iter().collect(),
            &request.last_hop_pubkey,
        )?,
    };
    let begun = match begin(rooms, order).await {
        Ok(begun) => begun,
        // The answer itself names the refusal here.
        Err(status) => {
            let payment_error = status.message().to_owned();
            return Ok(lnrpc::SendResponse { payment_error, ..Default::default() });
        }
    };
    let mut sending = Sending { begun: Some(begun), final_only: true };
    let stopped = rooms.stopping.cancelled();
    let payment = tokio::select! {
        payment = sending.next() => payment?,
        () = stopped => return Err(crate::api::status::stopping()),
    };
    let payment = payment.ok_or_else(|| refused("the payment has no end"))?;
    Ok(answer(payment))
}

fn answer(payment: lnrpc::Payment) -> lnrpc::SendResponse {
    let payment_error = error_text(payment.failure_reason()).to_owned();
    let payment_hash = read::hash_hex(&payment.payment_hash).map(Vec::from).unwrap_or_default();
    if !payment_error.is_empty() {
        return lnrpc::SendResponse { payment_error, payment_hash, ..Default::default() };
    }
    let arrived = payment.htlcs.iter().find(|it| !it.preimage.is_empty()).cloned();
    let arrived = arrived.unwrap_or_default();
    lnrpc::SendResponse {
        payment_error,
        payment_preimage: arrived.preimage,
        payment_route: arrived.route,
        payment_hash,
    }
}

/// Follows the newest payment of a hash: its state now, then each change.
pub(in crate::api::lnd) fn track(
    rooms: &LndRooms,
    request: &routerrpc::TrackPaymentRequest,
) -> Result<ResponseStream<lnrpc::Payment>, Status> {
    let hash = read::hash(&request.payment_hash)?;
    let found =
        rooms.payments.get_by_hash(&hash).and_then(|it| rooms.payments.follow(it.payment_id));
    let following = found.map_err(refusal::payments)?;
    let begun = Some(Begun::Following(Box::new(following)));
    let sending = Sending { begun, final_only: request.no_inflight_updates };
    Ok(stream(sending, rooms.stopping.clone()))
}

/// Follows all payments from now on.
pub(in crate::api::lnd) fn track_all(
    rooms: &LndRooms,
    request: &routerrpc::TrackPaymentsRequest,
) -> ResponseStream<lnrpc::Payment> {
    let reader = Ends { payments: rooms.payments.clone(), final_only: request.no_inflight_updates };
    let head = rooms.journal.head();
    stream(JournalFollower::new(&rooms.journal, head, Vec::new(), reader), rooms.stopping.clone())
}

/// Makes messages of the journal's entries about payments.
struct Ends {
    payments: Payments,
    final_only: bool,
}

impl Reader for Ends {
    type Item = lnrpc::Payment;

    fn read(&mut self, entry: Numbered) -> Result<Vec<lnrpc::Payment>, Status> {
        let payment_id = match entry.entry {
            Entry::PaymentStarted { payment_id, .. } if !self.final_only => payment_id,
            Entry::PaymentFinished { payment_id, .. } => payment_id,
            _ => return Ok(Vec::new()),
        };
        match self.payments.get(&payment_id) {
            Ok(record) if self.final_only && !record.state.is_final() => Ok(Vec::new()),
            Ok(record) => Ok(vec![payment(&record, 0)]),
            // Retention may have removed it.
            Err(payments::Error::Unknown) => Ok(Vec::new()),
            Err(error) => Err(internal(&error)),
        }
    }
}

pub(super) fn list(
    rooms: &LndRooms,
    request: &lnrpc::ListPaymentsRequest,
) -> Result<lnrpc::ListPaymentsResponse, Status> {
    let (start, end) = (request.creation_date_start, request.creation_date_end);
    let wanted = |record: &PaymentRecord| {
        let created_at = record.created_at_ms / 1_000;
        (request.include_incomplete || record.state == PaymentState::Succeeded)
            && created_at >= start
            && (end == 0 || created_at <= end)
    };
    let limit = match request.max_payments {
        0 => MAX_LISTED,
        most => most.min(MAX_LISTED),
    } as usize;
    let offset = request.index_offset;
    let found = match request.reversed {
        false => rooms.payments.after(offset, limit, wanted),
        // Ascending in every mode.
        true => rooms
            .payments
            .before((offset > 0).then_some(offset), limit, wanted)
            .map(|found| found.into_iter().rev().collect()),
    };
    let found = found.map_err(refusal::payments)?;
    let at = |entry: Option<&(u64, PaymentRecord)>| entry.map_or(0, |(at, _)| *at);
    let total = match request.count_total_payments {
        true => rooms.payments.before(None, 1, |_| true).map_err(refusal::payments)?,
        false => Vec::new(),
    };
    Ok(lnrpc::ListPaymentsResponse {
        first_index_offset: at(found.first()),
        last_index_offset: at(found.last()),
        payments: found.iter().map(|(at, record)| payment(record, *at)).collect(),
        total_num_payments: at(total.first()),
    })
}

/// What paying an invoice or a node would cost, by the planner; nothing is sent.
pub(in crate::api::lnd) fn estimate(
    rooms: &LndRooms,
    request: &routerrpc::RouteFeeRequest,
) -> Result<routerrpc::RouteFeeResponse, Status> {
    let (payee, amount_msat) = match (request.dest.as_slice(), request.payment_request.as_str()) {
        ([], "") => return Err(not_found("destination or payment request must be specified")),
        ([], text) => {
            read_invoice(text)?;
            (payments::Payee::Invoice(text.to_owned()), None)
        }
        (bytes, "") => (
            payments::Payee::Node(read::node_id(bytes)?),
            Some(read::amount_sat(request.amt_sat)?.saturating_mul(1_000)),
        ),
        _ => return Err(refused("specify either destination or payment request, not both")),
    };
    let limits =
        AskedLimits { max_fee_msat: Some(read::MAX_MONEY_SAT * 1_000), ..AskedLimits::default() };
    let constraints = Constraints::default();
    let inquiry = payments::Inquiry { payee, amount_msat, payer: None, limits, constraints };
    match rooms.payments.estimate(inquiry) {
        Ok(estimate) => {
            let locks = estimate.usual.parts.iter().filter_map(|part| part.hops.first());
            let delay = locks.map(|hop| hop.cltv).max().unwrap_or(0);
            Ok(routerrpc::RouteFeeResponse {
                routing_fee_msat: i64::try_from(estimate.usual.fee_msat).unwrap_or(i64::MAX),
                time_lock_delay: i64::from(rooms.height()) + i64::from(delay),
                failure_reason: lnrpc::PaymentFailureReason::FailureReasonNone.into(),
            })
        }
        Err(error) => match refused_because(&error) {
            Some(reason) => Ok(routerrpc::RouteFeeResponse {
                failure_reason: reason.into(),
                ..Default::default()
            }),
            None => Err(refusal::payments(error)),
        },
    }
}
