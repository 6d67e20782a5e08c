//! The invoice that comes for an offer that we pay, or for a refund that we give: recorded, then paid.
//!
//! LDK keeps the invoice's event until it is handled, so that a kill before the record replays it; the HTLCs leave
//! only after a checkpoint that is durable later than the record.

use lightning::blinded_path::message::OffersContext;
use lightning::ln::channelmanager::{Bolt12PaymentError, PaymentId};
use lightning::offers::invoice::Bolt12Invoice;
use lightning::util::ser::Writeable as _;

use crate::payments::records::record::{FailureReason, PaymentRecord, PaymentState, hex};
use crate::payments::records::transition::{PaymentIds, PaymentUpdate};
use crate::payments::{Payments, blocking};
use crate::storage;

impl Payments {
    /// Takes in LDK's `InvoiceReceived`.
    ///
    /// # Errors
    /// When the record cannot be read: LDK is to tell it again.
    pub fn invoice_received(
        &self,
        payment_id: PaymentId,
        invoice: &Bolt12Invoice,
        context: Option<&OffersContext>,
    ) -> Result<(), storage::Error> {
        let manager = &self.0.node.channel_manager;
        let payment_hash = invoice.payment_hash().0;
        let record = self.0.book.get(&payment_id.0)?;
        let earlier = self.0.book.last_attempt(&payment_hash)?;
        let name = PaymentIds { payment_id: payment_id.0, payment_hash };
        match acceptable(record.as_ref(), earlier.as_ref(), invoice.amount_msats()) {
            Ok(()) => {
                let news = PaymentUpdate::Invoiced {
                    payment_hash,
                    payee: invoice.signing_pubkey(),
                    invoice: invoice.encode(),
                };
                self.apply(name, news)?;
            }
            Err(why) => {
                tracing::info!(payment_id = %hex(&payment_id.0), ?why, "refused an invoice");
                self.apply(name, PaymentUpdate::Failed(why, None))?;
                manager.abandon_payment(payment_id);
                self.0.node.wake();
                return Ok(());
            }
        }
        match blocking(|| manager.send_payment_for_bolt12_invoice(invoice, context)) {
            // A replayed event finds the payment under way.
            Ok(())
            | Err(Bolt12PaymentError::DuplicateInvoice | Bolt12PaymentError::UnexpectedInvoice) => {
            }
            // LDK has given the payment up, and tells so.
            Err(
                error @ (Bolt12PaymentError::SendingFailed(_)
                | Bolt12PaymentError::UnknownRequiredFeatures
                | Bolt12PaymentError::BlindedPathCreationFailed),
            ) => {
                tracing::debug!(payment_id = %hex(&payment_id.0), ?error, "an invoice is not paid");
            }
        }
        self.0.node.wake();
        Ok(())
    }
}

/// Whether an invoice is paid for a payment; `earlier` is the newest payment to the same hash.
fn acceptable(
    record: Option<&PaymentRecord>,
    earlier: Option<&PaymentRecord>,
    amount_msat: u64,
) -> Result<(), FailureReason> {
    // LDK asked for it in a run whose record a kill has undone: nobody waits for it.
    let Some(record) = record else { return Err(FailureReason::NotSentBeforeRestart) };
    if record.state != PaymentState::Pending || record.cancelling {
        return Err(FailureReason::Cancelled);
    }
    if amount_msat != record.amount_msat {
        return Err(FailureReason::InvoiceUnacceptable);
    }
    // Nodes that forwarded the earlier payment know the preimage and could keep this one.
    let is_used = earlier.is_some_and(|earlier| {
        earlier.payment_id != record.payment_id && earlier.state != PaymentState::Failed
    });
    if is_used { Err(FailureReason::InvoiceUnacceptable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::records::record::PaymentKind;

    #[test]
    fn only_the_invoice_that_was_asked_for_is_paid() {
        let pending = PaymentRecord {
            amount_msat: 500,
            ..PaymentRecord::begun([1; 32], [1; 32], PaymentKind::Bolt12, 5)
        };
        let cancelling = PaymentRecord { cancelling: true, ..pending.clone() };
        let ended = PaymentRecord { state: PaymentState::Failed, ..pending.clone() };
        let other = |state| PaymentRecord { payment_id: [2; 32], state, ..pending.clone() };
        use FailureReason::{Cancelled, InvoiceUnacceptable, NotSentBeforeRestart};
        for (name, record, earlier, amount_msat, expected) in [
            ("as asked", Some(&pending), None, 500, Ok(())),
            ("replayed", Some(&pending), Some(&pending), 500, Ok(())),
            ("again", Some(&pending), Some(&other(PaymentState::Failed)), 500, Ok(())),
            ("more", Some(&pending), None, 501, Err(InvoiceUnacceptable)),
            ("less", Some(&pending), None, 499, Err(InvoiceUnacceptable)),
            (
                "hash of a payment that was made",
                Some(&pending),
                Some(&other(PaymentState::Succeeded)),
                500,
                Err(InvoiceUnacceptable),
            ),
            (
                "hash of a payment under way",
                Some(&pending),
                Some(&other(PaymentState::Pending)),
                500,
                Err(InvoiceUnacceptable),
            ),
            ("cancelled", Some(&cancelling), None, 500, Err(Cancelled)),
            ("ended", Some(&ended), None, 500, Err(Cancelled)),
            ("unknown", None, None, 500, Err(NotSentBeforeRestart)),
        ] {
            assert_eq!(acceptable(record, earlier, amount_msat), expected, "{name}");
        }
    }
}
