//! After a restart: what became of the payments that had not ended.

use std::collections::HashSet;

use lightning::ln::channelmanager::PaymentId;

use crate::payments::Payments;
use crate::payments::records::known_to_ldk::id_of;
use crate::payments::records::record::{FailureReason, PaymentRecord, hex};
use crate::payments::records::transition::{PaymentIds, PaymentUpdate};
use crate::storage;

/// What to do about a payment that had not ended when the daemon stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// LDK will tell how it ends.
    Wait,
    /// LDK will tell how it ends, and may have forgotten that the user gave up.
    AbandonAgain,
    /// It never reached LDK.
    Fail,
}

/// Decides by whether LDK knows the payment.
///
/// LDK keeps a payment in its manager until the event of its end was handled, and takes those that only a
/// channel monitor knows from there when it is restored; a fulfilled one stays in the list for minutes. One
/// that it does not know has no HTLC anywhere: the kill came between the record and the sending, or LDK's
/// event of its failure was handled or is still to come.
fn action(cancelling: bool, known_to_ldk: bool) -> Action {
    match (known_to_ldk, cancelling) {
        (false, _) => Action::Fail,
        (true, true) => Action::AbandonAgain,
        (true, false) => Action::Wait,
    }
}

impl Payments {
    /// Settles payments that had not ended when the daemon stopped; returns how many LDK still has in hand.
    ///
    /// Call it once, after LDK is restored and before new payments come in. A payment whose end is in LDK's
    /// queue of events, no longer in its list, has failed as well; the event then tells the true reason.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reconcile(&self) -> Result<usize, storage::Error> {
        let known: HashSet<[u8; 32]> = self
            .0
            .node
            .channel_manager
            .list_recent_payments()
            .iter()
            .map(|payment| id_of(payment).0)
            .collect();
        let pending = self.0.book.pending()?;
        let mut in_hand = 0;
        for mut record in pending {
            // LDK may try again as soon as it runs: on the ways that the payer allowed, as before.
            let constraints = record.constraints.take().unwrap_or_default();
            self.0.node.router.constrain(PaymentId(record.payment_id), constraints);
            match action(record.cancelling, known.contains(&record.payment_id)) {
                Action::Wait => in_hand += 1,
                Action::AbandonAgain => {
                    in_hand += 1;
                    self.0.node.channel_manager.abandon_payment(PaymentId(record.payment_id));
                }
                Action::Fail => self.never_sent(&record)?,
            }
        }
        Ok(in_hand)
    }

    fn never_sent(&self, record: &PaymentRecord) -> Result<(), storage::Error> {
        self.0.node.router.release(&PaymentId(record.payment_id));
        let reason = why_failed(record.cancelling, !record.parts.is_empty());
        tracing::info!(
            payment_id = %hex(&record.payment_id),
            reason = reason.word(),
            "a payment was not under way when the daemon stopped"
        );
        let name = PaymentIds { payment_id: record.payment_id, payment_hash: record.payment_hash };
        self.0
            .book
            .apply(name, PaymentUpdate::Failed(reason, None), self.0.clock.unix_millis())
            .map(drop)
    }
}

/// Why a payment failed that LDK does not know.
fn why_failed(cancelling: bool, parts_failed: bool) -> FailureReason {
    match (cancelling, parts_failed) {
        (true, _) => FailureReason::Cancelled,
        // The kill came while it waited for its next round.
        (false, true) => FailureReason::RetriesExhausted,
        (false, false) => FailureReason::NotSentBeforeRestart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_tells_whether_anything_was_tried() {
        assert_eq!(why_failed(true, true), FailureReason::Cancelled);
        assert_eq!(why_failed(false, true), FailureReason::RetriesExhausted);
        assert_eq!(why_failed(false, false), FailureReason::NotSentBeforeRestart);
    }

    #[test]
    fn only_what_ldk_does_not_know_has_failed() {
        for (cancelling, known_to_ldk, expected) in [
            (false, true, Action::Wait),
            (true, true, Action::AbandonAgain),
            (false, false, Action::Fail),
            (true, false, Action::Fail),
        ] {
            assert_eq!(action(cancelling, known_to_ldk), expected, "{cancelling} {known_to_ldk}");
        }
    }
}
