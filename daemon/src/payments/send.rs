//! Asking for a payment: checked, recorded, and on its way once the record is durable.

use std::str::FromStr as _;
use std::sync::atomic::Ordering;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{MIN_FINAL_CLTV_EXPIRY_DELTA, RecipientOnionFields};
use lightning::routing::router::{PaymentParameters, RouteParameters};
use lightning::sign::EntropySource as _;
use lightning::types::payment::PaymentPreimage;
use lightning_invoice::Bolt11Invoice;

use super::carry::{Order, Turn};
use super::check::{self, Admission, AskedLimits, Facts, Limits, Purse};
use super::ledger::{Admitted, Draft};
use super::record::{Kind, PaymentRecord};
use super::{Error, Following, Payments};
use crate::node::planner::{Constraints, is_named};
use crate::tasks::Stage;

/// The blocks that the last node has left to claim a keysend; a few blocks may pass on the way.
pub(super) const KEYSEND_FINAL_CLTV_DELTA: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32 + 3;

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
    /// What it is told, by type.
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
        self.check_ways(&request.constraints, &terms.payee)?;
        check::not_expired(&invoice, self.0.clock.since_epoch())?;
        if invoice.features().is_some_and(|features| features.requires_unknown_bits()) {
            return Err(Error::Unpayable("it needs a feature that is not known here".to_owned()));
        }
        self.may_send(terms.amount_msat, &request.constraints)?;
        let record = PaymentRecord {
            payment_hash: terms.payment_hash,
            constraints: kept(request.constraints),
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
        self.check_ways(&request.constraints, &payee)?;
        let onion = RecipientOnionFields::spontaneous_empty()
            .with_custom_tlvs(request.custom_records)
            .map_err(|()| Error::BadCustomRecord)?;
        self.may_send(amount_msat, &request.constraints)?;
        let preimage = PaymentPreimage(self.0.node.keys.get_secure_random_bytes());
        let record = PaymentRecord {
            payment_hash: sha256::Hash::hash(&preimage.0).to_byte_array(),
            constraints: kept(request.constraints),
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
    pub(super) fn start(
        &self,
        draft: Draft,
        order: Order,
        limits: Limits,
    ) -> Result<Following, Error> {
        let max_waiting = self.0.config.max_waiting;
        if self.0.waiting.load(Ordering::Relaxed) >= max_waiting {
            return Err(Error::TooManyWaiting(max_waiting));
        }
        let (record, recorded) = match self.0.ledger.admit(draft)? {
            Admitted::New(record, recorded) => (record, recorded),
            Admitted::Follow(payment_id) => return self.follow(payment_id),
        };
        let following = self.follow(record.payment_id);
        let turn = Turn::wait(self.clone());
        self.0.tasks.spawn_once(Stage::Work, "payment", async move {
            // Not durable means that the store has failed: the daemon is ending, and nothing is sent.
            if recorded.await.is_ok() {
                turn.carry_out(&record, order, limits).await;
            }
        });
        following
    }

    /// Refuses constraints that contradict themselves or name channels that this node does not have.
    pub(super) fn check_ways(
        &self,
        constraints: &Constraints,
        payee: &PublicKey,
    ) -> Result<(), Error> {
        if let Some((argument, why)) = constraints.fault(&self.0.node.id(), payee) {
            return Err(Error::BadConstraint(argument, why));
        }
        if constraints.out_through.is_empty() {
            return Ok(());
        }
        let channels = self.0.node.channel_manager.list_channels();
        match constraints.unknown_out(&channels) {
            Some(scid) => Err(Error::NotOurChannel("out_through", scid)),
            None => Ok(()),
        }
    }

    /// The channels that can be used now, out of those that a payment may leave by.
    pub(super) fn channels_out(&self, out_through: &[u64]) -> Vec<ChannelDetails> {
        let mut channels = self.0.node.channel_manager.list_usable_channels();
        if !out_through.is_empty() {
            channels.retain(|channel| out_through.iter().any(|scid| is_named(channel, *scid)));
        }
        channels
    }

    /// Refuses what cannot be sent at the moment.
    pub(super) fn may_send(
        &self,
        amount_msat: u64,
        constraints: &Constraints,
    ) -> Result<(), Error> {
        (self.0.admission)()?;
        let channels = self.channels_out(&constraints.out_through);
        let outbound_msat = channels
            .iter()
            .fold(0u64, |sum, channel| sum.saturating_add(channel.outbound_capacity_msat));
        check::affordable(amount_msat, Purse { channels: channels.len(), outbound_msat })
    }

    pub(super) fn facts(&self) -> Facts {
        Facts { network: self.0.node.network, node_id: self.0.node.id() }
    }

    pub(super) fn blank(&self, kind: Kind) -> PaymentRecord {
        let payment_id = self.0.node.keys.get_secure_random_bytes();
        PaymentRecord::begun(payment_id, [0; 32], kind, self.0.clock.unix_millis())
    }
}

pub(super) fn kept(constraints: Constraints) -> Option<Constraints> {
    if constraints.is_empty() { None } else { Some(constraints) }
}

pub(super) fn said(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}
