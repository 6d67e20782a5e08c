//! The deed of paying: check, record, wait until the record is durable, hand to LDK.

use std::str::FromStr as _;
use std::sync::atomic::Ordering;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::{
    Bolt11PaymentError, MIN_FINAL_CLTV_EXPIRY_DELTA, PaymentId, RecipientOnionFields, Retry,
    RetryableSendFailure,
};
use lightning::routing::router::{PaymentParameters, RouteParameters, RouteParametersConfig};
use lightning::sign::EntropySource as _;
use lightning::types::payment::PaymentPreimage;
use lightning_invoice::Bolt11Invoice;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::check::{self, Admission, AskedLimits, Facts, Limits, Purse};
use super::ledger::{Admitted, Draft, hex};
use super::outcome::{Name, News};
use super::record::{FailureReason, Kind, PaymentRecord, State};
use super::{Error, Following, Payments, now_ms, since_epoch};
use crate::storage::Commit;
use crate::tasks::Stage;

/// The blocks that the last node has left to claim a keysend; a few blocks may pass on the way.
const KEYSEND_FINAL_CLTV_DELTA: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32 + 3;

/// An invoice to pay.
#[derive(Clone, Debug, Default)]
pub struct Pay {
    /// The invoice.
    pub bolt11: String,
    /// Needed for an invoice without amount.
    pub amount_msat: Option<u64>,
    /// The caller's bounds.
    pub limits: AskedLimits,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

/// A node to pay without invoice.
#[derive(Clone, Debug)]
pub struct Keysend {
    /// Whom.
    pub node_id: PublicKey,
    /// What it gets.
    pub amount_msat: u64,
    /// The caller's bounds.
    pub limits: AskedLimits,
    /// What it is told, by type.
    pub custom_records: Vec<(u64, Vec<u8>)>,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

/// What LDK is to be told once the record is durable.
enum Order {
    Bolt11 { invoice: Box<Bolt11Invoice>, amount_msat: u64 },
    Keysend { route: Box<RouteParameters>, onion: RecipientOnionFields, preimage: PaymentPreimage },
}

impl Payments {
    /// Pays an invoice and follows the payment.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub async fn pay(&self, request: Pay) -> Result<Following, Error> {
        let invoice = Bolt11Invoice::from_str(request.bolt11.trim())
            .map_err(|error| Error::NotAnInvoice(error.to_string()))?;
        let facts = self.facts();
        let terms = check::terms(&invoice, request.amount_msat, &facts)?;
        let limits = check::limits(request.limits, terms.amount_msat, &self.0.config)?;
        let fingerprint = check::fingerprint(&terms.payment_hash, request.amount_msat);
        let key = request.idempotency_key.map(|key| (key, fingerprint));
        if let Admission::Follow(payment_id) =
            self.0.ledger.look(key.as_ref(), Some(&terms.payment_hash))?
        {
            return self.follow(payment_id);
        }
        check::not_expired(&invoice, since_epoch())?;
        if invoice.features().is_some_and(|features| features.requires_unknown_bits()) {
            return Err(Error::Unpayable("it needs a feature that is not known here".to_owned()));
        }
        self.may_send(terms.amount_msat)?;
        let record = PaymentRecord {
            payment_hash: terms.payment_hash,
            payee: Some(terms.payee),
            amount_msat: terms.amount_msat,
            bolt11: Some(invoice.to_string()),
            description: said(terms.description),
            label: said(request.label),
            ..self.blank(Kind::Bolt11)
        };
        let order = Order::Bolt11 { invoice: Box::new(invoice), amount_msat: terms.amount_msat };
        self.start(Draft { record, key }, order, limits)
    }

