//! What passed through this node and what it earned.

mod failures;
mod reason;
mod record;
mod replay;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lightning::events::{HTLCHandlingFailureReason, HTLCHandlingFailureType};
use lightning::ln::types::ChannelId;
use tokio_util::sync::CancellationToken;

pub use failures::FailureCount;
pub use record::{ChannelTotals, ForwardRecord, Settled, Totals};

use crate::clock::Clock;
use crate::journal::{Budget, Entry, Journal};
use crate::listing::Filter;
use crate::node::Node;
use crate::parts::Parts;
use crate::storage::{self, Batch, Page, PruneDecision, PruneStep, RetentionClass, Store};
use crate::tasks::Outcome;
use failures::Unwritten;
use record::{BY_CHANNEL, FLOOR, FORWARDS, Floor, ONLY, TOTALS};
use replay::Replays;

/// How long failed forwards are counted in memory before they are written.
const FAILURES_WAIT: Duration = Duration::from_secs(10);
/// More forwards than LDK ever keeps events of between two writes of its manager.
const NEWEST_COMPARED: usize = 4_096;

/// The room of forwarded payments; a handle.
#[derive(Clone)]
pub struct Forwards(Arc<Inner>);

struct Inner {
    book: ForwardBook,
    node: Arc<Node>,
    clock: Clock,
    /// Entries of failed forwards, by inbound channel.
    told: Mutex<Budget<[u8; 32]>>,
}

impl Forwards {
    /// Makes the room; it expects LDK to tell again what it had not forgotten when the daemon stopped.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(parts: &Parts) -> Result<Self, storage::Error> {
        let Parts { node, store, journal, clock, .. } = parts.clone();
        let told = Mutex::new(Budget::new(Instant::now()));
        Ok(Self(Arc::new(Inner { book: ForwardBook::new(store, journal)?, node, clock, told })))
    }

    /// Takes in LDK's `PaymentForwarded`.
    ///
    /// # Errors
    /// When the totals cannot be read: LDK is to tell it again.
    pub fn settled(&self, settled: Settled) -> Result<(), storage::Error> {
        self.0.book.settled(settled, self.0.clock.unix_secs())
    }

    /// Settled forwards, kept for so many days; 0 forever. The totals stay, and so do the newest, by which a forward that
    /// LDK tells again is known.
    pub fn history(&self, keep_days: u32) -> RetentionClass {
        let forwards = self.clone();
        RetentionClass::new("forwards", keep_days, move |before, from| {
            forwards.forget(before, from)
        })
    }

    /// Forgets, in one short step, forwards that settled before a time in seconds since 1970.
    fn forget(&self, before: u64, from: u64) -> Result<PruneStep, storage::Error> {
        let decide = |record: &ForwardRecord| match record.settled_at < before {
            true => PruneDecision::Remove,
            false => PruneDecision::Stop,
        };
        let store = &self.0.book.store;
        let mut batch = Batch::new();
        let pruned = FORWARDS.prune(store, &mut batch, from, NEWEST_COMPARED as u64, decide)?;
        store.commit_lazily(batch);
        Ok(pruned.step())
    }

    /// Takes in LDK's `HTLCHandlingFailed`; a failed receipt is none of this room's business.
    ///
    /// It is counted, and written with others a moment later: see [`Forwards::keep_counting`]. The journal has an entry
    /// for it as often as strangers may cause one.
    pub fn failed(
        &self,
        inbound_channel_id: ChannelId,
        failure_type: &HTLCHandlingFailureType,
        failure_reason: Option<&HTLCHandlingFailureReason>,
    ) {
        let outbound = match failure_type {
            HTLCHandlingFailureType::Receive { .. } => return,
            // The sender chooses what is asked for: counting by it would let it make any number of rows.
            HTLCHandlingFailureType::InvalidOnion
            | HTLCHandlingFailureType::UnknownNextHop { .. }
            | HTLCHandlingFailureType::InvalidForward { .. } => None,
            HTLCHandlingFailureType::Forward { node_id: None, .. } => None,
            HTLCHandlingFailureType::Forward { node_id: Some(node_id), channel_id } => self
                .0
                .node
                .channel_manager
                .list_channels_with_counterparty(node_id)
                .iter()
                .find(|channel| channel.channel_id == *channel_id)
                .and_then(|channel| channel.short_channel_id.or(channel.outbound_scid_alias)),
        };
        let (reason, now) = (reason::word(failure_reason), self.0.clock.unix_secs());
        let book = &self.0.book;
        book.lock().unwritten.add(inbound_channel_id.0, outbound, reason.clone(), now);
        let mut told = self.0.told.lock().expect("no panic while held");
        if told.take(inbound_channel_id.0, Instant::now()) {
            book.journal_failure(inbound_channel_id.0, outbound, reason);
        }
    }

    /// Writes the counts of failed forwards every ten seconds until `stopping`, and once more then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_counting(self, stopping: CancellationToken) -> Outcome {
        loop {
            let stops = tokio::select! {
                () = tokio::time::sleep(FAILURES_WAIT) => false,
                () = stopping.cancelled() => true,
            };
            self.0.book.write_failures(self.0.clock.unix_secs())?;
            if stops {
                return Ok(());
            }
        }
    }

    /// Returns the failed forwards since a time in seconds since 1970, counted by hour, newest hour first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn failures(&self, since: u64) -> Result<Vec<FailureCount>, storage::Error> {
        self.0.book.lock().unwritten.since(&self.0.book.store, since)
    }

    /// Returns the time in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.0.clock.unix_secs()
    }

    /// LDK's manager was just written (enqueued): of the forwards recorded so far it tells none again.
    ///
    /// Call it after each write, and before the next event is handled.
    pub fn forgotten_by_ldk(&self) {
        self.0.book.forgotten();
    }

    /// All events that the manager was stored with have been handled: what comes from now on is new.
    pub fn replay_ended(&self) {
        self.0.book.lock().replays.end();
    }

    /// Returns a page of the settled forwards that are wanted, newest first.
    ///
    /// # Errors
    /// When the store cannot be read, or for a token that no page gave out.
    pub fn page(
        &self,
        token: &[u8],
        limit: usize,
        wanted: &Filter,
    ) -> Result<Page<ForwardRecord>, storage::Error> {
        FORWARDS.list(&self.0.book.store, token, limit, wanted, |_| true)
    }

    /// Returns at most `limit` settled forwards that pass the filter, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn oldest_first(
        &self,
        limit: usize,
        filter: impl Fn(&ForwardRecord) -> bool,
    ) -> Result<Vec<ForwardRecord>, storage::Error> {
        let found = FORWARDS.after(&self.0.book.store, 0, limit, filter)?;
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// Returns the forward that a journal entry names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get(&self, forward_id: &[u8]) -> Result<Option<ForwardRecord>, storage::Error> {
        FORWARDS.get(&self.0.book.store, forward_id)
    }

    /// Returns what all forwards come to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn totals(&self) -> Result<Totals, storage::Error> {
        let state = self.0.book.lock();
        let totals = TOTALS.get(&self.0.book.store, ONLY)?.unwrap_or_default();
        let failed_count = totals.failed_count.saturating_add(state.unwritten.count());
        Ok(Totals { failed_count, ..totals })
    }

    /// Returns what the forwards of each channel come to, closed channels included.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn totals_by_channel(&self) -> Result<Vec<([u8; 32], ChannelTotals)>, storage::Error> {
        let rows = BY_CHANNEL.all(&self.0.book.store)?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, totals)| <[u8; 32]>::try_from(id).ok().map(|id| (id, totals)))
            .collect())
    }
}

