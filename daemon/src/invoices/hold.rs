//! Hold invoices: their HTLCs wait until the user settles or cancels them, or until their deadline comes near.
//!
//! An invoice is accepted only when the checkpoint that holds its HTLCs is durable: a swap partner who acts on
//! HTLCs that a crash undoes loses money. The record of what the user decided is durable before LDK acts on it, and
//! a start carries out again what is recorded, so that a kill between any two steps leaves no HTLC to its expiry,
//! where the channel would be closed by force.

use bitcoin::hashes::{Hash as _, sha256};
use lightning::ln::channel_state::InboundHTLCStateDetails;
use lightning::ln::channelmanager::FailureCode;
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::record::{CancelReason, InvoiceRecord, Stored};
use super::{Error, Invoices};
use crate::chain::Tip;
use crate::storage;
use crate::tasks::{Outcome, Stage};

impl Invoices {
    /// Claims the HTLCs of a hold invoice that is accepted; the same preimage again does no harm.
    ///
    /// The record returned is durable, and the claim is made even if the daemon dies now; the money has arrived when
    /// the invoice is settled.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::WrongPreimage`], [`Error::NotHeld`], [`Error::NotAccepted`], [`Error::TooLate`],
    /// [`Error::DeadlineReached`], [`Error::Store`].
    pub async fn settle(
        &self,
        payment_hash: Option<[u8; 32]>,
        preimage: [u8; 32],
    ) -> Result<InvoiceRecord, Error> {
        let payment_hash =
            payment_hash.unwrap_or_else(|| sha256::Hash::hash(&preimage).to_byte_array());
        let height = self.0.node.channel_manager.current_best_block().height;
        let (record, commit) =
            self.0.book.settle_held(&payment_hash, preimage, height, self.now())?;
        if record.stored == Stored::Claiming {
            self.claim(preimage);
        }
        commit.await?;
        Ok(record)
    }

    /// The record of a held set is enqueued: accepts it once the checkpoint that holds its HTLCs is durable.
    pub(super) fn accept_when_durable(&self, record: &InvoiceRecord) {
        let invoices = self.clone();
        let (payment_hash, claim_id) = (record.payment_hash, record.claim_id);
        self.0.tasks.spawn_once(Stage::Work, "accept a hold invoice", async move {
            let stopping = invoices.0.tasks.stopping(Stage::Work);
            tokio::select! {
                () = invoices.0.node.checkpointed() => (),
                // The next start finds the record and the HTLCs.
                () = stopping.cancelled() => return,
            }
            if let Err(error) = invoices.0.book.accept(&payment_hash, claim_id, invoices.now()) {
                tracing::error!(%error, "cannot record that a hold invoice is accepted");
            }
        });
    }

