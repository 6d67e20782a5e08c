//! The store: opened with its guards, written in batches, read through what is enqueued.

use std::any::Any;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::backend::{Backend, Direction, Span};
use super::batch::{Batch, Value};
use super::chunks::{Chunked, Manifest};
use super::codec::DecodeError;
use super::commit::{COMMIT_SEQ, Committer, Queue};
use super::config::Config;
use super::group::Commit;
use super::lock::Lock;
use super::sled::Sled;
use super::witness::Witness;
use super::{Error, codec, keys, schema};

/// All that the daemon keeps on disk, but for the seed; a handle.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Dropped after the committer has ended: the lock, a test's directory.
    _held: Vec<Box<dyn Any + Send + Sync>>,
}

impl Store {
    /// Opens the store in `directory` (lock file, witness, database), making an empty one where there is none.
    ///
    /// # Errors
    ///
    /// Refuses a directory in use, a database that is damaged or newer, and one that lacks acknowledged writes.
    pub fn open(directory: &Path, config: &Config) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
        let lock = Lock::take(directory)?;
        let witness = Witness::open(&directory.join("witness"))?;
        let database = directory.join("sled");
        if witness.last() > 0 && !database.exists() {
            return Err(behind(directory, 0, &witness));
        }
        let backend = Sled::open(&database, config.cache_mib)?;
        Self::start(Arc::new(backend), directory, Some(witness), vec![Box::new(lock)])
    }

    /// A store in memory that is gone with its last handle.
    #[cfg(test)]
    pub fn temporary() -> Self {
        let backend = Arc::new(super::memory::Memory::default());
        Self::start(backend, Path::new("memory"), None, Vec::new()).expect("an empty store opens")
    }

    /// Takes over a backend once it has passed all guards.
    pub(super) fn start(
        backend: Arc<dyn Backend>,
        directory: &Path,
        witness: Option<Witness>,
        held: Vec<Box<dyn Any + Send + Sync>>,
    ) -> Result<Self, Error> {
        let last_commit = last_commit(&*backend)?;
        if let Some(witness) = &witness
            && last_commit < witness.last()
        {
            return Err(behind(directory, last_commit, witness));
        }
        schema::migrate(&*backend, directory, is_empty(&*backend)?)?;
        let chunked = Chunked::load(&*backend)?;
        let queue = Arc::new(Queue::new(backend));
        let committer = Committer { queue: queue.clone(), chunked, witness, last_commit };
        let thread = crate::tasks::thread("committer", move || committer.run());
        let thread =
            thread.map_err(|error| Error::io("start the committer of", directory, error))?;
        let committer = Mutex::new(Some(thread));
        Ok(Self(Arc::new(Inner { queue, committer, _held: held })))
    }

    /// Enqueues a batch; its place in the order of all writes is that of this call.
    pub fn commit(&self, batch: Batch) -> Commit {
        self.0.queue.enqueue(batch)
    }

    /// Completes when all that was enqueued before is durable.
    pub fn sync(&self) -> Commit {
        self.commit(Batch::new())
    }

    /// Becomes some error when nothing more becomes durable; the daemon must end then.
    pub fn failed(&self) -> watch::Receiver<Option<Error>> {
        self.0.queue.failed()
    }

    /// Returns how much space the data takes on disk, in bytes.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.0.queue.backend.disk_bytes()
    }

    /// Writes all that is enqueued and ends the committer; later writes are refused.
    pub fn close(&self) {
        self.0.close();
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        let queue = &self.0.queue;
        let mut before: Option<Vec<u8>> = None;
        loop {
            if let Some(enqueued) = queue.enqueued(key) {
                return Ok(enqueued);
            }
            let Some(stored) = queue.backend.get(key)? else { return Ok(None) };
            let Some(manifest) = Manifest::decode(&stored).map_err(|error| damaged(key, error))?
            else {
                return Ok(Some(Arc::new(stored)));
            };
            if let Some(value) = manifest.join(&*queue.backend, key)? {
                return Ok(Some(Arc::new(value)));
            }
            // The chunks do not fit the manifest: the value was replaced meanwhile, or it is damaged.
            if before.as_ref() == Some(&stored) {
                return Err(Error::Corrupt {
                    place: keys::place(key),
                    why: format!("its {} chunks do not fit its manifest", manifest.chunks),
                });
            }
            before = Some(stored);
        }
    }

    /// Visits the rows of a span in order, enqueued ones included, until the visitor breaks off.
    pub(super) fn scan(
        &self,
        span: &Span,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut long = Ok(());
        self.scan_keys(span, direction, |key, stored| match Manifest::decode(stored) {
            Ok(None) => visit(key, stored),
            _ => match self.get(key) {
                Ok(Some(value)) => visit(key, &value),
                Ok(None) => ControlFlow::Continue(()),
                Err(error) => {
                    long = Err(error);
                    ControlFlow::Break(())
                }
            },
        })?;
        long
    }

    /// Visits rows like `scan`, but shows the manifest of a long value instead of reading its chunks.
    pub(super) fn scan_keys(
        &self,
        span: &Span,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let queue = &self.0.queue;
        // Before the backend: what settles meanwhile is then seen here, or there, or equal in both.
        let enqueued = queue.enqueued_within(span, direction);
        let mut enqueued = enqueued.iter().peekable();
        let comes_before = |one: &[u8], other: &[u8]| match direction {
            Direction::Forward => one < other,
            Direction::Backward => one > other,
        };
        let mut broke = false;
        queue.backend.scan(span, direction, &mut |key, stored| {
            while let Some((new, value)) = enqueued.next_if(|(new, _)| comes_before(new, key)) {
                if value.as_ref().is_some_and(|value| visit(new, value).is_break()) {
                    broke = true;
                    return ControlFlow::Break(());
                }
            }
            let shown = match enqueued.next_if(|(new, _)| new == key) {
                Some((_, Some(value))) => visit(key, value),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, stored),
            };
            broke = shown.is_break();
            shown
        })?;
        if !broke {
            for (new, value) in enqueued {
                if value.as_ref().is_some_and(|value| visit(new, value).is_break()) {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn log_head(&self, prefix: &[u8]) -> Result<watch::Receiver<u64>, Error> {
        self.0.queue.log_head(prefix)
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        let committer = self.committer.lock().expect("nobody panics while holding it").take();
        if let Some(committer) = committer
            && committer.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is wrong with the value of a key.
pub(super) fn damaged(key: &[u8], error: DecodeError) -> Error {
    Error::Corrupt { place: keys::place(key), why: error.to_string() }
}

fn behind(directory: &Path, found: u64, witness: &Witness) -> Error {
    Error::Behind {
        directory: directory.to_owned(),
        found,
        witnessed: witness.last(),
        witness: "says the witness file".to_owned(),
    }
}

fn last_commit(backend: &dyn Backend) -> Result<u64, Error> {
    let key = keys::meta(COMMIT_SEQ);
    match backend.get(&key)? {
        Some(stored) => codec::decode_number(&stored).map_err(|error| damaged(&key, error)),
        None => Ok(0),
    }
}

fn is_empty(backend: &dyn Backend) -> Result<bool, Error> {
    let mut empty = true;
    backend.scan(&Span::prefix(&[]), Direction::Forward, &mut |_, _| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}