/// Forwards on disk, without LDK.
struct ForwardBook {
    store: Store,
    journal: Journal,
    state: Mutex<State>,
}

/// Held from reading totals until their change is enqueued; reads see enqueued writes.
struct State {
    replays: Replays,
    last_id: u64,
    /// The floor that is on disk.
    floor: Option<u64>,
    unwritten: Unwritten,
}

impl ForwardBook {
    fn new(store: Store, journal: Journal) -> Result<Self, storage::Error> {
        let newest = FORWARDS.page(&store, &[], NEWEST_COMPARED, |_| true)?.items;
        let newest: Vec<ForwardRecord> = newest.into_iter().map(|(_, record)| record).collect();
        let last_id = newest.first().map_or(0, |record| record.id);
        let floor = FLOOR.get(&store, ONLY)?.map(|floor| floor.first_remembered);
        let replays = Replays::expect(newest, floor.unwrap_or(1));
        let state = Mutex::new(State { replays, last_id, floor, unwritten: Unwritten::default() });
        Ok(Self { store, journal, state })
    }

    fn settled(&self, settled: Settled, now: u64) -> Result<(), storage::Error> {
        let mut state = self.lock();
        if state.replays.is_known(&settled) {
            return Ok(());
        }
        let mut batch = Batch::new();
        let totals = TOTALS.get(&self.store, ONLY)?.unwrap_or_default().with(&settled);
        TOTALS.put(&mut batch, ONLY, &totals);
        self.add_to_channels(&mut batch, &settled)?;
        let id = state.last_id + 1;
        let key = id.to_be_bytes();
        let record = ForwardRecord { id, settled_at: now, settled };
        FORWARDS.insert(&self.store, &mut batch, &key, &record)?;
        self.journal.append(&mut batch, Entry::ForwardSettled { forward_id: key.to_vec() });
        // Nobody waits for the commit: LDK forgets the event in a write that comes after this one.
        drop(self.store.commit(batch));
        state.last_id = id;
        Ok(())
    }

