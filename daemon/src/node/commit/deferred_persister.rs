//! LDK's `Persist` that holds monitor updates back for the next [checkpoint](super::checkpoint).

use std::sync::{Arc, Mutex, MutexGuard};

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::io;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::persist::{KVStoreSync, MonitorName};
use tokio::sync::Notify;

use super::types::{ChannelMonitor, HeldPersister};
use crate::storage::{KvStore, KvWrite};

/// Holds back what LDK writes until the manager is written with it.
pub struct HeldStore {
    kv: Arc<KvStore>,
    held: Mutex<Held>,
    more: Notify,
}

/// What waits for the next batch.
#[derive(Default)]
pub struct Held {
    /// Writes in the order of LDK's calls.
    pub writes: Vec<KvWrite>,
    /// Updates that are complete when the writes are durable.
    pub updates: Vec<(ChannelId, u64)>,
}

impl HeldStore {
    /// Holds writes to `kv`.
    pub fn new(kv: Arc<KvStore>) -> Self {
        Self { kv, held: Mutex::default(), more: Notify::new() }
    }

    /// Takes all that is held; whoever takes it writes it.
    pub fn take(&self) -> Held {
        std::mem::take(&mut *self.held())
    }

    /// Whether anything is held.
    pub fn is_empty(&self) -> bool {
        let held = self.held();
        held.writes.is_empty() && held.updates.is_empty()
    }

    /// Completes when something more is held.
    pub async fn more(&self) {
        self.more.notified().await;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic while held")
    }

    fn hold(&self, primary: &str, secondary: &str, key: &str, value: Option<Vec<u8>>) {
        self.held().writes.push(KvWrite {
            primary: primary.to_owned(),
            secondary: secondary.to_owned(),
            key: key.to_owned(),
            value,
        });
        self.more.notify_one();
    }
}

impl KVStoreSync for HeldStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Result<Vec<u8>, io::Error> {
        let held = self.held();
        let last = held.writes.iter().rev().find(|write| write.is(primary, secondary, key));
        match last.map(|write| write.value.clone()) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(io::Error::new(io::ErrorKind::NotFound, "removed")),
            None => {
                drop(held);
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
        self.hold(primary, secondary, key, Some(buf));
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        _lazy: bool,
    ) -> Result<(), io::Error> {
        self.hold(primary, secondary, key, None);
        Ok(())
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let mut keys = KVStoreSync::list(&*self.kv, primary, secondary)?;
        for write in self.held().writes.iter().filter(|write| write.is_in(primary, secondary)) {
            keys.retain(|key| *key != write.key);
            if write.value.is_some() {
                keys.push(write.key.clone());
            }
        }
        Ok(keys)
    }
}

/// Holds updates back, and tells LDK that they are complete or that they are under way.
///
/// Complete, and LDK goes on; what it says then has to wait at the gate. Under way, and LDK itself waits with its
/// answer to the peer, which LDK calls beta.
pub struct Together {
    persister: HeldPersister,
    store: Arc<HeldStore>,
    ldk_waits: bool,
}

impl Together {
    /// Persists through `persister`, which writes to `store`.
    pub fn new(persister: HeldPersister, store: Arc<HeldStore>, ldk_waits: bool) -> Self {
        Self { persister, store, ldk_waits }
    }

    /// The update joins the batch of its writes, or a later one: it is never told before they are durable.
    fn under_way(
        &self,
        written: ChannelMonitorUpdateStatus,
        update: Option<(ChannelId, u64)>,
    ) -> ChannelMonitorUpdateStatus {
        match written {
            ChannelMonitorUpdateStatus::Completed if !self.ldk_waits => written,
            ChannelMonitorUpdateStatus::Completed | ChannelMonitorUpdateStatus::InProgress => {
                self.store.held().updates.extend(update);
                self.store.more.notify_one();
                ChannelMonitorUpdateStatus::InProgress
            }
            ChannelMonitorUpdateStatus::UnrecoverableError => written,
        }
    }
}

impl Persist<InMemorySigner> for Together {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        let written = self.persister.persist_new_channel(name, monitor);
        let update = (monitor.channel_id(), monitor.get_latest_update_id());
        self.under_way(written, Some(update))
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        let written = self.persister.update_persisted_channel(name, update, monitor);
        self.under_way(written, update.map(|update| (monitor.channel_id(), update.update_id)))
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        Persist::<InMemorySigner>::archive_persisted_channel(&self.persister, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Store;

    #[test]
    fn what_is_held_is_read_back_and_not_stored_before_it_is_taken() {
        let store = Store::temporary();
        let kv = Arc::new(KvStore::new(store.clone()));
        let held = HeldStore::new(kv.clone());
        held.write("monitors", "", "a", vec![1]).expect("held");
        held.write("monitors", "", "b", vec![2]).expect("held");
        held.remove("monitors", "", "b", false).expect("held");
        assert_eq!(held.read("monitors", "", "a").expect("held"), [1]);
        assert!(held.read("monitors", "", "b").is_err());
        assert_eq!(held.list("monitors", "").expect("listed"), ["a"]);
        assert!(KVStoreSync::read(&*kv, "monitors", "", "a").is_err());

        let taken = held.take();
        assert!(held.is_empty());
        kv.commit_all(taken.writes).wait().expect("durable");
        assert_eq!(KVStoreSync::read(&*kv, "monitors", "", "a").expect("stored"), [1]);
        assert_eq!(KVStoreSync::list(&*kv, "monitors", "").expect("listed"), ["a"]);
    }
}