    /// Carries out what is recorded of held HTLCs and was not done before the daemon stopped.
    ///
    /// Call it after LDK has replayed its events.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn resume_held(&self) -> Result<(), storage::Error> {
        for record in self.0.book.held()? {
            let payment_hash = PaymentHash(record.payment_hash);
            match record.stored {
                Stored::Arrived if self.htlcs_msat(&payment_hash) < record.received_msat => {
                    self.0.book.reopen(&record.payment_hash)?;
                }
                Stored::Arrived => self.accept_when_durable(&record),
                Stored::Accepted => (),
                Stored::Claiming => {
                    if let Some(preimage) = record.preimage {
                        self.claim(preimage);
                    }
                }
                Stored::Cancelled if self.htlcs_msat(&payment_hash) > 0 => {
                    self.fail_held(&payment_hash);
                }
                Stored::Cancelled | Stored::Settled | Stored::Open => {
                    self.0.book.released(&record.payment_hash);
                }
            }
        }
        Ok(())
    }

    /// Cancels held invoices whose deadline comes near, at each new tip.
    ///
    /// LDK fails HTLCs back at the deadline one by one, and claims a set only whole: so the set is failed before.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub async fn cancel_in_time(
        self,
        mut tip: watch::Receiver<Tip>,
        stopping: CancellationToken,
    ) -> Outcome {
        loop {
            let height = tip.borrow_and_update().height;
            for record in self.0.book.held()? {
                if is_due(&record, height, self.0.config.hold_cancel_blocks) {
                    self.cancel_held(&record).await?;
                }
            }
            tokio::select! {
                changed = tip.changed() => if changed.is_err() { return Ok(()) },
                () = stopping.cancelled() => return Ok(()),
            }
        }
    }

    async fn cancel_held(&self, record: &InvoiceRecord) -> Result<(), storage::Error> {
        let payment_hash = PaymentHash(record.payment_hash);
        match self.0.book.cancel(&record.payment_hash, CancelReason::Deadline, self.now()) {
            Ok((_, commit)) => {
                tracing::warn!(
                    %payment_hash,
                    amount_msat = record.received_msat,
                    "cancelled a hold invoice that was not settled before its deadline"
                );
                commit.await?;
                self.fail_held(&payment_hash);
                Ok(())
            }
            Err(Error::Store(error)) => Err(error),
            // The user has settled or cancelled it meanwhile.
            Err(_) => Ok(()),
        }
    }

    /// LDK has failed an HTLC for a hold invoice's hash.
    pub(super) fn hold_failed(&self, record: &InvoiceRecord) -> Result<(), storage::Error> {
        let payment_hash = PaymentHash(record.payment_hash);
        let left_msat = self.htlcs_msat(&payment_hash);
        if record.is_held() {
            // An HTLC beyond the set, which LDK fails as it comes, changes nothing.
            if left_msat >= record.received_msat {
                return Ok(());
            }
            self.0.book.went_back(&record.payment_hash)?;
            self.fail_held(&payment_hash);
            return Ok(());
        }
        self.0.book.went_back(&record.payment_hash)?;
        if record.stored == Stored::Cancelled && left_msat == 0 {
            self.0.book.released(&record.payment_hash);
        }
        Ok(())
    }

    pub(super) fn fail_held(&self, payment_hash: &PaymentHash) {
        let code = FailureCode::IncorrectOrUnknownPaymentDetails;
        self.0.node.channel_manager.fail_htlc_backwards_with_reason(payment_hash, code);
        self.0.node.wake();
    }

    fn claim(&self, preimage: [u8; 32]) {
        self.0.node.channel_manager.claim_funds(PaymentPreimage(preimage));
        self.0.node.wake();
    }

    /// What open channels hold for a payment hash and do not give back.
    fn htlcs_msat(&self, payment_hash: &PaymentHash) -> u64 {
        let channels = self.0.node.channel_manager.list_channels();
        let htlcs = channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs);
        htlcs
            .filter(|htlc| htlc.payment_hash == *payment_hash)
            .filter(|htlc| {
                htlc.state != Some(InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFail)
            })
            .fold(0, |sum: u64, htlc| sum.saturating_add(htlc.amount_msat))
    }
}

fn is_due(record: &InvoiceRecord, height: u32, margin_blocks: u32) -> bool {
    let deadline = record.claim_deadline_height;
    record.is_held()
        && deadline.is_some_and(|deadline| height.saturating_add(margin_blocks) >= deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::record::tests::whole;

    #[test]
    fn a_held_invoice_is_due_a_few_blocks_before_its_deadline() {
        let record = |stored, claim_deadline_height| InvoiceRecord {
            stored,
            claim_deadline_height,
            ..whole()
        };
        for (stored, deadline, height, due) in [
            (Stored::Accepted, Some(100), 97, false),
            (Stored::Accepted, Some(100), 98, true),
            (Stored::Accepted, Some(100), 200, true),
            (Stored::Arrived, Some(100), 98, true),
            (Stored::Claiming, Some(100), 98, false),
            (Stored::Cancelled, Some(100), 98, false),
            (Stored::Accepted, None, 98, false),
        ] {
            assert_eq!(is_due(&record(stored, deadline), height, 2), due, "{stored:?} {height}");
        }
    }
}
