//! The way of one payment: its turn, LDK's hands, and another round where the network was only busy.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{
    Bolt11PaymentError, OptionalOfferPaymentParams, PaymentId, RecipientOnionFields, Retry,
    RetryableSendFailure,
};
use lightning::offers::offer::Offer;
use lightning::routing::router::{Path, RouteParameters, RouteParametersConfig};
use lightning::types::payment::PaymentPreimage;
use lightning_invoice::Bolt11Invoice;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::node::ldk::limits;
use crate::payments::check::{self, PaymentLimits};
use crate::payments::records::record::{FailureReason, PaymentRecord, PaymentState, hex};
use crate::payments::records::transition::PaymentIds;
use crate::payments::{Payments, blocking};
use crate::tasks::Stage;

/// How often a payment starts afresh after LDK has found nothing left to try.
const MAX_ROUNDS: u32 = 4;
/// How long it waits before it does so the first time; each time twice as long as before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How long a payment waits for money that has been received but is not yet in our balance.
const SETTLING_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it looks whether the money is there; LDK has no event for that.
const SETTLING_INTERVAL: Duration = Duration::from_millis(10);

/// What LDK is asked to send.
pub enum SendRequest {
    /// To pay an invoice.
    Bolt11 { invoice: Box<Bolt11Invoice>, amount_msat: u64 },
    /// To ask for an invoice for an offer, and pay that.
    Offer {
        offer: Box<Offer>,
        /// In all.
        amount_msat: u64,
        quantity: Option<u64>,
        payer_note: Option<String>,
    },
    /// To pay a node.
    Keysend { route: Box<RouteParameters>, onion: RecipientOnionFields, preimage: PaymentPreimage },
}

/// A payment that LDK has in hand.
pub struct PaymentInFlight {
    /// Given to another payment when this one has ended.
    _slot: OwnedSemaphorePermit,
    /// Tells the payment's task that LDK gave it up; dropped when it has ended.
    gave_up: mpsc::UnboundedSender<()>,
    rounds: u32,
    deadline: Instant,
}

/// A payment that waits for its turn; counted as long as this lives.
pub(super) struct PaymentTask(Payments);

impl Drop for PaymentTask {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PaymentTask {
    pub(super) fn wait(payments: Payments) -> Self {
        payments.0.waiting.fetch_add(1, Ordering::Relaxed);
        Self(payments)
    }

    /// Sends a payment whose record is durable, and again while that may help.
    pub(super) async fn run(
        self,
        record: &PaymentRecord,
        order: SendRequest,
        limits: PaymentLimits,
        given: Vec<Path>,
    ) {
        let payments = self.0.clone();
        let name = PaymentIds { payment_id: record.payment_id, payment_hash: record.payment_hash };
        let constraints = record.constraints.clone().unwrap_or_default();
        let out = constraints.out_through.clone();
        payments.0.node.router.constrain(PaymentId(name.payment_id), constraints);
        if !given.is_empty() {
            payments.0.node.router.give(PaymentId(name.payment_id), given);
        }
        let deadline = Instant::now() + limits.timeout;
        let (gave_up, mut given_up) = mpsc::unbounded_channel();
        let sent = payments
            .unless_stopped(name, FailureReason::NotSentBeforeRestart, async {
                payments.take_slot(name, gave_up, deadline).await?;
                payments.probe_first(record, &order, limits).await;
                payments.send_beside_others(name, &order, &out, limits, deadline).await
            })
            .await;
        drop(self);
        let mut in_hand = payments.conclude_unless_sent(name, sent);
        let mut pause = FIRST_PAUSE;
        let ending = payments.0.tasks.stopping(Stage::Work);
        while in_hand {
            let again = tokio::select! {
                again = given_up.recv() => again,
                () = ending.cancelled() => None,
            };
            if again.is_none() {
                return;
            }
            let sent = payments
                .unless_stopped(name, FailureReason::RetriesExhausted, async {
                    tokio::time::sleep(pause).await;
                    payments.send_beside_others(name, &order, &out, limits, deadline).await
                })
                .await;
            in_hand = payments.conclude_unless_sent(name, sent);
            pause *= 2;
        }
    }
}

/// The bounds of a payment in LDK's words.
pub(super) fn route_config(limits: PaymentLimits) -> RouteParametersConfig {
    RouteParametersConfig {
        max_total_routing_fee_msat: Some(limits.max_fee_msat),
        max_total_cltv_expiry_delta: limits.max_total_cltv_delta,
        max_path_count: limits.max_parts,
        ..RouteParametersConfig::default()
    }
}

/// Why LDK did not take a payment; none where it has it already.
fn why_not_sent(failure: RetryableSendFailure) -> Option<FailureReason> {
    match failure {
        RetryableSendFailure::DuplicatePayment => None,
        RetryableSendFailure::RouteNotFound => Some(FailureReason::RouteNotFound),
        RetryableSendFailure::PaymentExpired => Some(FailureReason::PaymentExpired),
        RetryableSendFailure::OnionPacketSizeExceeded => Some(FailureReason::OnionTooLarge),
    }
}

/// Whether a payment that LDK gave up starts afresh.
///
/// LDK never tries a channel twice in one payment, so where channels were only busy or short of money for a
/// moment it soon finds nothing left. It has forgotten the payment when it says so, and no HTLC is left of it.
fn goes_on(reason: FailureReason, rounds: u32, parts_failed: bool, time_left: Duration) -> bool {
    reason == FailureReason::RouteNotFound
        && parts_failed
        && rounds < MAX_ROUNDS
        && time_left > FIRST_PAUSE
}

impl Payments {
    /// Starts a payment afresh that LDK has given up, if that may help; false means that it has failed.
    pub(in crate::payments) fn try_again(&self, name: PaymentIds, reason: FailureReason) -> bool {
        let record = match self.0.book.get(&name.payment_id) {
            Ok(Some(record)) if record.state == PaymentState::Pending && !record.cancelling => {
                record
            }
            Ok(_) | Err(_) => return false,
        };
        let mut under_way = self.0.under_way.lock().expect("no panic while held");
        let Some(payment) = under_way.get_mut(&name.payment_id) else { return false };
        let time_left = payment.deadline.saturating_duration_since(Instant::now());
        if self.0.node.router.is_given(&PaymentId(name.payment_id))
            || !goes_on(reason, payment.rounds, !record.parts.is_empty(), time_left)
        {
            return false;
        }
        payment.rounds += 1;
        payment.gave_up.send(()).is_ok()
    }

