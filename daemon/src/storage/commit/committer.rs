//! The committer: one thread writes all waiting batches as one, with one fsync.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group::{Group, NewHead};
use super::queue::{Next, Queue};
use super::second_witness::SecondWitness;
use super::space::SpaceWatch;
use super::witness::{Seen, Witness};
use crate::clock::Clock;
use crate::storage::error::Error;
use crate::storage::rows::chunks::Chunked;
use crate::storage::rows::keys;
use crate::storage::rows::meta::{COMMIT_SEQ, number};

/// How far the witness may lag behind the store.
const WITNESS_LAG: Duration = Duration::from_millis(90);
/// Interval between checks of the free space while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The thread that alone writes to the backend.
pub(in crate::storage) struct Committer {
    pub(in crate::storage) queue: Arc<Queue>,
    pub(in crate::storage) chunked: Chunked,
    pub(in crate::storage) space: Arc<SpaceWatch>,
    pub(in crate::storage) witness: Option<Witness>,
    pub(in crate::storage) second_witness: Option<SecondWitness>,
    pub(in crate::storage) store_id: u64,
    pub(in crate::storage) clock: Clock,
    /// The number of the last commit in the backend.
    pub(in crate::storage) last_commit: u64,
}

impl Committer {
    /// Writes group after group until the queue is closed and empty, or a write fails or panics.
    pub(in crate::storage) fn run(self) {
        let (queue, second_witness) = (self.queue.clone(), self.second_witness.clone());
        // The queue has failed with the panic, which the daemon's end tells.
        let _ = queue.guard("committer", || self.write_all());
        if let Some(second) = second_witness {
            second.close();
        }
    }

    fn write_all(mut self) {
        let mut last_tick = Instant::now();
        loop {
            let lag = if self.is_witness_behind() { WITNESS_LAG } else { LOOK_EVERY };
            let done = match self.queue.next(last_tick + lag) {
                Next::Group(group) => self.write(group),
                Next::Tick => {
                    last_tick = Instant::now();
                    self.space.look();
                    self.queue.backend.health().and_then(|()| self.note_witness())
                }
                Next::End => {
                    if let Err(error) = self.note_witness() {
                        tracing::warn!(%error, "cannot note the last commit in the witness");
                    }
                    return;
                }
            };
            if let Err(error) = done {
                self.queue.fail(error);
                return;
            }
        }
    }

    fn write(&mut self, group: Group) -> Result<(), Error> {
        let Group { writes, heads, done, .. } = group;
        if writes.is_empty() {
            // A sync: everything enqueued before is durable.
            done.finish(Ok(()));
            self.queue.settle(writes);
            return Ok(());
        }
        let mut split = self.chunked.split(&writes);
        let commit = self.last_commit + 1;
        let sum = self.queue.seal.lock().expect("nobody panics while holding it").apply(&split);
        split.push(sum);
        split.push(number(keys::meta(COMMIT_SEQ), commit));
        let began = Instant::now();
        let written = self.queue.backend.commit(&split);
        let took = began.elapsed();
        if let Err(error) = written {
            // The store counts as failed before any waiter sees the failure.
            self.queue.fail(error.clone());
            done.finish(Err(error.clone()));
            return Err(error);
        }
        self.last_commit = commit;
        self.queue.observers.notify(&split);
        self.queue.grow(&split, took);
        drop(split);
        // The heads of logs move before the waiters wake; the overlay is tidied after.
        for NewHead { head, number } in heads {
            head.send_replace(number);
        }
        done.finish(Ok(()));
        self.queue.settle(writes);
        Ok(())
    }

    fn is_witness_behind(&self) -> bool {
        self.witness.as_ref().is_some_and(|witness| witness.seen().commit < self.last_commit)
    }

    fn note_witness(&mut self) -> Result<(), Error> {
        if !self.is_witness_behind() {
            return Ok(());
        }
        let (unix_secs, store_id) = (self.clock.unix_secs(), self.store_id);
        let seen = Seen { commit: self.last_commit, unix_secs, store_id };
        if let Some(second) = &self.second_witness {
            second.note(seen);
        }
        self.witness.as_mut().map_or(Ok(()), |witness| witness.note(seen))
    }
}
