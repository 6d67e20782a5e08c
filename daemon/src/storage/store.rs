//! The store: opened and verified, written in batches, read through the writes that are enqueued.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::storage::care::check::{Check, CheckReport, Decode};
use crate::storage::care::compact::CompactReport;
use crate::storage::care::compactor::Compactor;
use crate::storage::care::export::{ExportReport, Exporter};
use crate::storage::care::mirror::MirrorStatus;
use crate::storage::care::stats;
use crate::storage::care::stats::StatsReport;
use crate::storage::commit::batch::Batch;
use crate::storage::commit::committer::Committer;
use crate::storage::commit::group::Commit;
use crate::storage::commit::queue::Queue;
use crate::storage::commit::second_witness::SecondWitness;
use crate::storage::commit::space::{LowSpace, SpaceWatch};
use crate::storage::commit::times::Growth;
use crate::storage::commit::witness::Seen;
use crate::storage::config::Config;
use crate::storage::engine::backend::{Backend, Direction, Span};
use crate::storage::engine::overlay;
use crate::storage::engine::overlay::Value;
use crate::storage::engine::progress::OnProgress;
use crate::storage::error::Error;
use crate::storage::open;
use crate::storage::open::{Claim, Locks, Verified};
use crate::storage::rows::chunks::{Chunked, Manifest};
use crate::storage::rows::damage::damaged;
#[cfg(test)]
use crate::storage::rows::seal::Seal;
use crate::storage::rows::{keys, schema};

/// A stop for longer is rare enough to be a reason for a warning.
const AGE_TO_WARN: Duration = Duration::from_secs(24 * 3600);

/// Everything that the daemon keeps on disk except the seed; a handle.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    committer: Mutex<Option<JoinHandle<()>>>,
    compactor: Mutex<Option<Compactor>>,
    watches: Followed,
    /// Released after the committer has ended.
    locks: Locks,
}

struct Followed {
    mirror: watch::Receiver<MirrorStatus>,
    low_space: watch::Receiver<Option<LowSpace>>,
    space: Arc<SpaceWatch>,
}

impl Store {
    /// Opens the store in `directory` (lock file, witness, database), making an empty one where there is none.
    ///
    /// # Errors
    ///
    /// Refuses a directory in use, a database that is damaged or newer, and one that lacks acknowledged writes.
    pub fn open(directory: &Path, config: &Config) -> Result<Self, Error> {
        Self::open_claimed(Claim::take(directory)?, config)
    }

    /// Opens a directory that has been claimed; it may take long, and blocks.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], but for a directory in use.
    pub fn open_claimed(claim: Claim, config: &Config) -> Result<Self, Error> {
        let directory = claim.directory().to_owned();
        let disks = [Some(directory.clone()), config.mirror.clone()];
        let space = SpaceWatch::new(disks.into_iter().flatten().collect(), config.min_free_mib);
        Self::start(open::verified(claim, config)?, space, &directory)
    }

    /// A store in memory that is gone with its last handle.
    #[cfg(test)]
    pub fn temporary() -> Self {
        Self::over(Arc::new(super::engine::memory::Memory::default()))
            .expect("an empty store opens")
    }

    /// A store over any backend, for tests.
    #[cfg(test)]
    pub(super) fn over(backend: Arc<dyn Backend>) -> Result<Self, Error> {
        let directory = Path::new("test");
        let seal = Seal::verified(&*backend, directory)?;
        let mirror = watch::Sender::new(MirrorStatus::Off).subscribe();
        let sound = open::prepared(Locks::default(), backend, seal, directory, None, mirror)?;
        Self::start(sound, SpaceWatch::new(Vec::new(), 0), directory)
    }

    /// What is under the committer, for tests that damage it.
    #[cfg(test)]
    pub(super) fn backend_for_tests(&self) -> Arc<dyn Backend> {
        self.0.queue.backend.clone()
    }

    fn start(sound: Verified, space: SpaceWatch, directory: &Path) -> Result<Self, Error> {
        let Verified {
            store_id,
            second_witness,
            locks,
            backend,
            seal,
            last_commit,
            witness,
            mirror,
        } = sound;
        let clock = Clock::system();
        if let Some(witness) = &witness {
            tell_age(witness.seen(), clock.unix_secs());
        }
        let chunked = Chunked::load(&*backend)?;
        let queue = Arc::new(Queue::new(backend, seal)?);
        let space = Arc::new(space);
        space.look();
        let low_space = space.low();
        let followed = space.clone();
        let second_witness = second_witness
            .map(|witness| SecondWitness::start(witness, queue.clone()))
            .transpose()?;
        let committer = Committer {
            queue: queue.clone(),
            chunked,
            space,
            witness,
            second_witness,
            store_id,
            clock,
            last_commit,
        };
        let compactor = Compactor::start(locks.databases(), queue.clone(), followed.clone());
        let compactor =
            compactor.map_err(|error| Error::io("start the compactor of", directory, error))?;
        let compactor = Mutex::new(Some(compactor));
        let thread = crate::tasks::thread("committer", move || committer.run());
        let thread =
            thread.map_err(|error| Error::io("start the committer of", directory, error))?;
        let committer = Mutex::new(Some(thread));
        let watches = Followed { mirror, low_space, space: followed };
        Ok(Self(Arc::new(Inner { queue, committer, compactor, watches, locks })))
    }

    /// Enqueues a batch; its place in the order of all writes is that of this call.
    pub fn commit(&self, batch: Batch) -> Commit {
        self.0.queue.enqueue(batch)
    }

