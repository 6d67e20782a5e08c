//! Disks that fail: nothing is acknowledged that is not durable, and nothing after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lightning::io;
use lightning::util::persist::{KVStore, KVStoreSync};
use rustix::io::Errno;

use super::*;
use crate::storage::Error;
use crate::storage::engine::backend::{Backend, Direction, Span, Visit, Write};
use crate::storage::engine::memory::Memory;

/// A backend whose disk fails after some commits.
pub(super) struct Faulty<B> {
    pub(super) inner: B,
    commits_left: AtomicU32,
    errno: Errno,
}

impl<B> Faulty<B> {
    pub(super) fn after(commits: u32, errno: Errno, inner: B) -> Self {
        Self { inner, commits_left: AtomicU32::new(commits), errno }
    }
}

impl<B: Backend> Backend for Faulty<B> {
    fn commit(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        let left = self.commits_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Error::io(
                "sync",
                std::path::Path::new("/data/sled/db"),
                self.errno.into(),
            ));
        }
        self.commits_left.store(left - 1, Ordering::SeqCst);
        self.inner.commit(writes)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.scan(span, direction, visit)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.inner.disk_bytes()
    }
}

#[test]
fn what_was_acknowledged_before_the_fault_is_there_and_nothing_after_is_acknowledged() {
    for errno in [Errno::IO, Errno::NOSPC] {
        // One commit for the store's identity, then five.
        let backend = Arc::new(Faulty::after(6, errno, Memory::default()));
        let store = Store::over(backend.clone()).unwrap();
        let acknowledged = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let (store, acknowledged) = (&store, &acknowledged);
                scope.spawn(move || {
                    for number in 0..100u8 {
                        let key = [writer, number];
                        match put(store, &key, "note").wait() {
                            Ok(()) => acknowledged.fetch_add(1, Ordering::SeqCst),
                            Err(_) => return,
                        };
                        // Reads see what is enqueued; the backend must hold what is acknowledged.
                        assert!(NOTES.contains(store, &key).unwrap());
                    }
                    panic!("the disk never failed");
                });
            }
        });
        let said =
            store.failed().borrow().clone().expect("the store reports its fault").to_string();
        assert!(said.contains("/data/sled/db"), "{said}");
        assert_eq!(said.contains("no space left"), errno == Errno::NOSPC, "{said}");
        assert!(put(&store, b"later", "note").wait().is_err());
        assert!(store.sync().wait().is_err());
        drop(store);
        let reopened = Store::over(Arc::new(Faulty::after(0, errno, ReadOnly(backend)))).unwrap();
        let held = NOTES.all(&reopened).unwrap().len() as u32;
        assert!(held >= acknowledged.into_inner());
    }
}

/// The backend of a store that has ended.
struct ReadOnly(Arc<Faulty<Memory>>);

impl Backend for ReadOnly {
    fn commit(&self, _: &[Write<'_>]) -> Result<(), Error> {
        Err(Error::Closed)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key)
    }

    fn scan(&self, span: &Span, direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.0.scan(span, direction, visit)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.0.disk_bytes()
    }
}

#[tokio::test]
async fn ldk_is_told_of_the_fault_in_either_form() {
    let store = Store::over(Arc::new(Faulty::after(1, Errno::IO, Memory::default()))).unwrap();
    let kv = KvStore::new(store.clone());
    let mut failed = store.failed();
    let first = KVStore::write(&kv, "", "", "manager", vec![1]).await.unwrap_err();
    assert_eq!(first.kind(), io::ErrorKind::Other);
    assert!(KVStoreSync::write(&kv, "", "", "manager", vec![2]).is_err());
    failed.wait_for(Option::is_some).await.unwrap();
}

#[test]
fn a_closed_store_takes_nothing() {
    let store = Store::temporary();
    let early = put(&store, b"early", "note");
    store.close();
    early.wait().unwrap();
    assert!(matches!(put(&store, b"late", "note").wait(), Err(Error::Closed)));
}

/// A backend with a broken invariant.
struct Panicking(AtomicU32);

impl Backend for Panicking {
    fn commit(&self, _: &[Write<'_>]) -> Result<(), Error> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            // The store's identity.
            0 => Ok(()),
            _ => panic!("the map has no root"),
        }
    }

    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn scan(&self, _: &Span, _: Direction, _: &mut Visit<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

#[test]
fn a_committer_that_panics_fails_the_store_and_all_who_wait() {
    let store = Store::over(Arc::new(Panicking(AtomicU32::new(0)))).unwrap();
    let waiting: Vec<_> = (0..3u8).map(|key| put(&store, &[key], "note")).collect();
    for commit in waiting {
        let words = commit.wait().unwrap_err().to_string();
        assert_eq!(words, "the store's committer panicked: the map has no root");
    }
    let failed = store.failed().borrow().clone().expect("the daemon hears of it");
    assert!(failed.remedy().contains("start again"), "{}", failed.remedy());
    assert!(put(&store, b"later", "note").wait().is_err());
}
