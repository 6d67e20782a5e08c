//! The records of payments: written whole, read by point, and never changed by two at once.

use std::sync::Mutex;

use super::Error;
use super::check::{Admission, admission};
use super::outcome::{Change, Name, News, decide};
use super::record::{
    BY_HASH, BY_KEY, KeyedRequest, PAYMENTS, PENDING, PaymentName, PaymentRecord, State,
};
use crate::journal::{Entry, Journal};
use crate::storage::{self, Batch, Commit, Store, Watch, Watches};

/// All payments, on disk.
pub(super) struct Ledger {
    store: Store,
    journal: Journal,
    watches: Watches<PaymentRecord>,
    /// Held from reading a record until its change is enqueued; reads see enqueued writes.
    changing: Mutex<()>,
}

/// A payment that is to be recorded; its id is chosen by the ledger.
pub(super) struct Draft {
    /// The record, with a random id.
    pub(super) record: PaymentRecord,
    /// The caller's key, and what it stands for.
    pub(super) key: Option<(String, [u8; 32])>,
}

/// A payment that is recorded, or that was.
pub(super) enum Admitted {
    /// Recorded now; once the commit is through, it may be sent.
    New(PaymentRecord, Commit),
    /// Recorded before, under the same key.
    Follow([u8; 32]),
}

impl Ledger {
    pub(super) fn new(store: Store, journal: Journal) -> Self {
        let watches = Watches::new(store.clone());
        Self { store, journal, watches, changing: Mutex::new(()) }
    }

    /// Tells what is to become of a request, without recording anything.
    pub(super) fn look(
        &self,
        key: Option<&(String, [u8; 32])>,
        payment_hash: Option<&[u8; 32]>,
    ) -> Result<Admission, Error> {
        let keyed = match key {
            Some((key, _)) => BY_KEY.get(&self.store, key.as_bytes())?,
            None => None,
        };
        let last_attempt = match payment_hash {
            Some(hash) => self.last_attempt(hash)?.map(|record| record.state),
            None => None,
        };
        let fingerprint = key.map(|(_, fingerprint)| *fingerprint).unwrap_or_default();
        admission(keyed, fingerprint, last_attempt)
    }

    /// Records a payment unless there is one already; what [`Ledger::look`] said may have changed since.
    pub(super) fn admit(&self, draft: Draft) -> Result<Admitted, Error> {
        let Draft { mut record, key } = draft;
        let _changing = self.changing.lock().expect("no panic while held");
        match self.look(key.as_ref(), Some(&record.payment_hash))? {
            Admission::Follow(payment_id) => return Ok(Admitted::Follow(payment_id)),
            Admission::New => (),
        }
        if self.last_attempt(&record.payment_hash)?.is_none() {
            record.payment_id = record.payment_hash;
        }
        let name = PaymentName { payment_id: record.payment_id };
        let mut batch = Batch::new();
        PAYMENTS.insert(&self.store, &mut batch, &record.payment_id, &record)?;
        PENDING.put(&mut batch, &record.payment_id, &name);
        BY_HASH.put(&mut batch, &record.payment_hash, &name);
        if let Some((key, fingerprint)) = key {
            let request = KeyedRequest { payment_id: record.payment_id, fingerprint };
            BY_KEY.put(&mut batch, key.as_bytes(), &request);
        }
        self.journal.append(
            &mut batch,
            Entry::PaymentStarted {
                payment_id: record.payment_id,
                payment_hash: record.payment_hash,
                amount_msat: record.amount_msat,
            },
        );
        Ok(Admitted::New(record, self.store.commit(batch)))
    }

    /// Takes in news; enqueues the record and its journal entry together. Returns the record if it changed
    /// and the commit that makes the change durable.
    pub(super) fn take_in(
        &self,
        name: Name,
        news: News,
        now_ms: u64,
    ) -> Result<Option<(PaymentRecord, Commit)>, storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let before = PAYMENTS.get(&self.store, &name.payment_id)?;
        let known = before.is_some();
        let mut batch = Batch::new();
        let (record, told) = match decide(before, name, news, now_ms) {
            Change::None => return Ok(None),
            Change::Quiet(record) => (record, false),
            Change::Told(record) => (record, true),
            Change::Ended(record) => {
                PENDING.delete(&mut batch, &record.payment_id);
                self.journal.append(&mut batch, finished(&record));
                (record, true)
            }
        };
        if known {
            PAYMENTS.update(&mut batch, &record.payment_id, &record);
        } else {
            tracing::warn!(
                payment_id = %hex(&record.payment_id),
                "LDK tells of a payment that the store has no record of; recorded now"
            );
            PAYMENTS.insert(&self.store, &mut batch, &record.payment_id, &record)?;
            BY_HASH.put(
                &mut batch,
                &record.payment_hash,
                &PaymentName { payment_id: record.payment_id },
            );
        }
        let commit = self.store.commit(batch);
        if told {
            self.watches.publish(&record.payment_id, &record);
        }
        Ok(Some((record, commit)))
    }

    pub(super) fn get(&self, payment_id: &[u8; 32]) -> Result<Option<PaymentRecord>, storage::Error> {
        PAYMENTS.get(&self.store, payment_id)
    }

    /// The newest attempt at a payment hash.
    pub(super) fn last_attempt(
        &self,
        payment_hash: &[u8; 32],
    ) -> Result<Option<PaymentRecord>, storage::Error> {
        match BY_HASH.get(&self.store, payment_hash)? {
            Some(name) => PAYMENTS.get(&self.store, &name.payment_id),
            None => Ok(None),
        }
    }

    /// The payments that have not ended.
    pub(super) fn pending(&self) -> Result<Vec<PaymentRecord>, storage::Error> {
        let names = PENDING.all(&self.store)?;
        let records = names.into_iter().map(|(_, name)| PAYMENTS.get(&self.store, &name.payment_id));
        Ok(records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    pub(super) fn page(
        &self,
        token: &[u8],
        limit: usize,
        state: Option<State>,
    ) -> Result<storage::Page<PaymentRecord>, storage::Error> {
        PAYMENTS.page(&self.store, token, limit, |record| {
            state.is_none_or(|state| record.state == state)
        })
    }

    /// Watches a payment; read its record afterwards.
    pub(super) fn watch(&self, payment_id: [u8; 32]) -> Watch<PaymentRecord> {
        self.watches.watch(payment_id)
    }
}

fn finished(record: &PaymentRecord) -> Entry {
    Entry::PaymentFinished {
        payment_id: record.payment_id,
        payment_hash: record.payment_hash,
        succeeded: record.state == State::Succeeded,
        amount_msat: record.amount_msat,
        fee_msat: record.fee_msat.unwrap_or(0),
        failure_reason: record.failure.map(|reason| reason.word().to_owned()).unwrap_or_default(),
    }
}

/// Bytes for a log line.
pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bitcoin::hex::DisplayHex::to_lower_hex_string(bytes)
}
