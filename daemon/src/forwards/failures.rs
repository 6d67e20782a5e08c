//! Failed forwards: counted by hour, channels and reason, since anybody can cause any number of them for free.

use std::collections::HashMap;

use lightning::impl_writeable_tlv_based;

use crate::storage::{self, Batch, Store, Table, record};

/// The counts by hour (newest last), inbound channel, outbound channel and reason.
const FAILURES: Table<FailureCount> = Table::new("forward_failures");
const HOUR_SECS: u64 = 3_600;
/// Old counts are removed in so many seconds of each hour.
const PRUNE_SECS: u64 = 30;
/// Counts are kept for a month.
const KEPT_SECS: u64 = 30 * 24 * HOUR_SECS;

/// Forwards of one hour that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// The beginning of the hour, in seconds since 1970.
    pub hour: u64,
    /// The channel they came by.
    pub inbound_channel_id: [u8; 32],
    /// The short id of the channel they were to leave by, if it is known.
    pub outbound_short_channel_id: Option<u64>,
    /// The stable word of the reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}
impl_writeable_tlv_based!(FailureCount, {
    (0, hour, required),
    (1, outbound_short_channel_id, option),
    (2, inbound_channel_id, required),
    (4, reason, required),
    (6, count, required),
});
record!(FailureCount, kind = 64, version = 1);

/// What failed since the last write, in memory: a kill loses at most these counts, and no money.
#[derive(Debug, Default)]
pub(super) struct Unwritten(HashMap<Vec<u8>, FailureCount>);

impl Unwritten {
    /// Counts one failure.
    pub(super) fn add(
        &mut self,
        inbound_channel_id: [u8; 32],
        outbound_short_channel_id: Option<u64>,
        reason: String,
        now: u64,
    ) {
        let hour = now - now % HOUR_SECS;
        let failure =
            FailureCount { hour, inbound_channel_id, outbound_short_channel_id, reason, count: 0 };
        let known = self.0.entry(key(&failure)).or_insert(failure);
        known.count = known.count.saturating_add(1);
    }

    /// Returns how many failures are counted.
    pub(super) fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, failure| sum.saturating_add(failure.count))
    }

    /// Moves the counts into a batch, and removes those that are older than a month; returns how many failures moved.
    pub(super) fn write(
        &mut self,
        store: &Store,
        batch: &mut Batch,
        now: u64,
    ) -> Result<u64, storage::Error> {
        let moved = self.count();
        for (key, failure) in &self.0 {
            let before = FAILURES.get(store, key)?.map_or(0, |known| known.count);
            let count = before.saturating_add(failure.count);
            FAILURES.put(batch, key, &FailureCount { count, ..failure.clone() });
        }
        self.0.clear();
        // All rows are read only in the first seconds of an hour.
        let rows = if now % HOUR_SECS < PRUNE_SECS { FAILURES.all(store)? } else { Vec::new() };
        for (key, failure) in rows {
            if failure.hour.saturating_add(KEPT_SECS) < now {
                FAILURES.delete(batch, &key);
            }
        }
        Ok(moved)
    }

    /// Returns the counts since a time in seconds since 1970, written or not, newest hour first.
    pub(super) fn since(
        &self,
        store: &Store,
        since: u64,
    ) -> Result<Vec<FailureCount>, storage::Error> {
        let mut counts: HashMap<Vec<u8>, FailureCount> = FAILURES.all(store)?.into_iter().collect();
        for (key, failure) in &self.0 {
            match counts.get_mut(key) {
                Some(known) => known.count = known.count.saturating_add(failure.count),
                None => drop(counts.insert(key.clone(), failure.clone())),
            }
        }
        let mut counts: Vec<_> =
            counts.into_values().filter(|failure| failure.hour + HOUR_SECS > since).collect();
        counts.sort_by_key(|failure| std::cmp::Reverse((failure.hour, failure.count)));
        Ok(counts)
    }
}

fn key(failure: &FailureCount) -> Vec<u8> {
    let outbound = failure.outbound_short_channel_id.unwrap_or(0);
    [
        &failure.hour.to_be_bytes()[..],
        &failure.inbound_channel_id,
        &outbound.to_be_bytes(),
        failure.reason.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn failures_are_counted_by_hour_channel_and_reason() {
        let store = Store::temporary();
        let mut unwritten = Unwritten::default();
        let day = 24 * HOUR_SECS;
        for (channel, reason, now) in
            [(1, "a", day), (1, "a", day + 5), (1, "b", day), (2, "a", day), (1, "a", 2 * day)]
        {
            unwritten.add([channel; 32], Some(7), reason.to_owned(), now);
        }
        let mut batch = Batch::new();
        assert_eq!(unwritten.write(&store, &mut batch, 2 * day).expect("readable"), 5);
        store.commit(batch).wait().expect("the store works");
        unwritten.add([1; 32], Some(7), "a".to_owned(), day + 9);
        assert_eq!(unwritten.count(), 1);
        let all = unwritten.since(&store, 0).expect("readable");
        let counts: Vec<_> = all.iter().map(|one| (one.hour / day, one.count)).collect();
        assert_eq!(counts, [(2, 1), (1, 3), (1, 1), (1, 1)]);
        assert_eq!(unwritten.since(&store, 2 * day).expect("readable").len(), 1);

        // After a month they go.
        let mut batch = Batch::new();
        unwritten.write(&store, &mut batch, day + KEPT_SECS + HOUR_SECS).expect("readable");
        store.commit(batch).wait().expect("the store works");
        let left = Unwritten::default().since(&store, 0).expect("readable");
        assert!(left.iter().all(|one| one.hour == 2 * day || one.count == 4), "{left:?}");
    }

    #[test]
    fn a_count_survives_the_disk() {
        let count = FailureCount {
            hour: 3_600,
            inbound_channel_id: [1; 32],
            outbound_short_channel_id: None,
            reason: "peer_offline".to_owned(),
            count: 9,
        };
        assert_eq!(FailureCount::decode(1, &count.encode()), Ok(count));
    }
}
