//! The records of invoices: written whole, read by point, and never changed by two at once.

use std::sync::Mutex;

use super::Error;
use super::abandoned::is_abandoned;
use super::arrival::Arrival;
use super::claim::{self, Decision};
use super::keysend::Keysends;
use super::record::{
    BY_KEY, CancelReason, HELD, HeldName, INVOICES, InvoiceKind, InvoiceRecord, InvoiceState,
    Stored,
};
use crate::idempotency::{self, Key};
use crate::journal::{Entry, Journal, ReceiptKind};
use crate::storage::{
    self, Batch, Commit, Page, PruneDecision, PruneStep, Store, Subscription, Subscriptions,
};

/// Invoices read at once while abandoned ones are looked for.
const REOPEN_PAGE: usize = 1_000;

/// All invoices, on disk.
pub(super) struct InvoiceBook {
    pub(super) store: Store,
    pub(super) journal: Journal,
    watches: Subscriptions<InvoiceRecord>,
    /// Held from reading a record until its change is enqueued; reads see enqueued writes.
    pub(super) changing: Mutex<()>,
}

impl InvoiceBook {
    pub(super) fn new(store: Store, journal: Journal) -> Self {
        let watches = Subscriptions::new(store.clone());
        Self { store, journal, watches, changing: Mutex::new(()) }
    }

    /// The invoice that was made under a key before.
    pub(super) fn made_before(&self, key: Option<&Key>) -> Result<Option<InvoiceRecord>, Error> {
        let Some(key) = key else { return Ok(None) };
        let first = BY_KEY.get(&self.store, &key.text)?;
        match idempotency::first_outcome(first, &key.fingerprint).map_err(|_| Error::KeyReused)? {
            None => Ok(None),
            Some(payment_hash) => Ok(INVOICES.get(&self.store, &payment_hash)?),
        }
    }

    /// Completes when all that was written down before is durable.
    pub(super) fn sync(&self) -> Commit {
        self.store.sync()
    }

