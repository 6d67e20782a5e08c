//! Sending a payment: checked, recorded, and given to LDK once the record is durable.

mod along;
mod attempt;
mod invoiced;
mod offer;
mod probe_first;
mod rebalance;
mod reconcile;
mod refund;

use std::sync::atomic::Ordering;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::RecipientOnionFields;
use lightning::routing::router::{Path, PaymentParameters, RouteParameters};
use lightning::sign::EntropySource as _;
use lightning::types::payment::PaymentPreimage;

pub use along::SendToRoute;
pub use attempt::{PaymentInFlight, SendRequest};
pub use offer::PayOffer;
pub use rebalance::Rebalance;
pub use refund::GiveRefund;

use super::check::{self, AskedLimits, PaymentLimits, Splitting};
use super::records::book::{Admitted, NewPayment, PaymentAdmission};
use super::records::record::{PaymentKind, PaymentRecord};
use super::route::KEYSEND_FINAL_CLTV_DELTA;
use super::{Error, PaymentFollower, Payments};
use crate::bolt11;
use crate::idempotency::Key;
use crate::node::planner::Constraints;
use crate::tasks::Stage;
use attempt::PaymentTask;

/// An invoice to pay.
#[derive(Clone, Debug, Default)]
pub struct Pay {
    /// The invoice.
    pub bolt11: String,
    /// Needed for an invoice without amount.
    pub amount_msat: Option<u64>,
    /// The caller's bounds.
    pub limits: AskedLimits,
    /// Which ways it may go.
    pub constraints: Constraints,
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
    /// Which ways it may go.
    pub constraints: Constraints,
    /// Custom records for the recipient, by TLV type.
    pub custom_records: Vec<(u64, Vec<u8>)>,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

impl Payments {
    /// Pays an invoice and follows the payment.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub async fn pay(&self, request: Pay) -> Result<PaymentFollower, Error> {
        let invoice = bolt11::read(request.bolt11.trim())?;
        let facts = self.facts();
        let terms = check::terms(&invoice, request.amount_msat, &facts)?;
        let fingerprint = check::fingerprint(&terms.payment_hash, request.amount_msat);
        let key = Key::new(request.idempotency_key, fingerprint);
        if let PaymentAdmission::Follow(payment_id) =
            self.0.book.look(key.as_ref(), Some(&terms.payment_hash))?
        {
            return self.follow(payment_id);
        }
        let limits = check::budget(request.limits, terms.amount_msat, &self.0.config)?;
        self.check_constraints(&request.constraints, &terms.payee)?;
        check::not_expired(&invoice, self.0.clock.since_epoch())?;
        if invoice.features().is_some_and(|features| features.requires_unknown_bits()) {
            return Err(Error::Unpayable("it needs a feature that is not known here".to_owned()));
        }
        let supports_parts =
            invoice.features().is_some_and(|features| features.supports_basic_mpp());
        let splitting = Splitting::of(supports_parts, limits.max_parts);
        self.check_sendable(terms.amount_msat, &request.constraints, splitting)?;
        let record = PaymentRecord {
            payment_hash: terms.payment_hash,
            constraints: some_constraints(request.constraints),
            payee: Some(terms.payee),
            amount_msat: terms.amount_msat,
            bolt11: Some(invoice.to_string()),
            description: non_empty(terms.description),
            label: non_empty(request.label),
            ..self.blank(PaymentKind::Bolt11)
        };
        let send =
            SendRequest::Bolt11 { invoice: Box::new(invoice), amount_msat: terms.amount_msat };
        self.start(NewPayment { record, key }, send, limits)
    }

    /// Pays a node without invoice and follows the payment.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub async fn keysend(&self, request: Keysend) -> Result<PaymentFollower, Error> {
        let amount_msat = check::amount(request.amount_msat)?;
        let payee = check::payee(request.node_id, &self.facts())?;
        let fingerprint = check::fingerprint(&payee.serialize(), Some(amount_msat));
        let key = Key::new(request.idempotency_key, fingerprint);
        if let PaymentAdmission::Follow(payment_id) = self.0.book.look(key.as_ref(), None)? {
            return self.follow(payment_id);
        }
        let limits = check::budget(request.limits, amount_msat, &self.0.config)?;
        self.check_constraints(&request.constraints, &payee)?;
        let onion = RecipientOnionFields::spontaneous_empty()
            .with_custom_tlvs(request.custom_records)
            .map_err(|()| Error::BadCustomRecord)?;
        self.check_sendable(amount_msat, &request.constraints, Splitting::Whole)?;
        let preimage = PaymentPreimage(self.0.node.keys.get_secure_random_bytes());
        let record = PaymentRecord {
            payment_hash: sha256::Hash::hash(&preimage.0).to_byte_array(),
            constraints: some_constraints(request.constraints),
            payee: Some(payee),
            amount_msat,
            label: non_empty(request.label),
            ..self.blank(PaymentKind::Keysend)
        };
        // In one part: parts need a secret of the recipient, which a keysend does not have.
        let parameters = PaymentParameters::for_keysend(payee, KEYSEND_FINAL_CLTV_DELTA, false)
            .with_max_total_cltv_expiry_delta(limits.max_total_cltv_delta)
            .with_max_path_count(1);
        let mut route = RouteParameters::from_payment_params_and_value(parameters, amount_msat);
        route.max_total_routing_fee_msat = Some(limits.max_fee_msat);
        let send = SendRequest::Keysend { route: Box::new(route), onion, preimage };
        self.start(NewPayment { record, key }, send, limits)
    }

    /// Records the payment and lets it go its way, whether or not the caller stays to watch.
    fn start(
        &self,
        new: NewPayment,
        send: SendRequest,
        limits: PaymentLimits,
    ) -> Result<PaymentFollower, Error> {
        self.start_along(new, send, limits, Vec::new())
    }

    /// The same over given paths; without any, LDK asks the router.
    fn start_along(
        &self,
        new: NewPayment,
        send: SendRequest,
        limits: PaymentLimits,
        given: Vec<Path>,
    ) -> Result<PaymentFollower, Error> {
        let max_waiting = self.0.config.max_waiting;
        if self.0.waiting.load(Ordering::Relaxed) >= max_waiting {
            return Err(Error::TooManyWaiting(max_waiting));
        }
        let (record, recorded) = match self.0.book.admit(new)? {
            Admitted::New(record, recorded) => (record, recorded),
            Admitted::Follow(payment_id) => return self.follow(payment_id),
        };
        let following = self.follow(record.payment_id);
        let task = PaymentTask::wait(self.clone());
        self.0.tasks.spawn_once(Stage::Work, "payment", async move {
            // Not durable means that the store has failed: the daemon is ending, and nothing is sent.
            if recorded.await.is_ok() {
                task.run(&record, send, limits, given).await;
            }
        });
        following
    }

    pub(super) fn blank(&self, kind: PaymentKind) -> PaymentRecord {
        let payment_id = self.0.node.keys.get_secure_random_bytes();
        PaymentRecord::begun(payment_id, [0; 32], kind, self.0.clock.unix_millis())
    }
}

fn some_constraints(constraints: Constraints) -> Option<Constraints> {
    if constraints.is_empty() { None } else { Some(constraints) }
}

fn non_empty(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}
