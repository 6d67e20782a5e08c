//! The witness on another disk, written by a thread of its own: a disk that hangs must not hold up payments.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::Queue;
use super::witness::{Seen, Witness};
use crate::storage::error::Error;

/// How long the end of the store waits for the last note.
const LAST_NOTE: Duration = Duration::from_secs(5);

/// A handle of the thread.
#[derive(Clone)]
pub(in crate::storage) struct SecondWitness(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    latest: Seen,
    /// The last commit that was written, or could not be.
    tried: u64,
    closed: bool,
}

/// Opens the witness at `path` and compares it with a store whose last commit is `found`.
///
/// # Errors
///
/// [`Error::Behind`] for a store that lacks commits which the witness has seen, [`Error::Witness`] for a witness of
/// another store, or one that cannot be opened: without it nobody knows whether the store is an older copy.
pub(in crate::storage) fn open(
    path: &Path,
    directory: &Path,
    store_id: u64,
    found: u64,
) -> Result<Witness, Error> {
    let unusable = |why: String| Error::Witness { path: path.to_owned(), why };
    let witness = Witness::open(path).map_err(|error| unusable(error.to_string()))?;
    let seen = witness.seen();
    if seen.commit > 0 && found > 0 && seen.store_id != store_id {
        return Err(unusable("it has seen another store".to_owned()));
    }
    if seen.commit > found {
        return Err(Error::Behind {
            directory: directory.to_owned(),
            found,
            witnessed: seen.commit,
            witness: format!("the witness {} has it", path.display()),
        });
    }
    Ok(witness)
}

impl SecondWitness {
    /// Starts the thread.
    pub(in crate::storage) fn start(witness: Witness, queue: Arc<Queue>) -> Result<Self, Error> {
        let path = witness.path().to_owned();
        let state = State { latest: witness.seen(), tried: witness.seen().commit, closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let runs = shared.clone();
        let started = crate::tasks::thread("second witness", move || {
            // The queue has failed with the panic, which the daemon's end tells.
            let _ = queue.guard("second witness", || runs.run(witness));
        });
        started.map_err(|error| Error::io("start the witness", &path, error))?;
        Ok(Self(shared))
    }

    /// Notes a commit soon.
    pub(in crate::storage) fn note(&self, seen: Seen) {
        self.0.lock().latest = seen;
        self.0.changed.notify_all();
    }

    /// Ends the thread after its last note, or leaves it behind where the disk hangs.
    pub(in crate::storage) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let waiting = |state: &mut State| state.tried < state.latest.commit;
        let waited = self.0.changed.wait_timeout_while(state, LAST_NOTE, waiting);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            tracing::warn!("the second witness did not take the last commit in time");
        }
    }
}

impl Shared {
    fn run(&self, mut witness: Witness) {
        let path: PathBuf = witness.path().to_owned();
        let mut failing = false;
        while let Some(seen) = self.next() {
            match witness.note(seen) {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!(path = %path.display(), "the second witness is written again");
                }
                Ok(()) => (),
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(
                        %error,
                        "the second witness cannot be written: until it can be, an older copy of the store may pass it"
                    );
                }
                Err(_) => (),
            }
            self.lock().tried = seen.commit;
            self.changed.notify_all();
        }
    }

    /// The next commit to note; none at the end.
    fn next(&self) -> Option<Seen> {
        let idle = |state: &mut State| !state.closed && state.tried >= state.latest.commit;
        let state = self.changed.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        (state.tried < state.latest.commit).then_some(state.latest)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