    /// Pays a node without invoice and follows the payment.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub async fn keysend(&self, request: Keysend) -> Result<Following, Error> {
        let amount_msat = check::amount(request.amount_msat)?;
        let payee = check::payee(request.node_id, &self.facts())?;
        let limits = check::limits(request.limits, amount_msat, &self.0.config)?;
        let fingerprint = check::fingerprint(&payee.serialize(), Some(amount_msat));
        let key = request.idempotency_key.map(|key| (key, fingerprint));
        if let Admission::Follow(payment_id) = self.0.ledger.look(key.as_ref(), None)? {
            return self.follow(payment_id);
        }
        let onion = RecipientOnionFields::spontaneous_empty()
            .with_custom_tlvs(request.custom_records)
            .map_err(|()| Error::BadCustomRecord)?;
        self.may_send(amount_msat)?;
        let preimage = PaymentPreimage(self.0.node.keys.get_secure_random_bytes());
        let record = PaymentRecord {
            payment_hash: sha256::Hash::hash(&preimage.0).to_byte_array(),
            payee: Some(payee),
            amount_msat,
            label: said(request.label),
            ..self.blank(Kind::Keysend)
        };
        // In one part: parts need a secret of the recipient, which a keysend does not have.
        let parameters = PaymentParameters::for_keysend(payee, KEYSEND_FINAL_CLTV_DELTA, false)
            .with_max_total_cltv_expiry_delta(limits.max_total_cltv_delta)
            .with_max_path_count(1);
        let mut route = RouteParameters::from_payment_params_and_value(parameters, amount_msat);
        route.max_total_routing_fee_msat = Some(limits.max_fee_msat);
        let order = Order::Keysend { route: Box::new(route), onion, preimage };
        self.start(Draft { record, key }, order, limits)
    }

    /// Records the payment and lets it go its way, whether or not the caller stays to watch.
    fn start(&self, draft: Draft, order: Order, limits: Limits) -> Result<Following, Error> {
        let max_waiting = self.0.config.max_waiting;
        if self.0.waiting.load(Ordering::Relaxed) >= max_waiting {
            return Err(Error::TooManyWaiting(max_waiting));
        }
        let (record, recorded) = match self.0.ledger.admit(draft)? {
            Admitted::New(record, recorded) => (record, recorded),
            Admitted::Follow(payment_id) => return self.follow(payment_id),
        };
        let following = self.follow(record.payment_id);
        let payments = self.clone();
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        self.0.tasks.spawn_once(Stage::Work, "payment", async move {
            payments.carry_out(&record, order, limits, recorded).await;
            payments.0.waiting.fetch_sub(1, Ordering::Relaxed);
        });
        following
    }

    async fn carry_out(
        &self,
        record: &PaymentRecord,
        order: Order,
        limits: Limits,
        recorded: Commit,
    ) {
        let deadline = Instant::now() + limits.timeout;
        let name = Name { payment_id: record.payment_id, payment_hash: record.payment_hash };
        // Not durable means that the store has failed: the daemon is ending, and nothing was sent.
        if recorded.await.is_err() {
            return;
        }
        let stopping = self.0.tasks.stopping(Stage::Api);
        let sent = tokio::select! {
            biased;
            () = stopping.cancelled() => Err(FailureReason::NotSentBeforeRestart),
            () = self.until_given_up(name.payment_id) => Err(FailureReason::Cancelled),
            sent = self.send_in_turn(name, &order, limits, deadline) => sent,
        };
        if let Err(reason) = sent {
            // Nothing of it is in LDK's hands. Should the store refuse, the next start finds that out too.
            if let Err(error) = self.take_in(name, News::Failed(reason)) {
                tracing::warn!(payment_id = %hex(&name.payment_id), %error, "cannot record a failure");
            }
        }
    }

    /// Waits for a slot, and for others to end where this one finds no way beside them. An error means that
    /// LDK does not have the payment.
    async fn send_in_turn(
        &self,
        name: Name,
        order: &Order,
        limits: Limits,
        deadline: Instant,
    ) -> Result<(), FailureReason> {
        let slot = timeout_at(deadline, self.0.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(FailureReason::TooManyInFlight) };
        let others = self.take_slot(name.payment_id, slot);
        let mut beside_others = others > 0;
        loop {
            let limits =
                Limits { timeout: deadline.saturating_duration_since(Instant::now()), ..limits };
            match self.hand_over(name, order, limits) {
                Err(FailureReason::RouteNotFound) if beside_others && self.is_crowded(order) => {
                    if timeout_at(deadline, self.0.freed.notified()).await.is_err() {
                        return Err(FailureReason::RouteNotFound);
                    }
                    beside_others = self.others_under_way();
                }
                ended => return ended,
            }
        }
    }

