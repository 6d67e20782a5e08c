//! Tells the journal that invoices have expired; the records need no change, as the clock alone says so.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Invoices;
use super::book::InvoiceBook;
use super::record::{EXPIRIES, HeldName, INVOICES, InvoiceRecord, InvoiceState, Stored};
use crate::journal::Entry;
use crate::storage::{self, Batch, Direction};
use crate::tasks::Outcome;

/// How often expired invoices are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most invoices in one batch.
const INVOICES_AT_ONCE: usize = 256;

impl Invoices {
    /// Journals invoices that expire, until `stopping`; those that expired while the daemon was down first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_expiring(self, stopping: CancellationToken) -> Outcome {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => (),
                () = stopping.cancelled() => return Ok(()),
            }
            while self.0.book.expire(self.now())? == INVOICES_AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl InvoiceBook {
    /// Notes in a batch when an invoice that can be paid expires.
    pub(super) fn expect_expiry(&self, batch: &mut Batch, record: &InvoiceRecord) {
        if record.stored == Stored::Open {
            let name = HeldName { payment_hash: record.payment_hash };
            EXPIRIES.put(batch, &key(record), &name);
        }
    }

    /// Journals invoices whose time is over, at most so many as one batch takes; returns how many were looked at.
    ///
    /// A note goes in the same batch as the entry that it leads to, so that each invoice has one, whatever crashes. One
    /// that is paid meanwhile loses its note only; if its HTLCs go back, it gets another.
    pub(super) fn expire(&self, now: u64) -> Result<usize, storage::Error> {
        let mut due = Vec::new();
        EXPIRIES.visit(&self.store, None, Direction::Forward, |key, name| {
            if due.len() >= INVOICES_AT_ONCE || expires_at(key).is_none_or(|at| now <= at) {
                return ControlFlow::Break(());
            }
            due.push((key.to_vec(), name.payment_hash));
            ControlFlow::Continue(())
        })?;
        if due.is_empty() {
            return Ok(0);
        }
        let _changing = self.changing.lock().expect("no panic while held");
        let mut batch = Batch::new();
        for (key, payment_hash) in &due {
            EXPIRIES.delete(&mut batch, key);
            let record = INVOICES.get(&self.store, payment_hash)?;
            let Some(record) = record.filter(|record| record.state(now) == InvoiceState::Expired)
            else {
                continue;
            };
            let InvoiceRecord { payment_hash, amount_msat, .. } = record;
            self.journal.append(&mut batch, Entry::InvoiceExpired { payment_hash, amount_msat });
        }
        drop(self.store.commit(batch));
        Ok(due.len())
    }
}

/// By time, then by hash.
fn key(record: &InvoiceRecord) -> Vec<u8> {
    [&record.expires_at.to_be_bytes()[..], &record.payment_hash].concat()
}

fn expires_at(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::invoices::record::tests::whole;
    use crate::journal::Journal;
    use crate::storage::Store;

    fn open(number: u8, expires_at: u64) -> InvoiceRecord {
        InvoiceRecord {
            payment_hash: [number; 32],
            stored: Stored::Open,
            expires_at,
            settled_at: None,
            ..whole()
        }
    }

    fn expired(book: &InvoiceBook) -> Vec<u8> {
        let entries = book.journal.read(0, 1_000).expect("readable");
        let hash_of = |entry| match entry {
            Entry::InvoiceExpired { payment_hash, .. } => Some(payment_hash[0]),
            _ => None,
        };
        entries.into_iter().filter_map(|numbered| hash_of(numbered.entry)).collect()
    }

    #[test]
    fn each_invoice_that_nobody_pays_is_told_once_also_after_a_crash() {
        let store = Store::temporary();
        let open_book = || {
            let journal = Journal::open(&store, Clock::system()).expect("an empty journal opens");
            InvoiceBook::new(store.clone(), journal)
        };
        let book = open_book();
        for (number, expires_at) in [(1, 10), (2, 20), (3, 30)] {
            book.open(open(number, expires_at), None).expect("it is new").1.wait().expect("stored");
        }
        assert_eq!(book.expire(10).expect("the store works"), 0, "the last second counts");
        let paid = InvoiceRecord { stored: Stored::Settled, ..open(2, 20) };
        drop(book.change(&paid, Batch::new()).expect("the store works"));
        assert_eq!(book.expire(25).expect("the store works"), 2);
        store.sync().wait().expect("the store works");
        assert_eq!(expired(&book), [1]);
        let book = open_book();
        assert_eq!(book.expire(25).expect("the store works"), 0);
        assert_eq!(book.expire(31).expect("the store works"), 1);
        // HTLCs that went back after the time was over.
        drop(book.change(&open(2, 20), Batch::new()).expect("the store works"));
        assert_eq!(book.expire(31).expect("the store works"), 1);
        store.sync().wait().expect("the store works");
        assert_eq!(expired(&book), [1, 3, 2]);
    }
}