    fn add_to_channels(&self, batch: &mut Batch, settled: &Settled) -> Result<(), storage::Error> {
        let totals_of = |id: &[u8; 32]| -> Result<ChannelTotals, storage::Error> {
            Ok(BY_CHANNEL.get(&self.store, id)?.unwrap_or_default())
        };
        match (settled.inbound_channel_id, settled.outbound_channel_id) {
            // In by a channel and out by the same one: one record takes both.
            (Some(inbound), Some(outbound)) if inbound == outbound => {
                let totals = totals_of(&inbound)?.with_inbound(settled).with_outbound(settled);
                BY_CHANNEL.put(batch, &inbound, &totals);
            }
            (inbound, outbound) => {
                if let Some(inbound) = inbound {
                    BY_CHANNEL.put(batch, &inbound, &totals_of(&inbound)?.with_inbound(settled));
                }
                if let Some(outbound) = outbound {
                    BY_CHANNEL.put(batch, &outbound, &totals_of(&outbound)?.with_outbound(settled));
                }
            }
        }
        Ok(())
    }

    fn journal_failure(
        &self,
        inbound_channel_id: [u8; 32],
        outbound_short_channel_id: Option<u64>,
        reason: String,
    ) {
        let mut batch = Batch::new();
        let entry = Entry::ForwardFailed { inbound_channel_id, outbound_short_channel_id, reason };
        self.journal.append(&mut batch, entry);
        drop(self.store.commit(batch));
    }

    fn write_failures(&self, now: u64) -> Result<(), storage::Error> {
        let mut state = self.lock();
        if state.unwritten.count() == 0 {
            return Ok(());
        }
        let mut batch = Batch::new();
        let before = TOTALS.get(&self.store, ONLY)?.unwrap_or_default();
        let moved = state.unwritten.write(&self.store, &mut batch, now)?;
        let failed_count = before.failed_count.saturating_add(moved);
        TOTALS.put(&mut batch, ONLY, &Totals { failed_count, ..before });
        drop(self.store.commit(batch));
        Ok(())
    }

    fn forgotten(&self) {
        let mut state = self.lock();
        let first_remembered = state.last_id + 1;
        if state.floor == Some(first_remembered) {
            return;
        }
        let mut batch = Batch::new();
        FLOOR.put(&mut batch, ONLY, &Floor { first_remembered });
        drop(self.store.commit(batch));
        state.floor = Some(first_remembered);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(inbound: u8, outbound: u8, fee_msat: u64) -> Settled {
        Settled {
            inbound_channel_id: Some([inbound; 32]),
            outbound_channel_id: Some([outbound; 32]),
            outbound_msat: Some(1_000),
            fee_msat: Some(fee_msat),
            ..Settled::default()
        }
    }

    fn open(store: &Store) -> ForwardBook {
        let journal = Journal::open(store, Clock::system()).expect("readable");
        ForwardBook::new(store.clone(), journal).expect("readable")
    }

    fn totals(store: &Store) -> Totals {
        TOTALS.get(store, ONLY).expect("readable").unwrap_or_default()
    }

    #[test]
    fn totals_are_kept_with_each_forward() {
        let store = Store::temporary();
        let book = open(&store);
        book.settled(forward(1, 2, 5), 10).expect("the store works");
        book.settled(forward(2, 1, 7), 11).expect("the store works");
        book.settled(forward(2, 2, 1), 12).expect("the store works");
        book.lock().unwritten.add([1; 32], Some(4), "peer_offline".to_owned(), 12);
        book.write_failures(12).expect("the store works");
        let all = totals(&store);
        assert_eq!((all.count, all.failed_count), (3, 1));
        assert_eq!((all.inbound_msat, all.outbound_msat, all.fee_msat), (3_013, 3_000, 13));
        let second = BY_CHANNEL.get(&store, &[2; 32]).expect("readable").expect("it has forwards");
        let expected = ChannelTotals {
            inbound_count: 2,
            inbound_msat: 2_008,
            outbound_count: 2,
            outbound_msat: 2_000,
            fee_msat: 6,
        };
        assert_eq!(second, expected);
        let page = FORWARDS.page(&store, &[], 10, |_| true).expect("readable");
        let ids: Vec<u64> = page.items.iter().map(|(_, record)| record.id).collect();
        assert_eq!(ids, [3, 2, 1]);
    }

    #[test]
    fn a_kill_before_ldk_forgets_counts_nothing_twice() {
        let store = Store::temporary();
        let before = open(&store);
        before.settled(forward(1, 2, 5), 10).expect("the store works");
        before.forgotten();
        before.settled(forward(1, 2, 5), 11).expect("the store works");
        before.settled(forward(1, 2, 6), 12).expect("the store works");
        drop(before);

        let after = open(&store);
        for told in [forward(1, 2, 5), forward(1, 2, 6), forward(1, 2, 5)] {
            after.settled(told, 20).expect("the store works");
        }
        assert_eq!(totals(&store).count, 4, "two are replays, the last one is new");
        after.lock().replays.end();
        after.forgotten();
        after.settled(forward(1, 2, 6), 21).expect("the store works");
        assert_eq!(totals(&store).count, 5);
    }
}