    /// Writes a new invoice down, unless its key or its hash has one; returns what is in the book then.
    pub(super) fn open(
        &self,
        mut record: InvoiceRecord,
        key: Option<Key>,
    ) -> Result<(InvoiceRecord, Commit), Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        if let Some(record) = self.made_before(key.as_ref())? {
            return Ok((record, self.store.sync()));
        }
        if INVOICES.get(&self.store, &record.payment_hash)?.is_some() {
            return Err(Error::HashTaken);
        }
        record.idempotency_key = key.as_ref().map(|key| key.text.clone());
        let mut batch = Batch::new();
        INVOICES.insert(&self.store, &mut batch, &record.payment_hash, &record)?;
        if let Some(key) = &key {
            BY_KEY.put(&mut batch, key, record.payment_hash);
        }
        self.journal.append(
            &mut batch,
            Entry::InvoiceCreated {
                payment_hash: record.payment_hash,
                amount_msat: record.amount_msat,
            },
        );
        Ok((record, self.store.commit(batch)))
    }

    /// Cancels an invoice that is open or held; one that was cancelled before stays so.
    ///
    /// Held HTLCs are to be failed afterwards; the invoice stays listed as held until they are.
    pub(super) fn cancel(
        &self,
        payment_hash: &[u8; 32],
        reason: CancelReason,
        now: u64,
    ) -> Result<(InvoiceRecord, Commit), Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let record = self.get(payment_hash)?.ok_or(Error::Unknown)?;
        match record.state(now) {
            InvoiceState::Cancelled => Ok((record, self.store.sync())),
            InvoiceState::Open | InvoiceState::Accepted => {
                let record = InvoiceRecord {
                    stored: Stored::Cancelled,
                    cancel_reason: Some(reason),
                    ..record
                };
                let commit = self.change(&record, self.cancelled(&record))?;
                Ok((record, commit))
            }
            state @ (InvoiceState::Claiming | InvoiceState::Settled | InvoiceState::Expired) => {
                Err(Error::TooLate(state))
            }
        }
    }

    /// Decides about money that has arrived, and writes down that it is being claimed.
    pub(super) fn arrived(
        &self,
        arrival: Arrival,
        keysends: Keysends,
        now: u64,
    ) -> Result<Decision, storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let before = self.get(&arrival.payment_hash)?;
        let decision = claim::decide(before, arrival, keysends, now);
        match &decision {
            // The monitor update that gives the preimage away is enqueued later, so it is durable later.
            Decision::Claim(record, _) => drop(self.change(record, Batch::new())?),
            // Before LDK forgets the event: a start finds the HTLCs by this name.
            Decision::Hold(record) => {
                let mut batch = Batch::new();
                let payment_hash = record.payment_hash;
                HELD.put(&mut batch, &payment_hash, &HeldName { payment_hash });
                drop(self.change(record, batch)?);
            }
            Decision::ClaimAgain(_) | Decision::Refuse(_) => (),
        }
        Ok(decision)
    }

    /// Writes down that money was claimed.
    pub(super) fn settle(&self, arrival: Arrival, now: u64) -> Result<(), storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let before = self.get(&arrival.payment_hash)?;
        let received_msat = arrival.amount_msat;
        let Some(record) = claim::settled(before, arrival, now) else { return Ok(()) };
        let mut batch = Batch::new();
        HELD.delete(&mut batch, &record.payment_hash);
        self.journal.append(
            &mut batch,
            Entry::InvoiceSettled {
                payment_hash: record.payment_hash,
                received_msat,
                kind: journal_kind(record.kind),
            },
        );
        self.change(&record, batch).map(drop)
    }

    /// Writes down that what was to be claimed went back.
    pub(super) fn went_back(&self, payment_hash: &[u8; 32]) -> Result<(), storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        match self.get(payment_hash)?.and_then(claim::went_back) {
            Some(record) if record.stored == Stored::Cancelled => {
                self.change(&record, self.cancelled(&record)).map(drop)
            }
            Some(record) => self.change(&record, Batch::new()).map(drop),
            None => Ok(()),
        }
    }

    /// Lets invoices be paid again that were being claimed when the daemon stopped, unless `is_known` to LDK; returns their
    /// payment hashes.
    pub(super) fn reopen_abandoned(
        &self,
        is_known: impl Fn(&[u8; 32]) -> bool,
    ) -> Result<Vec<[u8; 32]>, storage::Error> {
        let mut abandoned = Vec::new();
        let mut token = Vec::new();
        loop {
            let page =
                self.page(&token, REOPEN_PAGE, |record| record.stored == Stored::Claiming)?;
            abandoned.extend(page.items.into_iter().map(|(_, record)| record.payment_hash));
            token = page.next_token;
            if token.is_empty() {
                break;
            }
        }
        let _changing = self.changing.lock().expect("no panic while held");
        let mut reopened = Vec::new();
        for payment_hash in abandoned {
            let record = self.get(&payment_hash)?;
            let record = record.filter(|it| is_abandoned(it, is_known(&payment_hash)));
            if let Some(record) = record.and_then(claim::went_back) {
                drop(self.change(&record, Batch::new())?);
                reopened.push(payment_hash);
            }
        }
        Ok(reopened)
    }

    pub(super) fn get(
        &self,
        payment_hash: &[u8; 32],
    ) -> Result<Option<InvoiceRecord>, storage::Error> {
        INVOICES.get(&self.store, payment_hash)
    }

    pub(super) fn page(
        &self,
        token: &[u8],
        limit: usize,
        filter: impl Fn(&InvoiceRecord) -> bool,
    ) -> Result<Page<InvoiceRecord>, storage::Error> {
        INVOICES.page(&self.store, token, limit, filter)
    }

    /// Forgets, in one short step, the invoices that `decide` lets go, with their keys.
    pub(super) fn forget(
        &self,
        from: u64,
        decide: impl Fn(&InvoiceRecord) -> PruneDecision,
    ) -> Result<PruneStep, storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let mut batch = Batch::new();
        let pruned = INVOICES.prune(&self.store, &mut batch, from, 1, decide)?;
        for (_, record) in &pruned.removed {
            if let Some(key) = &record.idempotency_key {
                BY_KEY.delete(&mut batch, key);
            }
        }
        self.store.commit_lazily(batch);
        Ok(pruned.step())
    }

    /// Watches an invoice; read its record afterwards.
    pub(super) fn watch(&self, payment_hash: [u8; 32]) -> Subscription<InvoiceRecord> {
        self.watches.watch(payment_hash)
    }

    /// What belongs to the change of a record to cancelled.
    fn cancelled(&self, record: &InvoiceRecord) -> Batch {
        let mut batch = Batch::new();
        let reason = record.cancel_reason.unwrap_or(CancelReason::HtlcsFailed);
        self.journal.append(
            &mut batch,
            Entry::InvoiceCancelled {
                payment_hash: record.payment_hash,
                reason: reason.word().to_owned(),
            },
        );
        batch
    }

    /// Enqueues a record with what else belongs to its change, and tells its watchers.
    pub(super) fn change(
        &self,
        record: &InvoiceRecord,
        mut batch: Batch,
    ) -> Result<Commit, storage::Error> {
        INVOICES.insert(&self.store, &mut batch, &record.payment_hash, record)?;
        let commit = self.store.commit(batch);
        self.watches.publish(&record.payment_hash, record);
        Ok(commit)
    }
}