    /// Runs what ends with LDK having the payment; its error means that LDK does not have it.
    ///
    /// Only while it waits can the daemon's stop or the user cut it off, and LDK does not have it then.
    async fn unless_stopped(
        &self,
        name: PaymentIds,
        at_stop: FailureReason,
        sending: impl Future<Output = Result<(), FailureReason>>,
    ) -> Result<(), FailureReason> {
        let stopping = self.0.tasks.stopping(Stage::Api);
        tokio::select! {
            biased;
            () = stopping.cancelled() => Err(at_stop),
            () = self.until_given_up(name.payment_id) => Err(FailureReason::Cancelled),
            sent = sending => sent,
        }
    }

    /// Records the failure of a payment that LDK does not have; returns whether it has it.
    fn conclude_unless_sent(&self, name: PaymentIds, sent: Result<(), FailureReason>) -> bool {
        let Err(reason) = sent else { return true };
        // Should the store refuse, the next start finds out that LDK does not have it.
        let news = self.has_failed(PaymentId(name.payment_id), reason);
        if let Err(error) = self.apply(name, news) {
            tracing::warn!(payment_id = %hex(&name.payment_id), %error, "cannot record a failure");
        }
        false
    }

    async fn take_slot(
        &self,
        name: PaymentIds,
        gave_up: mpsc::UnboundedSender<()>,
        deadline: Instant,
    ) -> Result<(), FailureReason> {
        let slot = timeout_at(deadline, self.0.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(FailureReason::TooManyInFlight) };
        let under_way = PaymentInFlight { _slot: slot, gave_up, rounds: 1, deadline };
        self.0.under_way.lock().expect("no panic while held").insert(name.payment_id, under_way);
        Ok(())
    }

    /// Hands the payment to LDK, and waits for received money to settle or for other payments to end where this
    /// one finds no way without.
    async fn send_beside_others(
        &self,
        name: PaymentIds,
        order: &SendRequest,
        out_through: &[u64],
        limits: PaymentLimits,
        deadline: Instant,
    ) -> Result<(), FailureReason> {
        let mut settled = false;
        loop {
            let others = self.others_under_way();
            let limits = PaymentLimits {
                timeout: deadline.saturating_duration_since(Instant::now()),
                ..limits
            };
            match self.hand_over(name, order, limits) {
                Err(FailureReason::RouteNotFound)
                    if !settled
                        && self.0.node.router.lacked_balance(&PaymentId(name.payment_id)) =>
                {
                    let settled_by = deadline.min(Instant::now() + SETTLING_TIMEOUT);
                    self.until_settled(order, out_through, settled_by).await;
                    settled = true;
                }
                Err(FailureReason::RouteNotFound)
                    if others && self.is_crowded(order, out_through) =>
                {
                    if timeout_at(deadline, self.0.freed.notified()).await.is_err() {
                        return Err(FailureReason::RouteNotFound);
                    }
                }
                ended => return ended,
            }
        }
    }

