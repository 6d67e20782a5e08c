//! Paying an offer (BOLT 12): an invoice is requested over onion messages, recorded when it comes, and paid.

use std::str::FromStr as _;

use lightning::ln::channelmanager::OptionalOfferPaymentParams;
use lightning::offers::offer::Offer;
use lightning::offers::parse::Bolt12SemanticError;

use super::attempt::SendRequest;
use super::{non_empty, some_constraints};
use crate::idempotency::Key;
use crate::node::planner::Constraints;
use crate::payments::check::Splitting;
use crate::payments::check::{self, AskedLimits};
use crate::payments::offer_terms::{self, OfferTerms};
use crate::payments::records::book::{NewPayment, PaymentAdmission};
use crate::payments::records::record::{FailureReason, PaymentKind, PaymentRecord};
use crate::payments::{Error, PaymentFollower, Payments};

/// An offer to pay.
#[derive(Clone, Debug, Default)]
pub struct PayOffer {
    /// The offer (`lno…`).
    pub offer: String,
    /// Needed for an offer without amount; in all, not for each item.
    pub amount_msat: Option<u64>,
    /// How many items; none for an offer of a single one.
    pub quantity: Option<u64>,
    /// The note that the payee reads (BOLT 12, `invreq_payer_note`).
    pub payer_note: String,
    /// The caller's bounds.
    pub limits: AskedLimits,
    /// Which ways it may go.
    pub constraints: Constraints,
    /// The same key again follows the first payment.
    pub idempotency_key: Option<String>,
    /// The payer's own words.
    pub label: String,
}

/// The longest note that the payee's LDK keeps whole.
const MAX_NOTE_CHARS: usize = 512;

impl Payments {
    /// Pays an offer and follows the payment; an offer can be paid any number of times.
    ///
    /// # Errors
    /// Refusals before anything is recorded; whatever happens later is a state of the payment.
    pub async fn pay_offer(&self, request: PayOffer) -> Result<PaymentFollower, Error> {
        let offer = Offer::from_str(request.offer.trim())
            .map_err(|error| Error::NotAnOffer(format!("{error:?}")))?;
        let facts = self.facts();
        let OfferTerms { amount_msat, quantity, description, payee } =
            offer_terms::terms(&offer, request.amount_msat, request.quantity, &facts)?;
        if request.payer_note.chars().count() > MAX_NOTE_CHARS {
            let why = format!("has more than {MAX_NOTE_CHARS} characters");
            return Err(Error::BadLimit("payer_note", why));
        }
        if !request.constraints.is_empty() {
            let why = "cannot be given for an offer: where the payee is is known only with the \
                       invoice";
            return Err(Error::BadConstraint("constraints", why.to_owned()));
        }
        let named = [&offer.id().0[..], &quantity.unwrap_or(0).to_be_bytes()].concat();
        let fingerprint = check::fingerprint(&named, Some(amount_msat));
        let key = Key::new(request.idempotency_key, fingerprint);
        if let PaymentAdmission::Follow(payment_id) = self.0.book.look(key.as_ref(), None)? {
            return self.follow(payment_id);
        }
        let limits = check::budget(request.limits, amount_msat, &self.0.config)?;
        offer_terms::not_expired(&offer, self.0.clock.since_epoch())?;
        self.check_sendable(amount_msat, &request.constraints, Splitting::Parts)?;
        let blank = self.blank(PaymentKind::Bolt12);
        let payer_note = non_empty(request.payer_note);
        let record = PaymentRecord {
            // Until the invoice tells the true one.
            payment_hash: blank.payment_id,
            constraints: some_constraints(request.constraints),
            payee,
            amount_msat,
            offer: Some(offer.to_string()),
            description: non_empty(description),
            payer_note: payer_note.clone(),
            quantity,
            label: non_empty(request.label),
            ..blank
        };
        let send = SendRequest::Offer { offer: Box::new(offer), amount_msat, quantity, payer_note };
        self.start(NewPayment { record, key }, send, limits)
    }

    /// Asks for an invoice; LDK repeats the request for a minute or two and then gives up.
    pub(super) fn request_invoice(
        &self,
        payment_id: lightning::ln::channelmanager::PaymentId,
        offer: &Offer,
        amount_msat: u64,
        quantity: Option<u64>,
        parameters: OptionalOfferPaymentParams,
    ) -> Result<(), FailureReason> {
        let manager = &self.0.node.channel_manager;
        let requested = match quantity {
            None => manager.pay_for_offer(offer, Some(amount_msat), payment_id, parameters),
            Some(quantity) => manager.pay_for_offer_with_quantity(
                offer,
                Some(amount_msat),
                payment_id,
                parameters,
                quantity,
            ),
        };
        match requested {
            // LDK has this very payment in hand, so it will tell its end.
            Ok(()) | Err(Bolt12SemanticError::DuplicatePaymentId) => Ok(()),
            Err(Bolt12SemanticError::AlreadyExpired) => Err(FailureReason::PaymentExpired),
            Err(Bolt12SemanticError::MissingPaths) => Err(FailureReason::NoReplyPath),
            Err(Bolt12SemanticError::UnknownRequiredFeatures) => {
                Err(FailureReason::UnknownRequiredFeatures)
            }
            Err(error) => {
                tracing::warn!(?error, "LDK does not request an invoice");
                Err(FailureReason::Unexpected)
            }
        }
    }
}
