//! The records of payments: written whole, read by point, and never changed by two at once.

use std::sync::Mutex;
use std::time::Duration;

use super::known_to_ldk::KnownToLdk;
use super::record::{
    BY_HASH, BY_KEY, PAYMENTS, PENDING, PaymentRecord, PaymentRef, PaymentState, hex,
};
use super::retention;
use super::transition::{Change, PaymentIds, PaymentUpdate, decide};
use crate::idempotency::{self, Key};
use crate::journal::{Entry, Journal};
use crate::listing::Filter;
use crate::payments::Error;
use crate::storage::{self, Batch, Commit, PruneStep, Store, Subscription, Subscriptions};

/// All payments, on disk.
pub struct PaymentBook {
    store: Store,
    journal: Journal,
    watches: Subscriptions<PaymentRecord>,
    /// ProbesInFlight from reading a record until its change is enqueued; reads see enqueued writes.
    changing: Mutex<()>,
}

/// A payment that is to be recorded; its id is chosen by the book.
pub struct NewPayment {
    /// The record, with a random id.
    pub record: PaymentRecord,
    /// The caller's key.
    pub key: Option<Key>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentAdmission {
    /// It is the first of its kind, or all before it failed.
    New,
    /// The caller asked for this payment before, under the same key.
    Follow([u8; 32]),
}

/// A payment that is recorded, or that was.
pub enum Admitted {
    /// Recorded now; once the commit is through, it may be sent.
    New(Box<PaymentRecord>, Commit),
    /// Recorded before, under the same key.
    Follow([u8; 32]),
}

impl PaymentBook {
    pub fn new(store: Store, journal: Journal) -> Self {
        let watches = Subscriptions::new(store.clone());
        Self { store, journal, watches, changing: Mutex::new(()) }
    }

    /// Decides about a request without recording anything.
    pub fn look(
        &self,
        key: Option<&Key>,
        payment_hash: Option<&[u8; 32]>,
    ) -> Result<PaymentAdmission, Error> {
        if let Some(key) = key {
            let first = idempotency::first_outcome(self.keyed(&key.text)?, &key.fingerprint);
            if let Some(payment_id) = first.map_err(|_| Error::KeyReused)? {
                return Ok(PaymentAdmission::Follow(payment_id));
            }
        }
        let last_attempt = match payment_hash {
            Some(hash) => self.last_attempt(hash)?.map(|record| record.state),
            None => None,
        };
        match last_attempt {
            Some(PaymentState::Succeeded) => Err(Error::AlreadyPaid),
            Some(PaymentState::Pending) => Err(Error::UnderWay),
            Some(PaymentState::Failed) | None => Ok(PaymentAdmission::New),
        }
    }

    /// Records a payment unless there is one already; what [`PaymentBook::look`] said may have changed since.
    pub fn admit(&self, draft: NewPayment) -> Result<Admitted, Error> {
        let NewPayment { mut record, key } = draft;
        let _changing = self.changing.lock().expect("no panic while held");
        match self.look(key.as_ref(), Some(&record.payment_hash))? {
            PaymentAdmission::Follow(payment_id) => return Ok(Admitted::Follow(payment_id)),
            PaymentAdmission::New => (),
        }
        if self.last_attempt(&record.payment_hash)?.is_none() {
            record.payment_id = record.payment_hash;
        }
        record.idempotency_key = key.as_ref().map(|key| key.text.clone());
        let name = PaymentRef { payment_id: record.payment_id };
        let mut batch = Batch::new();
        PAYMENTS.insert(&self.store, &mut batch, &record.payment_id, &record)?;
        PENDING.put(&mut batch, &record.payment_id, &name);
        BY_HASH.put(&mut batch, &record.payment_hash, &name);
        if let Some(key) = &key {
            BY_KEY.put(&mut batch, key, record.payment_id);
        }
        self.journal.append(
            &mut batch,
            Entry::PaymentStarted {
                payment_id: record.payment_id,
                payment_hash: record.payment_hash,
                amount_msat: record.amount_msat,
            },
        );
        Ok(Admitted::New(Box::new(record), self.store.commit(batch)))
    }

