//! Moving our money from one of our channels to another: a payment to ourselves that goes around.

use std::str::FromStr as _;

use bitcoin::hashes::Hash as _;
use fulmen_routing::Plan;
use lightning::ln::channel_state::ChannelDetails;
use lightning_invoice::Bolt11Invoice;

use super::attempt::SendRequest;
use super::{non_empty, some_constraints};
use crate::idempotency::Key;
use crate::node::planner::{Constraints, is_named};
use crate::payments::check::{self, AskedLimits, Splitting};
use crate::payments::records::book::{NewPayment, PaymentAdmission};
use crate::payments::records::record::{PaymentKind, PaymentRecord};
use crate::payments::route::{Inquiry, Payee, no_route};
use crate::payments::{Error, PaymentFollower, Payments, blocking};

/// Money to move.
#[derive(Clone, Debug)]
pub struct Rebalance {
    /// A short id of the channel that gets less.
    pub from: u64,
    /// A short id of the channel that gets more.
    pub to: u64,
    /// How much more.
    pub amount_msat: u64,
    /// The caller's bounds; what it may cost has to be said.
    pub limits: AskedLimits,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

impl Rebalance {
    fn constraints(&self) -> Constraints {
        let (out_through, in_through) = (vec![self.from], vec![self.to]);
        Constraints { out_through, in_through, ..Constraints::default() }
    }

    /// The caller's key with what it stands for.
    fn key(&self) -> Option<Key> {
        let ends = [self.from.to_be_bytes(), self.to.to_be_bytes()].concat();
        let fingerprint = check::fingerprint(&ends, Some(self.amount_msat));
        Key::new(self.idempotency_key.clone(), fingerprint)
    }

    /// In one part where the caller does not say otherwise: while some of several parts have arrived, they
    /// would lock the money until the others have as well.
    fn limits(&self) -> Result<AskedLimits, Error> {
        if self.limits.max_fee_msat.is_none() {
            return Err(Error::BadLimit("max_fee_msat", "say what it may cost".to_owned()));
        }
        Ok(AskedLimits { max_parts: self.limits.max_parts.max(1), ..self.limits })
    }
}

impl Payments {
    /// Follows the payment that was made under the request's key before, if there is one.
    ///
    /// # Errors
    /// [`Error::KeyReused`], [`Error::Store`].
    pub fn rebalanced_before(&self, request: &Rebalance) -> Result<Option<PaymentFollower>, Error> {
        let Some(key) = request.key() else { return Ok(None) };
        match self.0.book.look(Some(&key), None)? {
            PaymentAdmission::Follow(payment_id) => self.follow(payment_id).map(Some),
            PaymentAdmission::New => Ok(None),
        }
    }

    /// Finds the way that the money would go, and what it costs.
    ///
    /// # Errors
    /// What makes no sense in the request, and [`Error::NoRoute`].
    pub fn plan_rebalance(&self, request: &Rebalance) -> Result<Plan, Error> {
        let limits = request.limits()?;
        let amount_msat = check::amount(request.amount_msat)?;
        let channels = self.0.node.channel_manager.list_channels();
        let from = ours("from", &channels, request.from)?;
        let to = ours("to", &channels, request.to)?;
        if from.channel_id == to.channel_id {
            let why = "this is the channel that the money leaves by".to_owned();
            return Err(Error::BadConstraint("to", why));
        }
        let us = self.0.node.id();
        let wanted = self.wanted(Inquiry {
            payee: Payee::Node(us),
            amount_msat: Some(amount_msat),
            payer: None,
            limits,
            constraints: request.constraints(),
        })?;
        let splitting = Splitting::of(true, wanted.max_parts);
        self.check_sendable(amount_msat, &wanted.constraints, splitting)?;
        blocking(|| self.ask(&wanted)).map_err(no_route)
    }

    /// Pays an invoice of our own, from one channel to the other, and follows the payment.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub fn rebalance(&self, request: Rebalance, bolt11: &str) -> Result<PaymentFollower, Error> {
        let limits = check::fee_budget(request.limits()?, request.amount_msat, &self.0.config)?;
        let invoice = Bolt11Invoice::from_str(bolt11)
            .map_err(|error| Error::NotAnInvoice(error.to_string()))?;
        let record = PaymentRecord {
            payment_hash: invoice.payment_hash().to_byte_array(),
            payee: Some(self.0.node.id()),
            amount_msat: request.amount_msat,
            bolt11: Some(invoice.to_string()),
            constraints: some_constraints(request.constraints()),
            label: non_empty(request.label.clone()),
            ..self.blank(PaymentKind::Rebalance)
        };
        let send =
            SendRequest::Bolt11 { invoice: Box::new(invoice), amount_msat: request.amount_msat };
        self.start(NewPayment { record, key: request.key() }, send, limits)
    }
}

fn ours<'a>(
    argument: &'static str,
    channels: &'a [ChannelDetails],
    scid: u64,
) -> Result<&'a ChannelDetails, Error> {
    let found = channels.iter().find(|channel| is_named(channel, scid));
    found.ok_or(Error::NotOurChannel(argument, scid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(limits: AskedLimits) -> Rebalance {
        Rebalance {
            from: 1,
            to: 2,
            amount_msat: 3,
            limits,
            idempotency_key: Some("once".to_owned()),
            label: String::new(),
        }
    }

    #[test]
    fn what_it_may_cost_is_said_and_it_goes_in_one_part() {
        assert!(request(AskedLimits::default()).limits().is_err());
        let limits = AskedLimits { max_fee_msat: Some(0), ..AskedLimits::default() };
        assert_eq!(request(limits).limits().expect("it is said").max_parts, 1);
        let limits = AskedLimits { max_parts: 3, ..limits };
        assert_eq!(request(limits).limits().expect("it is said").max_parts, 3);
    }

    #[test]
    fn a_key_stands_for_both_channels_and_the_amount() {
        let one = request(AskedLimits::default());
        let others = [
            Rebalance { from: 9, ..one.clone() },
            Rebalance { to: 9, ..one.clone() },
            Rebalance { amount_msat: 9, ..one.clone() },
            Rebalance { from: one.to, to: one.from, ..one.clone() },
        ];
        assert!(others.iter().all(|other| other.key() != one.key()));
        assert_eq!(Rebalance { label: "other".to_owned(), ..one.clone() }.key(), one.key());
        assert_eq!(Rebalance { idempotency_key: None, ..one }.key(), None);
    }
}