    /// Calls LDK; on a thread of its own kind, since it looks for a route and may write a monitor.
    fn hand_over(&self, name: Name, order: &Order, limits: Limits) -> Result<(), FailureReason> {
        let payment_id = PaymentId(name.payment_id);
        let manager = &self.0.node.channel_manager;
        let retry = Retry::Timeout(limits.timeout);
        let sent = blocking(|| match order {
            Order::Bolt11 { invoice, amount_msat } => manager
                .pay_for_bolt11_invoice(
                    invoice,
                    payment_id,
                    Some(*amount_msat),
                    RouteParametersConfig {
                        max_total_routing_fee_msat: Some(limits.max_fee_msat),
                        max_total_cltv_expiry_delta: limits.max_total_cltv_delta,
                        max_path_count: limits.max_parts,
                        ..RouteParametersConfig::default()
                    },
                    retry,
                )
                .map_err(|error| match error {
                    Bolt11PaymentError::SendingFailed(failure) => Some(failure),
                    Bolt11PaymentError::InvalidAmount => None,
                }),
            Order::Keysend { route, onion, preimage } => manager
                .send_spontaneous_payment(
                    Some(*preimage),
                    onion.clone(),
                    payment_id,
                    (**route).clone(),
                    retry,
                )
                .map(|_| ())
                .map_err(Some),
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
            Err(Some(RetryableSendFailure::DuplicatePayment)) => {
                // LDK has this very payment in hand, so it will tell its end: never call it failed.
                tracing::warn!(payment_id = %hex(&name.payment_id), "LDK has this payment already");
                Ok(())
            }
            Err(Some(RetryableSendFailure::RouteNotFound)) => Err(FailureReason::RouteNotFound),
            Err(Some(RetryableSendFailure::PaymentExpired)) => Err(FailureReason::PaymentExpired),
            Err(Some(RetryableSendFailure::OnionPacketSizeExceeded)) => {
                Err(FailureReason::OnionTooLarge)
            }
            Err(None) => Err(FailureReason::Unexpected),
        }
    }

    /// Refuses what cannot be sent at the moment.
    fn may_send(&self, amount_msat: u64) -> Result<(), Error> {
        (self.0.gate)()?;
        let channels = self.0.node.channel_manager.list_usable_channels();
        let outbound_msat = channels
            .iter()
            .fold(0u64, |sum, channel| sum.saturating_add(channel.outbound_capacity_msat));
        check::affordable(amount_msat, Purse { channels: channels.len(), outbound_msat })
    }

    fn is_crowded(&self, order: &Order) -> bool {
        let (amount_msat, splittable) = match order {
            Order::Bolt11 { amount_msat, .. } => (*amount_msat, true),
            Order::Keysend { route, .. } => (route.final_value_msat, false),
        };
        let channels = self.0.node.channel_manager.list_usable_channels();
        let next: Vec<u64> =
            channels.iter().map(|channel| channel.next_outbound_htlc_limit_msat).collect();
        check::crowded(amount_msat, &next, splittable)
    }

    /// Keeps the slot until the payment ends; returns how many others are under way.
    fn take_slot(&self, payment_id: [u8; 32], slot: OwnedSemaphorePermit) -> usize {
        let mut taken = self.0.taken.lock().expect("no panic while held");
        let others = taken.len();
        taken.insert(payment_id, slot);
        others
    }

    fn others_under_way(&self) -> bool {
        self.0.taken.lock().expect("no panic while held").len() > 1
    }

    /// Completes once the user has cancelled it.
    async fn until_given_up(&self, payment_id: [u8; 32]) {
        let mut watch = self.0.ledger.watch(payment_id);
        while !self.given_up(&payment_id) {
            if watch.changed().await.is_err() {
                // The store has failed: the daemon ends, and nobody is told anything any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the user has cancelled it; a store that cannot be read is no reason to send.
    fn given_up(&self, payment_id: &[u8; 32]) -> bool {
        match self.0.ledger.get(payment_id) {
            Ok(Some(record)) => record.cancelling || record.state == State::Failed,
            Ok(None) | Err(_) => true,
        }
    }

    fn facts(&self) -> Facts {
        Facts { network: self.0.node.network, node_id: self.0.node.id() }
    }

    fn blank(&self, kind: Kind) -> PaymentRecord {
        PaymentRecord {
            payment_id: self.0.node.keys.get_secure_random_bytes(),
            payment_hash: [0; 32],
            state: State::Pending,
            kind,
            payee: None,
            amount_msat: 0,
            fee_msat: None,
            preimage: None,
            failure: None,
            created_at_ms: now_ms(),
            finished_at_ms: None,
            bolt11: None,
            description: None,
            label: None,
            cancelling: false,
            parts: Vec::new(),
        }
    }
}

fn said(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

/// Runs what may block without holding up the other tasks of this worker.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
