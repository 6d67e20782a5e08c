//! The compactor: a thread that rewrites a database whose file has grown to several times its live rows.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::compact::live_bytes;
use crate::storage::commit::queue::Queue;
use crate::storage::commit::space::SpaceWatch;
use crate::storage::engine::backend::Backend;
use crate::storage::engine::sled::Sled;
use crate::storage::engine::wal::logged::Logged;
use crate::storage::error::Error;

/// How often the length of the files is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure, such as too little space, it is not tried again for so long.
const AFTER_FAILURE: Duration = Duration::from_secs(600);
/// Shorter files are left alone.
const SMALL_BYTES: u64 = 32 << 20;
/// A file is rewritten when it has this many tenths of its live bytes: it grows on while they are counted and copied.
const DUE_TENTHS: u64 = 35;
/// To count the live bytes all rows are read, so they are counted again when the file has grown by one part in so many.
const RECOUNT_PART: u64 = 10;

/// A handle of the thread.
pub(in crate::storage) struct Compactor {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// A database, with its live bytes when they were last counted.
struct Watched {
    database: Weak<Logged<Sled>>,
    live_bytes: u64,
    /// The length of the file then.
    counted_at_bytes: u64,
    /// Looks to leave out.
    resting: u64,
}

impl Compactor {
    /// Starts the thread.
    pub(in crate::storage) fn start(
        databases: impl Iterator<Item = Arc<Logged<Sled>>>,
        queue: Arc<Queue>,
        space: Arc<SpaceWatch>,
    ) -> std::io::Result<Self> {
        let watched = |database| Watched {
            database: Arc::downgrade(&database),
            live_bytes: 0,
            counted_at_bytes: 0,
            resting: 0,
        };
        let mut all: Vec<_> = databases.map(watched).collect();
        let stop = Arc::new(Stop::default());
        let asked = stop.clone();
        let thread = crate::tasks::thread("compactor", move || {
            // The queue has failed with the panic, which the daemon's end tells.
            let _ = queue.guard("compactor", || {
                while !asked.wait(LOOK_EVERY) {
                    all.iter_mut().for_each(|one| one.look(&space, &asked));
                }
            });
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread; a compaction under way is cancelled.
    pub(in crate::storage) fn stop(self) {
        *self.stop.lock() = true;
        self.stop.changed.notify_all();
        // A panic has failed the store already.
        let _ = self.thread.join();
    }
}

impl Watched {
    fn look(&mut self, space: &SpaceWatch, stop: &Stop) {
        if self.resting > 0 {
            self.resting -= 1;
            return;
        }
        // A mirror that failed is gone.
        let Some(database) = self.database.upgrade() else { return };
        match self.compact(&database, space, stop) {
            Ok(()) | Err(Error::Cancelled | Error::Busy { .. }) => (),
            Err(error) => {
                self.resting = AFTER_FAILURE.as_secs() / LOOK_EVERY.as_secs();
                tracing::warn!(%error, "cannot compact the database: its file keeps growing");
            }
        }
    }

    fn compact(
        &mut self,
        database: &Logged<Sled>,
        space: &SpaceWatch,
        stop: &Stop,
    ) -> Result<(), Error> {
        let file_bytes = database.database().get().disk_bytes()?;
        let go_on =
            |_| if *stop.lock() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        if !is_due(file_bytes, self.live_bytes) || !has_grown(self.counted_at_bytes, file_bytes) {
            return Ok(());
        }
        self.counted_at_bytes = file_bytes;
        // They may have become more since.
        self.live_bytes = live_bytes(&*database.database().get(), &go_on)?;
        if !is_due(file_bytes, self.live_bytes) {
            return Ok(());
        }
        space.check_room(database.directory(), file_bytes)?;
        let report = database.compact_unasked(&go_on)?;
        self.counted_at_bytes = database.database().get().disk_bytes()?;
        tracing::info!(
            before = report.before_bytes,
            after = report.after_bytes,
            live = self.live_bytes,
            "compacted the database"
        );
        Ok(())
    }
}

impl Stop {
    /// Waits; true once the thread is to end.
    fn wait(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file is to be rewritten.
fn is_due(file_bytes: u64, live_bytes: u64) -> bool {
    file_bytes > SMALL_BYTES && file_bytes / DUE_TENTHS > live_bytes / 10
}

/// Whether a file has grown enough for another count.
fn has_grown(counted_at_bytes: u64, file_bytes: u64) -> bool {
    file_bytes >= counted_at_bytes + counted_at_bytes / RECOUNT_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_bytes_are_counted_less_often_than_the_file_grows() {
        // Each batch adds to both: were they counted at each look, all rows would be read for each of them.
        let (mut file_bytes, mut counted_at_bytes, mut counts) = (100 << 20, 0, 0);
        for _look in 0..1_000 {
            file_bytes += 1 << 20;
            if has_grown(counted_at_bytes, file_bytes) {
                (counted_at_bytes, counts) = (file_bytes, counts + 1);
            }
        }
        assert!((20..30).contains(&counts), "{counts} counts");
    }

    #[test]
    fn a_long_file_of_few_rows_is_due() {
        for (file_mib, live_mib, due) in [
            (20, 0, false),
            (33, 0, true),
            (55, 16, false),
            (57, 16, true),
            (340, 100, false),
            (360, 100, true),
        ] {
            assert_eq!(is_due(file_mib << 20, live_mib << 20), due, "{file_mib} of {live_mib} MiB");
        }
    }
}