    /// Takes in news; enqueues the record and its journal entry together. Returns the record if it changed
    /// and the commit that makes the change durable.
    pub fn apply(
        &self,
        name: PaymentIds,
        news: PaymentUpdate,
        now_ms: u64,
    ) -> Result<Option<(PaymentRecord, Commit)>, storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let before = PAYMENTS.get(&self.store, &name.payment_id)?;
        let hash_before = before.as_ref().map(|record| record.payment_hash);
        let mut batch = Batch::new();
        let (record, told) = match decide(before, name, news, now_ms) {
            Change::None => return Ok(None),
            // A follower that has seen the end may still wait for the parts.
            Change::Silent(record) => {
                let ended = record.state.is_final();
                (record, ended)
            }
            Change::Notify(record) => (record, true),
            Change::Ended(record) => {
                PENDING.delete(&mut batch, &record.payment_id);
                self.journal.append(&mut batch, finished(&record));
                (record, true)
            }
        };
        if let Some(hash_before) = hash_before {
            PAYMENTS.update(&mut batch, &record.payment_id, &record);
            // An invoice has told the hash; until then the payment's id stood for it.
            if hash_before != record.payment_hash {
                let name = PaymentRef { payment_id: record.payment_id };
                BY_HASH.delete(&mut batch, &hash_before);
                BY_HASH.put(&mut batch, &record.payment_hash, &name);
            }
        } else {
            tracing::warn!(
                payment_id = %hex(&record.payment_id),
                "LDK reports a payment without a record in the store; recorded now"
            );
            PAYMENTS.insert(&self.store, &mut batch, &record.payment_id, &record)?;
            BY_HASH.put(
                &mut batch,
                &record.payment_hash,
                &PaymentRef { payment_id: record.payment_id },
            );
        }
        let commit = self.store.commit(batch);
        if told {
            self.watches.publish(&record.payment_id, &record);
        }
        Ok(Some((record, commit)))
    }

    pub fn get(&self, payment_id: &[u8; 32]) -> Result<Option<PaymentRecord>, storage::Error> {
        PAYMENTS.get(&self.store, payment_id)
    }

    /// The newest attempt at a payment hash.
    pub fn last_attempt(
        &self,
        payment_hash: &[u8; 32],
    ) -> Result<Option<PaymentRecord>, storage::Error> {
        match BY_HASH.get(&self.store, payment_hash)? {
            Some(name) => PAYMENTS.get(&self.store, &name.payment_id),
            None => Ok(None),
        }
    }

    /// What was asked for under a key, while its payment is kept.
    fn keyed(&self, key: &str) -> Result<Option<idempotency::First>, storage::Error> {
        match BY_KEY.get(&self.store, key)? {
            Some(keyed) => Ok(PAYMENTS.get(&self.store, &keyed.0)?.map(|_| keyed)),
            None => Ok(None),
        }
    }

    /// Forgets, in one short step, payments that ended before a time in seconds since 1970, with all that leads to them.
    pub fn forget(
        &self,
        before: u64,
        from: u64,
        now: Duration,
        known_to_ldk: &KnownToLdk,
    ) -> Result<PruneStep, storage::Error> {
        let before_ms = before.saturating_mul(1_000);
        let _changing = self.changing.lock().expect("no panic while held");
        let mut batch = Batch::new();
        let decide =
            |record: &PaymentRecord| retention::decide(record, before_ms, now, known_to_ldk);
        let pruned = PAYMENTS.prune(&self.store, &mut batch, from, 1, decide)?;
        for (payment_id, record) in &pruned.removed {
            let newest = BY_HASH.get(&self.store, &record.payment_hash)?;
            if newest.is_some_and(|name| name.payment_id[..] == payment_id[..]) {
                BY_HASH.delete(&mut batch, &record.payment_hash);
            }
            if let Some(key) = &record.idempotency_key {
                BY_KEY.delete(&mut batch, key);
            }
        }
        self.store.commit_lazily(batch);
        Ok(pruned.step())
    }

