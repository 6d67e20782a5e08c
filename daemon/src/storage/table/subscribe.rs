//! Subscriptions to single records: a subscriber sees a change once it is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::storage::error::Error;
use crate::storage::store::Store;

type Key = [u8; 32];
type Senders<R> = Arc<Mutex<HashMap<Key, watch::Sender<Option<R>>>>>;

/// The subscriptions to records of one kind, by their 32-byte id.
pub struct Subscriptions<R> {
    store: Store,
    senders: Senders<R>,
}

impl<R: Clone> Subscriptions<R> {
    /// Returns an empty set of subscriptions to records of `store`.
    pub fn new(store: Store) -> Self {
        Self { store, senders: Arc::default() }
    }

    /// Starts to watch. Read the record after this call: a change between the two is then seen twice
    /// rather than missed.
    pub fn watch(&self, key: Key) -> Subscription<R> {
        let mut senders = self.senders.lock().expect("no panic while held");
        let changes = senders.entry(key).or_insert_with(|| watch::Sender::new(None)).subscribe();
        Subscription { store: self.store.clone(), key, changes, senders: self.senders.clone() }
    }

    /// Publishes a record whose write is already enqueued.
    pub fn publish(&self, key: &Key, record: &R) {
        let senders = self.senders.lock().expect("no panic while held");
        if let Some(sender) = senders.get(key) {
            sender.send_replace(Some(record.clone()));
        }
    }
}

/// A subscription to one record.
pub struct Subscription<R> {
    store: Store,
    key: Key,
    changes: watch::Receiver<Option<R>>,
    senders: Senders<R>,
}

impl<R: Clone> Subscription<R> {
    /// Waits for the next change and returns the record as it is then, durable. Changes that follow each
    /// other fast may be seen as one.
    ///
    /// # Errors
    /// When the store fails: the change is not durable and must not be shown.
    pub async fn changed(&mut self) -> Result<R, Error> {
        loop {
            if self.changes.changed().await.is_err() {
                // The sender lives as long as this watch does.
                return Err(Error::Closed);
            }
            let changed = self.changes.borrow_and_update().clone();
            if let Some(record) = changed {
                return self.durable(record).await;
            }
        }
    }

    /// Waits until what has been read of the record is durable.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn durable(&self, record: R) -> Result<R, Error> {
        self.store.sync().await?;
        Ok(record)
    }
}

impl<R> Drop for Subscription<R> {
    fn drop(&mut self) {
        let mut senders = self.senders.lock().expect("no panic while held");
        if senders.get(&self.key).is_some_and(|sender| sender.receiver_count() <= 1) {
            senders.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_sees_the_last_change_and_leaves_nothing_behind() {
        let watches = Subscriptions::<u32>::new(Store::temporary());
        watches.publish(&[1; 32], &6);
        let (mut first, second) = (watches.watch([1; 32]), watches.watch([1; 32]));
        watches.publish(&[2; 32], &8);
        watches.publish(&[1; 32], &7);
        watches.publish(&[1; 32], &9);
        assert_eq!(first.changed().await.expect("the store works"), 9);
        drop(first);
        assert_eq!(watches.senders.lock().expect("no panic").len(), 1);
        drop(second);
        assert!(watches.senders.lock().expect("no panic").is_empty());
    }
}
