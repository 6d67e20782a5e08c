//! Batches that share one fsync, with the wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

use crate::storage::engine::overlay::Enqueued;
use crate::storage::error::Error;

/// The batches that one commit writes together.
#[derive(Debug, Default)]
pub(in crate::storage) struct Group {
    pub(in crate::storage) writes: Vec<Enqueued>,
    pub(in crate::storage) bytes: usize,
    pub(in crate::storage) heads: Vec<NewHead>,
    pub(in crate::storage) done: Arc<Completion>,
}

/// A log that grows with a group.
#[derive(Debug)]
pub(in crate::storage) struct NewHead {
    pub(in crate::storage) head: Arc<watch::Sender<u64>>,
    /// Its last number once the group is durable.
    pub(in crate::storage) number: u64,
}

/// Whether a group is durable; shared by its waiters.
#[derive(Debug, Default)]
pub(in crate::storage) struct Completion {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), Error>>,
    wakers: Vec<Waker>,
}

impl Completion {
    pub(in crate::storage) fn finish(&self, result: Result<(), Error>) {
        let mut state = self.lock();
        state.result.get_or_insert(result);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn wait(&self) -> Result<(), Error> {
        let state = self.lock();
        let state = self
            .changed
            .wait_while(state, |state| state.result.is_none())
            .expect("nobody panics while holding it");
        state.result.clone().expect("waited for it")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// A write on its way to the disk; dropping it does not undo the write.
#[derive(Debug)]
pub struct Commit(CommitState);

#[derive(Debug)]
enum CommitState {
    Settled(Result<(), Error>),
    Waiting(Arc<Completion>),
}

impl Commit {
    pub(in crate::storage) fn settled(result: Result<(), Error>) -> Self {
        Self(CommitState::Settled(result))
    }

    pub(in crate::storage) fn waiting(done: Arc<Completion>) -> Self {
        Self(CommitState::Waiting(done))
    }

    /// Blocks until the write is durable, with all writes enqueued before it.
    ///
    /// On a worker of a multi-threaded runtime the worker's other tasks move to another thread meanwhile.
    pub fn wait(self) -> Result<(), Error> {
        match self.0 {
            CommitState::Settled(result) => result,
            CommitState::Waiting(done) => match tokio::runtime::Handle::try_current() {
                Ok(runtime)
                    if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread =>
                {
                    tokio::task::block_in_place(|| done.wait())
                }
                _ => done.wait(),
            },
        }
    }
}

impl Future for Commit {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &self.0 {
            CommitState::Settled(result) => Poll::Ready(result.clone()),
            CommitState::Waiting(done) => {
                let mut state = done.lock();
                if let Some(result) = &state.result {
                    return Poll::Ready(result.clone());
                }
                if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}