    /// Calls LDK; on a thread of its own kind, since it looks for a route and may write a monitor.
    fn hand_over(
        &self,
        name: PaymentIds,
        order: &SendRequest,
        limits: PaymentLimits,
    ) -> Result<(), FailureReason> {
        let payment_id = PaymentId(name.payment_id);
        let manager = &self.0.node.channel_manager;
        let retry = match self.0.node.router.is_given(&payment_id) {
            true => Retry::Attempts(0),
            false => Retry::Timeout(limits.timeout),
        };
        let sent = blocking(|| match order {
            SendRequest::Bolt11 { invoice, amount_msat } => manager
                .pay_for_bolt11_invoice(
                    invoice,
                    payment_id,
                    Some(*amount_msat),
                    route_config(limits),
                    retry,
                )
                .map_err(|error| match error {
                    Bolt11PaymentError::SendingFailed(failure) => why_not_sent(failure),
                    Bolt11PaymentError::InvalidAmount => Some(FailureReason::Unexpected),
                }),
            SendRequest::Offer { offer, amount_msat, quantity, payer_note } => self
                .request_invoice(
                    payment_id,
                    offer,
                    *amount_msat,
                    *quantity,
                    OptionalOfferPaymentParams {
                        payer_note: payer_note.clone(),
                        route_params_config: route_config(limits),
                        retry_strategy: retry,
                    },
                )
                .map_err(Some),
            SendRequest::Keysend { route, onion, preimage } => manager
                .send_spontaneous_payment(
                    Some(*preimage),
                    onion.clone(),
                    payment_id,
                    (**route).clone(),
                    retry,
                )
                .map(|_| ())
                .map_err(why_not_sent),
        });
        match sent {
            Ok(()) => {
                // See `cancel`: it may have told LDK before LDK knew of the payment.
                if self.given_up(&name.payment_id) {
                    manager.abandon_payment(payment_id);
                }
                self.0.node.wake();
                Ok(())
            }
            Err(None) => {
                // LDK has this very payment in hand, so it will tell its end: never call it failed.
                tracing::warn!(payment_id = %hex(&name.payment_id), "LDK has this payment already");
                Ok(())
            }
            Err(Some(reason)) => Err(reason),
        }
    }

    fn is_crowded(&self, order: &SendRequest, out_through: &[u64]) -> bool {
        let (amount_msat, splittable) = match order {
            SendRequest::Bolt11 { amount_msat, .. } | SendRequest::Offer { amount_msat, .. } => {
                (*amount_msat, true)
            }
            SendRequest::Keysend { route, .. } => (route.final_value_msat, false),
        };
        let channels = self.channels_out(out_through);
        let next: Vec<u64> =
            channels.iter().map(|channel| channel.next_outbound_htlc_limit_msat).collect();
        check::crowded(amount_msat, &next, splittable)
    }

    /// Waits while received money that this payment needs is about to join our balance.
    async fn until_settled(&self, order: &SendRequest, out_through: &[u64], until: Instant) {
        let settles = |channel: &ChannelDetails| limits::settling_msat(channel) > 0;
        while Instant::now() < until
            && self.channels_out(out_through).iter().any(settles)
            && self.is_crowded(order, out_through)
        {
            tokio::time::sleep(SETTLING_INTERVAL).await;
        }
    }

    fn others_under_way(&self) -> bool {
        self.0.under_way.lock().expect("no panic while held").len() > 1
    }

    /// Completes once the user has cancelled it.
    async fn until_given_up(&self, payment_id: [u8; 32]) {
        let mut watch = self.0.book.watch(payment_id);
        while !self.given_up(&payment_id) {
            if watch.changed().await.is_err() {
                // The store has failed: the daemon ends, and no further update is sent.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the user has cancelled it; a store that cannot be read is no reason to send.
    fn given_up(&self, payment_id: &[u8; 32]) -> bool {
        match self.0.book.get(payment_id) {
            Ok(Some(record)) => record.cancelling || record.state == PaymentState::Failed,
            Ok(None) | Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_goes_on_while_that_may_help() {
        use FailureReason::{RecipientRejected, RetriesExhausted, RouteNotFound};
        let minute = Duration::from_secs(60);
        for (reason, rounds, parts_failed, time_left, expected) in [
            (RouteNotFound, 1, true, minute, true),
            (RouteNotFound, MAX_ROUNDS - 1, true, minute, true),
            (RouteNotFound, MAX_ROUNDS, true, minute, false),
            // There is no way at all, so there will be none in a moment.
            (RouteNotFound, 1, false, minute, false),
            (RouteNotFound, 1, true, FIRST_PAUSE, false),
            (RetriesExhausted, 1, true, minute, false),
            (RecipientRejected, 1, true, minute, false),
        ] {
            let decided = goes_on(reason, rounds, parts_failed, time_left);
            assert_eq!(decided, expected, "{reason:?} {rounds} {parts_failed} {time_left:?}");
        }
    }
}
