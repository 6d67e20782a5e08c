//! LDK's `Persist` that defers monitor updates to the next [checkpoint](super::checkpoint).

use std::sync::{Arc, Mutex, MutexGuard};

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::io;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::persist::{
    CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE as UPDATES, KVStoreSync, MonitorName,
};
use tokio::sync::Notify;

use super::monitor_weights::MonitorWeights;
use crate::node::ldk::types::ChannelMonitor;
use crate::storage::{KvStore, KvWrite};

/// A store whose writes are deferred until the channel manager is written with them.
pub struct DeferredStore {
    kv: Arc<KvStore>,
    pending: Mutex<PendingWrites>,
    weights: MonitorWeights,
    added: Notify,
}

/// Writes that wait for the next batch.
#[derive(Default)]
pub struct PendingWrites {
    /// In the order of LDK's calls.
    pub writes: Vec<KvWrite>,
    /// Monitor updates that are complete when the writes are durable: channel and update id.
    pub updates: Vec<(ChannelId, u64)>,
}

impl DeferredStore {
    /// Defers writes to `kv`.
    pub fn new(kv: Arc<KvStore>) -> Self {
        Self {
            kv,
            pending: Mutex::default(),
            weights: MonitorWeights::default(),
            added: Notify::new(),
        }
    }

    /// Takes all pending writes; the caller has to write them, in one batch.
    pub fn take(&self) -> PendingWrites {
        std::mem::take(&mut *self.pending())
    }

    /// Returns whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        let pending = self.pending();
        pending.writes.is_empty() && pending.updates.is_empty()
    }

    /// Completes when another write is pending.
    pub async fn added(&self) {
        self.added.notified().await;
    }

    fn pending(&self) -> MutexGuard<'_, PendingWrites> {
        self.pending.lock().expect("no panic while held")
    }

    /// Removes the stored updates of a monitor up to `last`.
    fn remove_updates(&self, monitor: &str, last: u64) -> Result<(), io::Error> {
        for update in self.list(UPDATES, monitor)? {
            if update.parse().is_ok_and(|id: u64| id <= last) {
                self.defer(UPDATES, monitor, &update, None);
            }
        }
        Ok(())
    }

    fn defer(&self, primary: &str, secondary: &str, key: &str, value: Option<Vec<u8>>) {
        self.weights.note(primary, secondary, key, value.as_deref());
        self.pending().writes.push(KvWrite {
            primary: primary.to_owned(),
            secondary: secondary.to_owned(),
            key: key.to_owned(),
            value,
        });
        self.added.notify_one();
    }
}

impl KVStoreSync for DeferredStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Result<Vec<u8>, io::Error> {
        let pending = self.pending();
        let last = pending.writes.iter().rev().find(|write| write.is(primary, secondary, key));
        match last.map(|write| write.value.clone()) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(io::Error::new(io::ErrorKind::NotFound, "removed")),
            None => {
                drop(pending);
                KVStoreSync::read(&*self.kv, primary, secondary, key)
            }
        }
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        buf: Vec<u8>,
    ) -> Result<(), io::Error> {
        self.defer(primary, secondary, key, Some(buf));
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        _lazy: bool,
    ) -> Result<(), io::Error> {
        self.defer(primary, secondary, key, None);
        Ok(())
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let mut keys = KVStoreSync::list(&*self.kv, primary, secondary)?;
        for write in self.pending().writes.iter().filter(|write| write.is_in(primary, secondary)) {
            keys.retain(|key| *key != write.key);
            if write.value.is_some() {
                keys.push(write.key.clone());
            }
        }
        Ok(keys)
    }
}

/// Defers monitor updates, and reports them to LDK as complete or as in progress.
///
/// Reported complete, LDK goes on, and its output has to wait at the gate. Reported in progress, LDK itself holds its
/// answer to the peer back; LDK calls this mode beta.
pub struct DeferredPersister<P> {
    persister: P,
    store: Arc<DeferredStore>,
    ldk_waits: bool,
}

impl<P> DeferredPersister<P> {
    /// Persists through `persister`, which writes to `store`; `ldk_waits` reports updates as in progress.
    pub fn new(persister: P, store: Arc<DeferredStore>, ldk_waits: bool) -> Self {
        Self { persister, store, ldk_waits }
    }

    /// Adds the update to the batch of its writes, or a later one: LDK never hears of it before they are durable.
    fn in_progress(
        &self,
        written: ChannelMonitorUpdateStatus,
        update: Option<(ChannelId, u64)>,
    ) -> ChannelMonitorUpdateStatus {
        match written {
            ChannelMonitorUpdateStatus::Completed if !self.ldk_waits => written,
            ChannelMonitorUpdateStatus::Completed | ChannelMonitorUpdateStatus::InProgress => {
                self.store.pending().updates.extend(update);
                self.store.added.notify_one();
                ChannelMonitorUpdateStatus::InProgress
            }
            ChannelMonitorUpdateStatus::UnrecoverableError => written,
        }
    }
}

impl<P: Persist<InMemorySigner>> Persist<InMemorySigner> for DeferredPersister<P> {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        let written = self.persister.persist_new_channel(name, monitor);
        let update = (monitor.channel_id(), monitor.get_latest_update_id());
        self.in_progress(written, Some(update))
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        let key = name.to_string();
        let is_whole = update.is_none() || self.store.weights.is_outweighed(&key);
        let written = match is_whole {
            true => self.persister.update_persisted_channel(name, None, monitor),
            false => self.persister.update_persisted_channel(name, update, monitor),
        };
        if is_whole {
            // Updates that the monitor already has are not read at a start: they only take space.
            if let Err(error) = self.store.remove_updates(&key, monitor.get_latest_update_id()) {
                tracing::warn!(%error, monitor = key, "could not remove old monitor updates");
            }
        }
        self.in_progress(written, update.map(|update| (monitor.channel_id(), update.update_id)))
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        self.persister.archive_persisted_channel(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Store;

    #[test]
    fn pending_writes_are_read_back_and_not_stored_before_they_are_taken() {
        let store = Store::temporary();
        let kv = Arc::new(KvStore::new(store.clone()));
        let deferred = DeferredStore::new(kv.clone());
        deferred.write("monitors", "", "a", vec![1]).expect("deferred");
        deferred.write("monitors", "", "b", vec![2]).expect("deferred");
        deferred.remove("monitors", "", "b", false).expect("deferred");
        assert_eq!(deferred.read("monitors", "", "a").expect("deferred"), [1]);
        assert!(deferred.read("monitors", "", "b").is_err());
        assert_eq!(deferred.list("monitors", "").expect("listed"), ["a"]);
        assert!(KVStoreSync::read(&*kv, "monitors", "", "a").is_err());

        for update in ["1", "9", "10"] {
            deferred.write(UPDATES, "a", update, vec![3]).expect("deferred");
        }
        deferred.remove_updates("a", 9).expect("deferred");
        assert_eq!(deferred.list(UPDATES, "a").expect("listed"), ["10"]);

        let taken = deferred.take();
        assert!(deferred.is_empty());
        kv.commit_all(taken.writes).wait().expect("durable");
        assert_eq!(KVStoreSync::read(&*kv, "monitors", "", "a").expect("stored"), [1]);
        assert_eq!(KVStoreSync::list(&*kv, "monitors", "").expect("listed"), ["a"]);
    }
}
