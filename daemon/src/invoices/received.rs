//! What came in, in the order in which it became durable: a log of its own, which subscribers resume by number.

use lightning::impl_writeable_tlv_based;

use super::record::{InvoiceKind, InvoiceRecord};
use super::{Error, Invoices};
use crate::storage::{self, Batch, Log, LogFollower, PruneStep, RetentionClass, record};

/// Money that came in; written in the batch that settles its invoice.
pub(super) const RECEIVED: Log<Receipt> = Log::new("invoices_received");
/// How many entries retention removes in one step.
const STEP_ENTRIES: usize = 256;

/// Money that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The hash of its invoice.
    pub payment_hash: [u8; 32],
    /// How much.
    pub received_msat: u64,
    /// Seconds since 1970.
    pub received_at: u64,
}
impl_writeable_tlv_based!(Receipt, {
    (0, payment_hash, required),
    (2, received_msat, required),
    (4, received_at, required),
});
record!(Receipt, kind = 33, version = 1);

/// An entry of the stream of what came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number, one more than that of the entry before.
    pub index: u64,
    /// What came.
    pub receipt: Receipt,
    /// The record as it is now; none where retention removed it.
    pub invoice: Option<InvoiceRecord>,
}

/// Adds a receipt to the batch that settles its invoice. What we paid to ourselves is no income.
pub(super) fn note(batch: &mut Batch, invoice: &InvoiceRecord, received_msat: u64, now: u64) {
    match invoice.kind {
        InvoiceKind::Rebalance => (),
        InvoiceKind::Bolt11 | InvoiceKind::Keysend | InvoiceKind::Bolt12 | InvoiceKind::Hold => {
            RECEIVED.append(
                batch,
                &Receipt { payment_hash: invoice.payment_hash, received_msat, received_at: now },
            )
        }
    }
}

/// A position in what came in, which moves on with it.
pub struct Receiving {
    follower: LogFollower<Receipt>,
    invoices: Invoices,
}

impl Receiving {
    /// Returns what came in next, durable; none after the last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Received>, storage::Error> {
        let Some((index, receipt)) = self.follower.next().await? else { return Ok(None) };
        let invoice = self.invoices.0.book.get(&receipt.payment_hash)?;
        Ok(Some(Received { index, receipt, invoice }))
    }

    /// Returns the time in seconds since 1970 by which states are computed.
    pub fn now(&self) -> u64 {
        self.invoices.now()
    }
}

impl Invoices {
    /// Returns the number of the last durable receipt; 0 while there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn received_head(&self) -> Result<u64, Error> {
        Ok(*RECEIVED.head(&self.0.book.store)?.borrow())
    }

    /// Follows what came in after the receipt with the number `after`, up to `last` if one is given.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn receiving(&self, after: u64, last: Option<u64>) -> Result<Receiving, Error> {
        let follower = RECEIVED.follow(&self.0.book.store, after, last)?;
        Ok(Receiving { follower, invoices: self.clone() })
    }

    /// Receipts, kept for so many days; 0 forever. The newest stays, so that numbers go on.
    pub fn received_history(&self, keep_days: u32) -> RetentionClass {
        let invoices = self.clone();
        RetentionClass::new("receipts", keep_days, move |before, _| {
            let store = &invoices.0.book.store;
            let head = *RECEIVED.head(store)?.borrow();
            let mut batch = Batch::new();
            let old = |receipt: &Receipt| receipt.received_at < before;
            let gone = RECEIVED.prune(store, &mut batch, head, STEP_ENTRIES, old)?;
            store.commit_lazily(batch);
            Ok(PruneStep { records: gone as u64, next: (gone == STEP_ENTRIES).then_some(0) })
        })
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex as _, FromHex as _};

    use super::*;
    use crate::storage::Record;

    /// What this release writes; never to be edited, only joined by what later versions write.
    const VERSION_1: &str = "360020010101010101010101010101010101010101010101010101010101010101010102080000000000000002\
        04080000000000000003";

    #[test]
    fn what_was_stored_stays_readable() {
        let whole = Receipt { payment_hash: [1; 32], received_msat: 2, received_at: 3 };
        assert_eq!(Record::encode(&whole).to_lower_hex_string(), VERSION_1);
        let stored = Vec::from_hex(VERSION_1).expect("it is hex");
        assert_eq!(Receipt::decode(1, &stored), Ok(whole));
    }
}