fn journal_kind(kind: InvoiceKind) -> ReceiptKind {
    match kind {
        InvoiceKind::Bolt11 => ReceiptKind::Bolt11,
        InvoiceKind::Bolt12 => ReceiptKind::Bolt12,
        InvoiceKind::Keysend => ReceiptKind::Keysend,
        InvoiceKind::Rebalance => ReceiptKind::Rebalance,
        InvoiceKind::Hold => ReceiptKind::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::invoices::record::CustomRecord;

    fn book() -> InvoiceBook {
        let store = Store::temporary();
        let journal = Journal::open(&store, Clock::system()).expect("an empty journal opens");
        InvoiceBook::new(store, journal)
    }

    fn an_invoice(payment_hash: [u8; 32]) -> InvoiceRecord {
        InvoiceRecord {
            payment_hash,
            stored: Stored::Open,
            kind: InvoiceKind::Bolt11,
            bolt11: Some("lnbcrt1".to_owned()),
            amount_msat: Some(500),
            received_msat: 0,
            description: Some("bread".to_owned()),
            description_hash: None,
            created_at: 10,
            expires_at: 20,
            settled_at: None,
            preimage: None,
            custom_records: vec![CustomRecord { kind: 65_537, value: vec![1, 2] }],
            parts: 0,
            claim_id: None,
            idempotency_key: None,
            claim_deadline_height: None,
            accepted_at: None,
            cancel_reason: None,
            request: None,
        }
    }

    fn arrival(payment_hash: [u8; 32]) -> Arrival {
        Arrival {
            payment_hash,
            kind: InvoiceKind::Bolt11,
            amount_msat: 500,
            preimage: Some([2; 32]),
            claim_id: Some([3; 32]),
            custom_records: Vec::new(),
            parts: 1,
            claim_deadline_height: Some(99),
            request: None,
        }
    }

    fn key(fingerprint: u8) -> Option<Key> {
        Key::new(Some("order 7".to_owned()), [fingerprint; 32])
    }

    #[tokio::test]
    async fn an_invoice_is_made_once_under_a_key_and_a_hash() {
        let book = book();
        let (made, commit) = book.open(an_invoice([1; 32]), key(1)).expect("it is new");
        commit.await.expect("the store works");
        let (again, _) = book.open(an_invoice([2; 32]), key(1)).expect("the first one is shown");
        assert_eq!(again, made);
        assert!(matches!(book.open(an_invoice([2; 32]), key(9)), Err(Error::KeyReused)));
        assert!(matches!(book.open(an_invoice([1; 32]), None), Err(Error::HashTaken)));
        assert_eq!(book.page(&[], 10, |_| true).expect("readable").items.len(), 1);
    }

    #[tokio::test]
    async fn money_is_taken_once_and_watchers_see_it() {
        let book = book();
        drop(book.open(an_invoice([1; 32]), None).expect("it is new"));
        let mut watch = book.watch([1; 32]);
        let first =
            book.arrived(arrival([1; 32]), Keysends::AtLeast(1), 15).expect("the store works");
        assert!(matches!(first, Decision::Claim(..)));
        assert_eq!(watch.changed().await.expect("the store works").stored, Stored::Claiming);
        let replayed =
            book.arrived(arrival([1; 32]), Keysends::AtLeast(1), 25).expect("the store works");
        assert_eq!(replayed, Decision::ClaimAgain([2; 32]));
        for _ in 0..2 {
            book.settle(arrival([1; 32]), 16).expect("the store works");
        }
        let settled = watch.changed().await.expect("the store works");
        assert_eq!((settled.stored, settled.received_msat), (Stored::Settled, 500));
        assert!(matches!(
            book.cancel(&[1; 32], CancelReason::ByUser, 17),
            Err(Error::TooLate(InvoiceState::Settled))
        ));
        book.store.sync().await.expect("the store works");
        let told = book.journal.read(0, 10).expect("readable");
        assert_eq!(told.len(), 2, "created and settled, once each");
    }

    #[tokio::test]
    async fn what_ldk_does_not_hold_after_a_restart_is_open_again() {
        let book = book();
        for hash in 1..=3 {
            drop(book.open(an_invoice([hash; 32]), None).expect("it is new"));
        }
        for hash in 1..=2 {
            let arrival = arrival([hash; 32]);
            book.arrived(arrival, Keysends::Off, 15).expect("the store works");
        }
        let reopened = book.reopen_abandoned(|hash| *hash == [2; 32]).expect("readable");
        assert_eq!(reopened, [[1; 32]]);
        let stored = |hash| book.get(&[hash; 32]).expect("readable").map(|record| record.stored);
        assert_eq!(stored(1), Some(Stored::Open));
        assert_eq!((stored(2), stored(3)), (Some(Stored::Claiming), Some(Stored::Open)));
    }

    #[tokio::test]
    async fn what_is_forgotten_leaves_nothing_behind() {
        let book = book();
        let other = Key::new(Some("order 8".to_owned()), [1; 32]);
        for (hash, key) in [(1, key(1)), (2, other), (3, None)] {
            drop(book.open(an_invoice([hash; 32]), key).expect("it is new"));
        }
        let goes = |record: &InvoiceRecord| match record.payment_hash == [1; 32] {
            true => PruneDecision::Remove,
            false => PruneDecision::Keep,
        };
        assert_eq!(book.forget(0, goes).expect("readable"), PruneStep { records: 1, next: None });
        assert_eq!(book.get(&[1; 32]).expect("readable"), None);
        assert_eq!(BY_KEY.count(&book.store).expect("readable"), 1);
        let (made, _) = book.open(an_invoice([4; 32]), key(9)).expect("the key is free again");
        assert_eq!(made.payment_hash, [4; 32]);
        assert_eq!(book.page(&[], 10, |_| true).expect("readable").items.len(), 3);
    }

    #[tokio::test]
    async fn a_cancelled_invoice_is_not_paid() {
        let book = book();
        drop(book.open(an_invoice([1; 32]), None).expect("it is new"));
        assert!(matches!(book.cancel(&[9; 32], CancelReason::ByUser, 15), Err(Error::Unknown)));
        assert!(matches!(
            book.cancel(&[1; 32], CancelReason::ByUser, 21),
            Err(Error::TooLate(InvoiceState::Expired))
        ));
        for _ in 0..2 {
            let (record, _) = book
                .cancel(&[1; 32], CancelReason::ByUser, 15)
                .expect("it is open, then cancelled");
            assert_eq!(record.stored, Stored::Cancelled);
        }
        let decision =
            book.arrived(arrival([1; 32]), Keysends::AtLeast(1), 15).expect("the store works");
        assert_eq!(decision, Decision::Refuse(claim::ClaimRefusal::Cancelled));
    }
}
