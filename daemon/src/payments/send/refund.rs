//! Giving a refund (BOLT 12): a text that lets its bearer ask this node for money, once.

use std::time::Duration;

use lightning::ln::channelmanager::{PaymentId, Retry};
use lightning::offers::parse::Bolt12SemanticError;
use lightning::sign::EntropySource as _;

use super::attempt::route_config;
use super::non_empty;
use crate::idempotency::Key;
use crate::node::planner::Constraints;
use crate::payments::check::Splitting;
use crate::payments::check::{self, AskedLimits};
use crate::payments::records::book::{Admitted, NewPayment, PaymentAdmission};
use crate::payments::records::record::{PaymentKind, PaymentRecord};
use crate::payments::{Error, Payments};

/// Seconds for which a refund can be redeemed, unless the call says otherwise: a day.
const EXPIRY_SECS: u64 = 24 * 3_600;
const MAX_EXPIRY_SECS: u64 = 366 * 24 * 3_600;

/// A refund to give.
#[derive(Clone, Debug, Default)]
pub struct GiveRefund {
    /// What its bearer gets.
    pub amount_msat: u64,
    /// What it is for.
    pub description: String,
    /// Seconds from now; 0 for a day.
    pub expiry_secs: u64,
    /// The caller's bounds.
    pub limits: AskedLimits,
    /// The same key again returns the first refund.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

impl Payments {
    /// Makes a refund; its payment is pending until somebody redeems it, it expires, or it is cancelled.
    ///
    /// The refund's text is returned only when the checkpoint is durable in which LDK expects an invoice for it: after a
    /// crash its bearer would ask in vain otherwise.
    ///
    /// # Errors
    /// [`Error::AmountAbsurd`], [`Error::BadLimit`], [`Error::KeyReused`], [`Error::NoReplyPath`], what stands in the
    /// way of any payment, [`Error::Store`].
    pub async fn give_refund(&self, request: GiveRefund) -> Result<PaymentRecord, Error> {
        let amount_msat = check::amount(request.amount_msat)?;
        let expiry_secs = match request.expiry_secs {
            0 => EXPIRY_SECS,
            secs if secs > MAX_EXPIRY_SECS => {
                let why = format!("{secs} is more than {MAX_EXPIRY_SECS}, a year");
                return Err(Error::BadLimit("expiry_secs", why));
            }
            secs => secs,
        };
        let named = [&expiry_secs.to_be_bytes()[..], request.description.as_bytes()].concat();
        let fingerprint = check::fingerprint(&named, Some(amount_msat));
        let key = Key::new(request.idempotency_key, fingerprint);
        if let PaymentAdmission::Follow(payment_id) = self.0.book.look(key.as_ref(), None)? {
            return self.get(&payment_id);
        }
        let limits = check::budget(request.limits, amount_msat, &self.0.config)?;
        self.check_sendable(amount_msat, &Constraints::default(), Splitting::Parts)?;

        let payment_id = PaymentId(self.0.node.keys.get_secure_random_bytes());
        let manager = &self.0.node.channel_manager;
        let expires_at = self.0.clock.since_epoch() + Duration::from_secs(expiry_secs);
        let retry = Retry::Timeout(limits.timeout);
        let refund = manager
            .create_refund_builder(amount_msat, expires_at, payment_id, retry, route_config(limits))
            .and_then(|builder| builder.description(request.description.clone()).build());
        let refund = match refund {
            Ok(refund) => refund,
            Err(error) => {
                manager.abandon_payment(payment_id);
                return Err(match error {
                    Bolt12SemanticError::MissingPaths => Error::NoReplyPath,
                    other => Error::Unpayable(format!("{other:?}")),
                });
            }
        };
        let record = PaymentRecord {
            payment_id: payment_id.0,
            payment_hash: payment_id.0,
            amount_msat,
            offer: Some(refund.to_string()),
            description: non_empty(request.description),
            label: non_empty(request.label),
            ..self.blank(PaymentKind::Refund)
        };
        let (record, recorded) = match self.0.book.admit(NewPayment { record, key }) {
            Ok(Admitted::New(record, recorded)) => (record, recorded),
            Ok(Admitted::Follow(first)) => {
                manager.abandon_payment(payment_id);
                return self.get(&first);
            }
            Err(error) => {
                manager.abandon_payment(payment_id);
                return Err(error);
            }
        };
        self.0.node.router.constrain(payment_id, Constraints::default());
        recorded.await?;
        self.0.node.checkpointed().await;
        Ok(*record)
    }
}
