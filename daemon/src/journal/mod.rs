//! The durable, ordered, resumable log of what happened.

mod entry;

use lightning::impl_writeable_tlv_based;
use tokio::sync::watch;

pub use entry::{Entry, ReceiptKind};

use crate::clock::Clock;
use crate::storage::{self, Batch, JOURNAL_KIND, Log, PruneStep, RetentionClass, Store};

const ENTRIES: Log<Stamped> = Log::new("journal");
/// How many entries retention removes in one step.
const STEP_ENTRIES: usize = 256;

/// The journal; a handle.
#[derive(Clone)]
pub struct Journal {
    store: Store,
    head: watch::Receiver<u64>,
    clock: Clock,
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// One more than that of the entry before; the first entry ever has 1.
    pub sequence: u64,
    /// When it was written down, in seconds since 1970.
    pub happened_at: u64,
    /// What happened.
    pub entry: Entry,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamped {
    happened_at: u64,
    entry: Entry,
}

impl_writeable_tlv_based!(Stamped, {
    (0, happened_at, required),
    (2, entry, required),
});
storage::record!(Stamped, kind = JOURNAL_KIND, version = 1);

impl Journal {
    /// Opens the journal of a store; `clock` stamps its entries.
    pub fn open(store: &Store, clock: Clock) -> Result<Self, storage::Error> {
        Ok(Self { store: store.clone(), head: ENTRIES.head(store)?, clock })
    }

    /// Adds an entry to the batch that carries the record it is about.
    ///
    /// Its sequence number is given out when the batch is committed, so that the order of numbers is the order in
    /// which entries become durable.
    pub fn append(&self, batch: &mut Batch, entry: Entry) {
        let happened_at = self.clock.unix_secs();
        ENTRIES.append(batch, &Stamped { happened_at, entry });
    }

    /// Returns at most `limit` durable entries with sequence numbers above `after`, in order.
    ///
    /// Entries that retention has removed are passed over; no other is.
    pub fn read(&self, after: u64, limit: usize) -> Result<Vec<Numbered>, storage::Error> {
        let entries = ENTRIES.read(&self.store, after, self.head(), limit)?;
        let number =
            |(sequence, Stamped { happened_at, entry })| Numbered { sequence, happened_at, entry };
        Ok(entries.into_iter().map(number).collect())
    }

    /// The sequence number of the last durable entry; 0 while there is none.
    pub fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Follows the sequence number of the last durable entry.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }

    /// What is kept here for so many days; 0 forever.
    pub fn history(&self, keep_days: u32) -> RetentionClass {
        let journal = self.clone();
        RetentionClass::new("journal", keep_days, move |before, _| journal.forget(before))
    }