    /// The payments that have not ended.
    pub fn pending(&self) -> Result<Vec<PaymentRecord>, storage::Error> {
        let names = PENDING.all(&self.store)?;
        let records =
            names.into_iter().map(|(_, name)| PAYMENTS.get(&self.store, &name.payment_id));
        Ok(records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    pub fn pending_count(&self) -> Result<usize, storage::Error> {
        Ok(PENDING.all(&self.store)?.len())
    }

    pub fn page(
        &self,
        token: &[u8],
        limit: usize,
        state: Option<PaymentState>,
        wanted: &Filter,
    ) -> Result<storage::Page<PaymentRecord>, storage::Error> {
        PAYMENTS.list(&self.store, token, limit, wanted, |record| {
            state.is_none_or(|state| record.state == state)
        })
    }

    pub fn after(
        &self,
        after: u64,
        limit: usize,
        filter: impl Fn(&PaymentRecord) -> bool,
    ) -> Result<Vec<(u64, PaymentRecord)>, storage::Error> {
        PAYMENTS.after(&self.store, after, limit, filter)
    }

    pub fn before(
        &self,
        before: Option<u64>,
        limit: usize,
        filter: impl Fn(&PaymentRecord) -> bool,
    ) -> Result<Vec<(u64, PaymentRecord)>, storage::Error> {
        PAYMENTS.before(&self.store, before, limit, filter)
    }

    /// Watches a payment; read its record afterwards.
    pub fn watch(&self, payment_id: [u8; 32]) -> Subscription<PaymentRecord> {
        self.watches.watch(payment_id)
    }
}

fn finished(record: &PaymentRecord) -> Entry {
    Entry::PaymentFinished {
        payment_id: record.payment_id,
        payment_hash: record.payment_hash,
        succeeded: record.state == PaymentState::Succeeded,
        amount_msat: record.amount_msat,
        fee_msat: record.fee_msat.unwrap_or(0),
        failure_reason: record.failure.map(|reason| reason.word().to_owned()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::payments::PaymentFollower;
    use crate::payments::records::record::{FailureReason, Part, PartEnd, PaymentKind};

    fn book() -> PaymentBook {
        let store = Store::temporary();
        let journal = Journal::open(&store, Clock::system()).expect("an empty journal opens");
        PaymentBook::new(store, journal)
    }

    fn draft(random_id: u8, hash: u8, key: Option<(&str, u8)>) -> NewPayment {
        NewPayment {
            record: PaymentRecord {
                payment_id: [random_id; 32],
                payment_hash: [hash; 32],
                state: PaymentState::Pending,
                kind: PaymentKind::Bolt11,
                payee: None,
                amount_msat: 1_000,
                fee_msat: None,
                preimage: None,
                failure: None,
                created_at_ms: 5,
                finished_at_ms: None,
                bolt11: Some("lnbcrt1".to_owned()),
                description: None,
                label: Some("rent".to_owned()),
                cancelling: false,
                parts: Vec::new(),
                no_route_reason: None,
                constraints: None,
                idempotency_key: None,
                offer: None,
                payer_note: None,
                quantity: None,
                bolt12_invoice: None,
            },
            key: key.and_then(|(key, of)| Key::new(Some(key.to_owned()), [of; 32])),
        }
    }

    fn admitted(book: &PaymentBook, draft: NewPayment) -> PaymentRecord {
        match book.admit(draft).expect("it is new") {
            Admitted::New(record, _) => *record,
            Admitted::Follow(_) => panic!("it was not there before"),
        }
    }

    fn news(
        book: &PaymentBook,
        record: &PaymentRecord,
        news: PaymentUpdate,
    ) -> Option<PaymentRecord> {
        let name = PaymentIds { payment_id: record.payment_id, payment_hash: record.payment_hash };
        book.apply(name, news, 9).expect("the store works").map(|(record, _)| record)
    }

    fn sent() -> PaymentUpdate {
        PaymentUpdate::Sent {
            preimage: [7; 32],
            amount_msat: Some(1_000),
            fee_msat: Some(3),
            found: Vec::new(),
        }
    }

    #[tokio::test]
    async fn an_invoice_is_paid_once_and_a_failed_attempt_may_be_repeated() {
        let book = book();
        let first = admitted(&book, draft(90, 1, None));
        assert_eq!(first.payment_id, [1; 32], "LDK itself then refuses a second one");
        assert!(matches!(book.admit(draft(91, 1, None)), Err(Error::UnderWay)));
        news(&book, &first, PaymentUpdate::Failed(FailureReason::RouteNotFound, None))
            .expect("it ended");
        let second = admitted(&book, draft(92, 1, None));
        assert_eq!(second.payment_id, [92; 32], "late news of the first cannot touch it");
        news(&book, &second, sent()).expect("it ended");
        assert!(matches!(book.admit(draft(93, 1, None)), Err(Error::AlreadyPaid)));
        let last = book.last_attempt(&[1; 32]).expect("readable").expect("it is there");
        assert_eq!((last.state, last.payment_id), (PaymentState::Succeeded, [92; 32]));
        assert_eq!(book.page(&[], 10, None, &Filter::default()).expect("readable").items.len(), 2);
        let failed = book
            .page(&[], 10, Some(PaymentState::Failed), &Filter::default())
            .expect("readable")
            .items;
        assert_eq!(failed.len(), 1);
    }

    #[tokio::test]
    async fn the_same_key_follows_the_first_payment_and_never_makes_a_second() {
        let book = book();
        let first = admitted(&book, draft(90, 1, Some(("rent", 1))));
        for hash in [1, 2] {
            match book.admit(draft(91, hash, Some(("rent", 1)))).expect("it follows") {
                Admitted::Follow(payment_id) => assert_eq!(payment_id, first.payment_id),
                Admitted::New(..) => panic!("a second payment under one key"),
            }
        }
        assert!(matches!(book.admit(draft(92, 3, Some(("rent", 2)))), Err(Error::KeyReused)));
        news(&book, &first, PaymentUpdate::Failed(FailureReason::RouteNotFound, None))
            .expect("it ended");
        let again = book.admit(draft(93, 1, Some(("rent", 1)))).expect("it follows");
        assert!(matches!(again, Admitted::Follow(_)), "a failure is an outcome too");
    }

    #[tokio::test]
    async fn news_are_kept_once_told_and_written_into_the_journal() {
        let book = book();
        let record = admitted(&book, draft(90, 1, None));
        let mut watch = book.watch(record.payment_id);
        assert_eq!(book.pending().expect("readable"), std::slice::from_ref(&record));
        assert_eq!(book.pending_count().expect("readable"), 1);
        assert!(news(&book, &record, PaymentUpdate::Cancelled).expect("it is new").cancelling);
        assert!(watch.changed().await.expect("the store works").cancelling);
        assert!(news(&book, &record, sent()).is_some());
        assert_eq!(news(&book, &record, sent()), None);
        assert_eq!(
            news(&book, &record, PaymentUpdate::Failed(FailureReason::Cancelled, None)),
            None
        );
        let ended = watch.changed().await.expect("the store works");
        assert_eq!((ended.state, ended.fee_msat), (PaymentState::Succeeded, Some(3)));
        assert!(book.pending().expect("readable").is_empty());
        assert_eq!(book.pending_count().expect("readable"), 0);
        let told = book.journal.read(0, 10).expect("readable");
        assert_eq!(told.len(), 2, "started and finished, once each");
    }

    #[tokio::test]
    async fn the_end_is_told_with_its_parts_and_does_not_wait_for_them_long() {
        let part = |amount_msat| {
            let end = PartEnd::Succeeded;
            PaymentUpdate::PartEnded(Part {
                end,
                amount_msat,
                fee_msat: 0,
                hops: Vec::new(),
                began_at_ms: None,
                ended_at_ms: None,
                hold_times_ms: Vec::new(),
            })
        };
        for (parts, expected) in [(vec![400, 600], 1_000), (vec![400], 400), (vec![], 0)] {
            let book = book();
            let record = admitted(&book, draft(90, 1, None));
            let name =
                PaymentIds { payment_id: record.payment_id, payment_hash: record.payment_hash };
            let watch = book.watch(record.payment_id);
            let mut following =
                PaymentFollower { watch, next: Some(record), ended: false, clock: Clock::system() };
            let first = following.next().await.expect("durable").expect("it is under way");
            assert_eq!(first.state, PaymentState::Pending);
            book.apply(name, sent(), Clock::system().unix_millis()).expect("the store works");
            let told = async {
                for amount_msat in parts {
                    tokio::task::yield_now().await;
                    book.apply(name, part(amount_msat), Clock::system().unix_millis())
                        .expect("the store works");
                }
            };
            let (last, ()) = tokio::join!(following.next(), told);
            let last = last.expect("durable").expect("it ended");
            assert_eq!((last.state, last.arrived_msat()), (PaymentState::Succeeded, expected));
            assert_eq!(following.next().await.expect("durable"), None);
            let stored = book.get(&name.payment_id).expect("readable").expect("there");
            assert_eq!(stored.arrived_msat(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_leaves_nothing_behind() {
        let book = book();
        let first = admitted(&book, draft(90, 1, Some(("rent", 1))));
        news(&book, &first, PaymentUpdate::Failed(FailureReason::RouteNotFound, None))
            .expect("it ended");
        let second = admitted(&book, draft(91, 1, Some(("again", 1))));
        let pending = admitted(&book, draft(92, 2, Some(("other", 1))));
        let newest = admitted(&book, draft(93, 3, None));
        news(&book, &newest, sent()).expect("it ended");
        let forget = |before| {
            book.forget(before, 0, Duration::from_secs(before), &KnownToLdk::default())
                .expect("readable")
        };
        let hash_of = |hash| book.last_attempt(&[hash; 32]).expect("readable");
        assert_eq!(forget(0).records, 0, "they are too young");
        assert_eq!(forget(1), PruneStep { records: 1, next: None });
        assert_eq!(hash_of(1).map(|record| record.payment_id), Some(second.payment_id));
        let keyed = |key: &str| {
            let key = Key { text: key.to_owned(), fingerprint: [1; 32] };
            book.look(Some(&key), None).expect("readable")
        };
        assert_eq!(keyed("rent"), PaymentAdmission::New, "a key is free again");
        assert_eq!(keyed("again"), PaymentAdmission::Follow(second.payment_id));
        news(&book, &second, sent()).expect("it ended");
        assert_eq!(forget(1).records, 1);
        assert_eq!((hash_of(1), keyed("again")), (None, PaymentAdmission::New));
        assert_eq!(
            book.pending().expect("readable"),
            [pending],
            "what is pending is never forgotten"
        );
        assert!(hash_of(3).is_some(), "the newest stays");
        assert_eq!(book.page(&[], 10, None, &Filter::default()).expect("readable").items.len(), 2);
        assert_eq!(BY_KEY.count(&book.store).expect("readable"), 1);
    }

    #[tokio::test]
    async fn news_of_a_payment_without_record_make_one() {
        let book = book();
        let unknown = draft(4, 8, None).record;
        assert_eq!(news(&book, &unknown, PaymentUpdate::Cancelled), None);
        let made = news(&book, &unknown, sent()).expect("it becomes a record");
        assert_eq!((made.kind, made.state), (PaymentKind::Unknown, PaymentState::Succeeded));
        let found = book.last_attempt(&[8; 32]).expect("readable");
        assert_eq!(found.map(|record| record.payment_id), Some([4; 32]));
        assert!(matches!(book.admit(draft(5, 8, None)), Err(Error::AlreadyPaid)));
    }
}
