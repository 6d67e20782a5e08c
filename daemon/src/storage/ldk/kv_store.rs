//! LDK's `KVStore` and `KVStoreSync` over the store.

use std::ops::ControlFlow;

use lightning::io;
use lightning::util::async_poll::AsyncResult;
use lightning::util::persist::{KVStore, KVStoreSync};

use super::kv_write::KvWrite;
use crate::storage::commit::batch::Batch;
use crate::storage::commit::group::Commit;
use crate::storage::engine::backend::{Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::codec::BYTES_KIND;
use crate::storage::rows::damage::damaged;
use crate::storage::rows::{codec, keys};
use crate::storage::store::Store;

/// LDK's view of the store: a blocking write waits for the group commit, an asynchronous one resolves with it.
#[derive(Clone)]
pub struct KvStore(Store);

impl KvStore {
    /// Enqueues several writes as one batch: all of them become durable, or none.
    pub fn commit_all(&self, writes: impl IntoIterator<Item = KvWrite>) -> Commit {
        let mut batch = Batch::new();
        for write in writes {
            let key = whole(&write.primary, &write.secondary, &write.key);
            match write.value {
                Some(value) => batch.put(key, codec::frame(1, BYTES_KIND, &value)),
                None => batch.delete(key),
            }
        }
        self.0.commit(batch)
    }

    /// Returns LDK's view of a store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    fn get(&self, primary: &str, secondary: &str, key: &str) -> Result<Vec<u8>, io::Error> {
        let key = whole(primary, secondary, key);
        let Some(value) = self.0.get(&key)? else {
            let missing = format!("{} is not in the store", keys::place(&key));
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        };
        let body = codec::unframe_kind(&value, BYTES_KIND).map_err(|error| damaged(&key, error))?;
        Ok(body.to_vec())
    }

    fn put(&self, primary: &str, secondary: &str, key: &str, value: &[u8]) -> Commit {
        let mut batch = Batch::new();
        batch.put(whole(primary, secondary, key), codec::frame(1, BYTES_KIND, value));
        self.0.commit(batch)
    }

    /// A lazy removal rides along with the next commit, and nobody waits for it.
    fn delete(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> Commit {
        let mut batch = Batch::new();
        batch.delete(whole(primary, secondary, key));
        if !lazy {
            return self.0.commit(batch);
        }
        drop(self.0.commit(batch.lazy()));
        Commit::settled(Ok(()))
    }

    fn keys(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let prefix = keys::namespace(primary, secondary);
        let mut found = Vec::new();
        self.0.scan_keys(&Span::prefix(&prefix), Direction::Forward, |key, _| {
            found.push(String::from_utf8_lossy(&key[prefix.len()..]).into_owned());
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

impl KVStoreSync for KvStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Result<Vec<u8>, io::Error> {
        self.get(primary, secondary, key)
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        buf: Vec<u8>,
    ) -> Result<(), io::Error> {
        Ok(self.put(primary, secondary, key, &buf).wait()?)
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> Result<(), io::Error> {
        Ok(self.delete(primary, secondary, key, lazy).wait()?)
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        self.keys(primary, secondary)
    }
}

impl KVStore for KvStore {
    fn read(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
    ) -> AsyncResult<'static, Vec<u8>, io::Error> {
        let read = self.get(primary, secondary, key);
        Box::pin(async move { read })
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        buf: Vec<u8>,
    ) -> AsyncResult<'static, (), io::Error> {
        // Enqueued now, not when the future is polled: LDK demands the order of its calls.
        settle(self.put(primary, secondary, key, &buf))
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> AsyncResult<'static, (), io::Error> {
        settle(self.delete(primary, secondary, key, lazy))
    }

    fn list(&self, primary: &str, secondary: &str) -> AsyncResult<'static, Vec<String>, io::Error> {
        let listed = self.keys(primary, secondary);
        Box::pin(async move { listed })
    }
}

fn settle(commit: Commit) -> AsyncResult<'static, (), io::Error> {
    Box::pin(async move { commit.await.map_err(|error: Error| error.into()) })
}

fn whole(primary: &str, secondary: &str, key: &str) -> Vec<u8> {
    let mut whole = keys::namespace(primary, secondary);
    whole.extend(key.as_bytes());
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldk_finds_what_it_wrote_and_only_that() {
        let kv = KvStore::new(Store::temporary());
        let missing = KVStoreSync::read(&kv, "", "", "manager").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        KVStoreSync::write(&kv, "", "", "manager", vec![1]).unwrap();
        KVStoreSync::write(&kv, "monitors", "", "a", vec![2; 100_000]).unwrap();
        KVStoreSync::write(&kv, "monitor_updates", "a", "1", vec![3]).unwrap();
        KVStoreSync::write(&kv, "monitor_updates", "a", "2", vec![4]).unwrap();
        KVStoreSync::write(&kv, "monitor_updates", "b", "1", vec![]).unwrap();
        assert_eq!(KVStoreSync::read(&kv, "monitors", "", "a").unwrap(), vec![2; 100_000]);
        assert_eq!(KVStoreSync::read(&kv, "monitor_updates", "b", "1").unwrap(), Vec::<u8>::new());
        assert_eq!(KVStoreSync::list(&kv, "", "").unwrap(), ["manager"]);
        assert_eq!(KVStoreSync::list(&kv, "monitors", "").unwrap(), ["a"]);
        assert_eq!(KVStoreSync::list(&kv, "monitor_updates", "a").unwrap(), ["1", "2"]);
        assert!(KVStoreSync::list(&kv, "monitor_updates", "").unwrap().is_empty());
        for lazy in [true, false, true] {
            KVStoreSync::remove(&kv, "monitor_updates", "a", "1", lazy).unwrap();
            assert_eq!(KVStoreSync::list(&kv, "monitor_updates", "a").unwrap(), ["2"]);
        }
    }

    #[tokio::test]
    async fn asynchronous_writes_take_the_order_of_their_calls() {
        let kv = KvStore::new(Store::temporary());
        let first = KVStore::write(&kv, "", "", "manager", vec![1]);
        let lazy = KVStore::remove(&kv, "", "", "manager", true);
        let second = KVStore::write(&kv, "", "", "manager", vec![2]);
        second.await.unwrap();
        first.await.unwrap();
        lazy.await.unwrap();
        assert_eq!(KVStore::read(&kv, "", "", "manager").await.unwrap(), [2]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_blocked_write_does_not_hold_up_the_worker() {
        let kv = KvStore::new(Store::temporary());
        KVStoreSync::write(&kv, "", "", "manager", vec![1]).unwrap();
        assert_eq!(KVStoreSync::read(&kv, "", "", "manager").unwrap(), [1]);
    }
}