    /// Removes, in one short step, the oldest entries that happened before `before` (seconds since 1970), but never the
    /// newest, from which numbers go on.
    fn forget(&self, before: u64) -> Result<PruneStep, storage::Error> {
        let mut batch = Batch::new();
        let old = |stamped: &Stamped| stamped.happened_at < before;
        let gone = ENTRIES.prune(&self.store, &mut batch, self.head(), STEP_ENTRIES, old)?;
        self.store.commit_lazily(batch);
        Ok(PruneStep { records: gone as u64, next: (gone == STEP_ENTRIES).then_some(0) })
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;
    use bitcoin::hex::{DisplayHex, FromHex};
    use bitcoin::secp256k1::PublicKey;
    use bitcoin::{OutPoint, Txid};

    use super::*;
    use crate::storage::Record;

    fn settled(number: u8) -> Entry {
        Entry::InvoiceCreated { payment_hash: [number; 32], amount_msat: Some(1000) }
    }

    /// What release 0.1 writes; it must be read forever.
    #[test]
    fn stored_entries_are_read_for_ever() {
        let node_id: PublicKey =
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().unwrap();
        let (one, two) = ([1; 32], [2; 32]);
        let txid = Txid::from_byte_array(two);
        let text = |text: &str| text.to_owned();
        let entries = [
            Entry::PaymentStarted { payment_id: one, payment_hash: two, amount_msat: 3 },
            Entry::PaymentFinished {
                payment_id: one,
                payment_hash: two,
                succeeded: false,
                amount_msat: 3,
                fee_msat: 4,
                failure_reason: text("route_not_found"),
            },
            Entry::InvoiceCreated { payment_hash: two, amount_msat: None },
            Entry::InvoiceSettled {
                payment_hash: two,
                received_msat: 5,
                kind: ReceiptKind::Keysend,
            },
            Entry::ForwardSettled { forward_id: vec![6, 7] },
            Entry::ForwardFailed {
                inbound_channel_id: one,
                outbound_short_channel_id: Some(8),
                reason: text("expiry_too_soon"),
            },
            Entry::ChannelOpening {
                channel_id: one,
                node_id,
                funding: OutPoint { txid, vout: 9 },
                capacity_sat: 10,
                outbound: true,
            },
            Entry::ChannelReady { channel_id: one, node_id },
            Entry::ChannelClosed {
                channel_id: one,
                node_id: Some(node_id),
                kind: text("force"),
                reason: text("htlc expired"),
            },
            Entry::OutputSwept { channel_id: None, txid, amount_sat: 11 },
            Entry::WalletSent { txid, amount_sat: 12, fee_sat: 13 },
            Entry::WalletReceived { txid, amount_sat: 14 },
            Entry::MirrorFailed { why: text("/mirror: gone") },
            Entry::MirrorCaughtUp { rows: 15 },
        ];
        for (entry, stored) in entries.into_iter().zip(include_str!("stored.hex").lines()) {
            let stamped = Stamped { happened_at: 1_790_000_000, entry };
            let bytes = Vec::<u8>::from_hex(stored).unwrap();
            assert_eq!(Stamped::decode(1, &bytes), Ok(stamped.clone()));
            assert_eq!(Record::encode(&stamped).to_lower_hex_string(), stored);
        }
        assert_eq!(include_str!("stored.hex").lines().count(), 14);
    }

    fn append(journal: &Journal, number: u8) -> storage::Commit {
        let mut batch = Batch::new();
        journal.append(&mut batch, settled(number));
        journal.store.commit(batch)
    }

    #[tokio::test]
    async fn entries_come_in_the_order_of_their_commits_and_only_when_durable() {
        let store = Store::temporary();
        let journal = Journal::open(&store, Clock::system()).unwrap();
        assert_eq!((journal.head(), journal.read(0, 10).unwrap().len()), (0, 0));
        let mut watch = journal.watch();
        let (mut early, mut late) = (Batch::new(), Batch::new());
        journal.append(&mut early, settled(1));
        journal.append(&mut late, settled(2));
        drop(store.commit(late));
        store.commit(early).await.unwrap();
        watch.wait_for(|head| *head == 2).await.unwrap();
        let read = journal.read(0, 10).unwrap();
        let entries: Vec<_> =
            read.iter().map(|numbered| (numbered.sequence, &numbered.entry)).collect();
        assert_eq!(entries, [(1, &settled(2)), (2, &settled(1))]);
        assert_eq!(journal.read(1, 10).unwrap()[0].sequence, 2);
        assert_eq!(journal.read(0, 1).unwrap().len(), 1);
        assert!(journal.read(2, 10).unwrap().is_empty());
    }

    #[tokio::test]
    async fn numbers_go_on_after_a_restart_and_after_pruning() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..3u64 {
            let store = Store::open(directory.path(), &storage::Config::default()).unwrap();
            let journal = Journal::open(&store, Clock::system()).unwrap();
            assert_eq!(journal.head(), round * 2);
            append(&journal, 1).await.unwrap();
            append(&journal, 2).await.unwrap();
            assert_eq!(journal.head(), round * 2 + 2);
            assert_eq!(journal.forget(0).unwrap().records, 0);
            let gone = journal.forget(u64::MAX).unwrap().records;
            assert_eq!(gone, if round == 0 { 1 } else { 2 });
            assert_eq!(journal.read(0, 10).unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn many_old_entries_go_in_several_steps() {
        let journal = Journal::open(&Store::temporary(), Clock::system()).unwrap();
        for _ in 0..300 {
            drop(append(&journal, 1));
        }
        journal.store.sync().await.unwrap();
        let first = journal.forget(u64::MAX).unwrap();
        assert_eq!(first, PruneStep { records: 256, next: Some(0) });
        assert_eq!(journal.forget(u64::MAX).unwrap(), PruneStep { records: 43, next: None });
        assert_eq!(journal.read(0, 300).unwrap().len(), 1);
    }
}