    /// Enqueues writes that may wait for others, since a crash that undoes them does no harm: removals of old records.
    pub fn commit_lazily(&self, batch: Batch) {
        if !batch.is_empty() {
            drop(self.commit(batch.lazy()));
        }
    }

    /// Completes when all that was enqueued before is durable.
    pub fn sync(&self) -> Commit {
        self.commit(Batch::new())
    }

    /// Becomes the error after which nothing more becomes durable; the daemon must end then.
    pub fn failed(&self) -> watch::Receiver<Option<Error>> {
        self.0.queue.failed()
    }

    /// Follows whether a disk of the store runs low; no new obligation may be taken on then.
    pub fn low_space(&self) -> watch::Receiver<Option<LowSpace>> {
        self.0.watches.low_space.clone()
    }

    /// Follows the state of the mirror.
    pub fn mirror(&self) -> watch::Receiver<MirrorStatus> {
        self.0.watches.mirror.clone()
    }

    /// What was committed since the store was opened.
    pub fn growth(&self) -> Result<Growth, Error> {
        self.0.queue.growth()
    }

    /// Bytes that the database takes on disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.0.queue.backend.disk_bytes()
    }

    /// Bytes free on the fullest disk of the store at the last check, seconds ago; none while unknown.
    pub fn free_bytes(&self) -> Option<u64> {
        self.0.watches.space.free_bytes()
    }

    /// Measures all tables; it reads everything, so call it off the runtime's workers.
    pub fn stats(&self) -> Result<StatsReport, Error> {
        let queue = &self.0.queue;
        stats::measure(&*queue.backend, Some(queue.growth()?))
    }

    /// Reads and verifies every record while the daemon works; it takes long, so call it off the runtime's workers.
    ///
    /// # Errors
    ///
    /// What makes reading impossible, and [`Error::Cancelled`] when `on_progress` breaks off; all else is in the report.
    pub fn check(
        &self,
        decode: &Decode<'_>,
        on_progress: &OnProgress<'_>,
    ) -> Result<CheckReport, Error> {
        let queue = &self.0.queue;
        let settle = || drop(self.sync().wait());
        let mut report = CheckReport::default();
        if let Err(error) = schema::version(&*queue.backend) {
            report.add("the schema", error);
        }
        let (backend, seal) = (&*queue.backend, Some(&queue.seal));
        Check { backend, decode, settle: &settle, seal, on_progress, report }.run()
    }

    /// Writes a consistent snapshot into one file while the daemon works: the state of some instant after the call.
    /// It reads everything, so call it off the runtime's workers.
    ///
    /// # Errors
    ///
    /// As [`Store::check`], and what keeps the file from being written.
    pub fn export(&self, file: &Path, on_progress: &OnProgress<'_>) -> Result<ExportReport, Error> {
        let queue = &self.0.queue;
        let observer = queue.observers.subscribe();
        // The commit that was under way is not observed; after this its rows are in the backend.
        self.sync().wait()?;
        let mut export = Exporter::create(file)?;
        let shown = |export: &mut Exporter| {
            observer.try_iter().flatten().try_for_each(|write| export.write(&write))
        };
        export.rows(&*queue.backend, |export| {
            shown(export)?;
            if on_progress(export.step()).is_break() { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        self.sync().wait()?;
        shown(&mut export)?;
        export.finish()
    }

    /// Rewrites the database and its mirror without the space of old values, while the daemon works; it takes long, so
    /// call it off the runtime's workers.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoom`] where a second copy does not fit on the disk, [`Error::Busy`], and [`Error::Cancelled`] when
    /// `on_progress` breaks off.
    pub fn compact(&self, on_progress: &OnProgress<'_>) -> Result<CompactReport, Error> {
        let mut whole = CompactReport::default();
        for database in self.0.locks.databases() {
            let needed_bytes = database.disk_bytes()?;
            self.0.watches.space.check_room(database.directory(), needed_bytes)?;
            let report = database.compact(on_progress)?;
            whole.before_bytes += report.before_bytes;
            whole.after_bytes += report.after_bytes;
        }
        Ok(whole)
    }

    /// Writes all that is enqueued and ends the committer; later writes are refused.
    pub fn close(&self) {
        self.0.close();
    }

    /// Runs a job of the store; a panic in it fails the store.
    pub(super) fn guard<T>(
        &self,
        job: &'static str,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.0.queue.guard(job, work)?
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
        let enqueued = queue.enqueued_within(span, direction);
        overlay::scan(&enqueued, &*queue.backend, span, direction, &mut visit)
    }

    pub(super) fn log_head(&self, prefix: &[u8]) -> Result<watch::Receiver<u64>, Error> {
        self.0.queue.log_head(prefix)
    }
}

impl Inner {
    fn close(&self) {
        let compactor = self.compactor.lock().expect("nobody panics while holding it").take();
        if let Some(compactor) = compactor {
            compactor.stop();
        }
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

/// Says how old the state is that the store goes on from: the one sign of an older copy that needs no witness.
fn tell_age(seen: Seen, unix_secs: u64) {
    let commit = seen.commit;
    match seen.age(unix_secs) {
        Some((age, words)) if age > AGE_TO_WARN => tracing::warn!(
            commit,
            "the last stored state is {words} old: if the node has run since then, this is an older copy; stop it before \
             it loses money"
        ),
        Some((_, words)) => tracing::info!(commit, "the last stored state is {words} old"),
        None => tracing::info!(commit, "the age of the last stored state is not known"),
    }
}
