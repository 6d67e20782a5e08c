//! Named tasks and their end in stages: the only place that spawns.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a task ended.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A group of tasks that end together; stages end in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The API: no new calls come in after it has ended.
    Api,
    /// Connections to other nodes: no channel state changes by messages after it has ended.
    Peers,
    /// The node's own work: events, persistence, sweeping, fee refreshes.
    Work,
    /// Blocks and broadcasts.
    Chain,
}

impl Stage {
    const IN_ORDER: [Stage; 4] = [Stage::Api, Stage::Peers, Stage::Work, Stage::Chain];
}

/// Why the daemon stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Asked(String),
    /// Something failed that it cannot live without.
    Failed(String),
    /// Its state is older than what it has signed: nothing of it may act any more, not even to end in order.
    Stale(String),
}

/// All tasks of the daemon.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    stages: HashMap<Stage, (CancellationToken, TaskTracker)>,
    stop: watch::Sender<Option<Stop>>,
    running: Mutex<Vec<&'static str>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Returns an empty set of tasks.
    pub fn new() -> Self {
        let stages = Stage::IN_ORDER
            .into_iter()
            .map(|stage| (stage, (CancellationToken::new(), TaskTracker::new())))
            .collect();
        Self(Arc::new(Inner {
            stages,
            stop: watch::Sender::new(None),
            running: Mutex::new(Vec::new()),
        }))
    }

    /// Spawns a task that lives as long as the daemon; it ends soon after its token is cancelled.
    ///
    /// Its error, its panic, or its end before it was asked to end stops the daemon.
    pub fn spawn<T, F>(&self, stage: Stage, name: &'static str, task: T)
    where
        T: FnOnce(CancellationToken) -> F,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let stopping = self.stopping(stage);
        let running = task(stopping.clone());
        let tasks = self.clone();
        self.track(stage, name, async move {
            match running.await {
                Err(error) => tasks.fail(format!("{name} failed: {}", chain_of(&*error))),
                Ok(()) if !stopping.is_cancelled() => tasks.fail(format!("{name} ended by itself")),
                Ok(()) => (),
            }
        });
    }

    /// Spawns something that ends by itself, such as the service of one connection.
    pub fn spawn_once(
        &self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.track(stage, name, task);
    }

    /// Asks the daemon to stop; the first reason given is the one that is reported.
    pub fn stop(&self, why: impl Into<String>) {
        self.end(Stop::Asked(why.into()));
    }

    /// Says that the daemon cannot go on.
    pub fn fail(&self, why: impl Into<String>) {
        self.end(Stop::Failed(why.into()));
    }

    /// Says that nothing of the daemon may act any more, with the sentence for the operator.
    pub fn abandon(&self, why: impl Into<String>) {
        self.end(Stop::Stale(why.into()));
    }

    /// Whether the daemon is stopping already.
    pub fn is_stopping(&self) -> bool {
        self.0.stop.borrow().is_some()
    }

    fn end(&self, why: Stop) {
        self.0.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(why);
            }
            first
        });
    }

    /// Completes with the reason once the daemon is to stop.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.0.stop.subscribe();
        let reason = stop.wait_for(Option::is_some).await.ok().and_then(|stop| stop.clone());
        reason.unwrap_or_else(|| Stop::Failed("the tasks were dropped".to_owned()))
    }

    /// Returns the token that is cancelled when `stage` is to end.
    pub fn stopping(&self, stage: Stage) -> CancellationToken {
        self.0.stages[&stage].0.clone()
    }

    /// Ends stage after stage; returns the names of tasks that had not ended by their `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<&'static str> {
        for stage in Stage::IN_ORDER {
            let (stopping, tracker) = &self.0.stages[&stage];
            stopping.cancel();
            tracker.close();
            if tokio::time::timeout(deadline, tracker.wait()).await.is_err() {
                tracing::warn!(?stage, running = ?self.running(), "tasks did not end in time");
            }
        }
        self.running()
    }

    fn running(&self) -> Vec<&'static str> {
        self.0.running.lock().expect("no panic while held").clone()
    }

    fn forget(&self, name: &'static str) {
        let mut running = self.0.running.lock().expect("no panic while held");
        if let Some(position) = running.iter().position(|other| *other == name) {
            running.swap_remove(position);
        }
    }

    fn track(
        &self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let tasks = self.clone();
        self.0.running.lock().expect("no panic while held").push(name);
        self.0.stages[&stage].1.spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            tasks.forget(name);
            if let Err(panic) = ended {
                let panic = panic_text(&*panic);
                // The task that panicked with the lock names the cause: only the cause says what to do.
                if panic.contains("PoisonError") {
                    let _ = tokio::time::timeout(PATIENCE_FOR_THE_CAUSE, tasks.stopped()).await;
                }
                // What follows from the reason of a stop is not another one.
                match tasks.is_stopping() {
                    false => tracing::error!(task = name, %panic, "task panicked"),
                    true => tracing::debug!(task = name, %panic, "task panicked"),
                }
                tasks.fail(format!("{name} panicked: {panic}"));
            }
        });
    }
}

/// How long a task that met a poisoned lock waits for the reason why it is poisoned.
const PATIENCE_FOR_THE_CAUSE: Duration = Duration::from_secs(5);

/// Starts an operating-system thread with a name; for the few loops that block forever.
pub fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// An error with all its causes in one line.
pub fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_end_in_order() {
        let tasks = Tasks::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for stage in [Stage::Chain, Stage::Api, Stage::Work] {
            let order = order.clone();
            tasks.spawn(stage, "test", move |stopping| async move {
                stopping.cancelled().await;
                order.lock().expect("no panic").push(stage);
                Ok(())
            });
        }
        assert!(tasks.shutdown(Duration::from_secs(60)).await.is_empty());
        assert_eq!(*order.lock().expect("no panic"), [Stage::Api, Stage::Work, Stage::Chain]);
    }

    #[tokio::test]
    async fn an_error_and_a_panic_stop_the_daemon_with_the_name() {
        let tasks = Tasks::new();
        tasks.spawn(Stage::Work, "baker", |_| async { Err("no flour".into()) });
        assert_eq!(tasks.stopped().await, Stop::Failed("baker failed: no flour".to_owned()));

        let tasks = Tasks::new();
        tasks.spawn_once(Stage::Work, "miller", async { panic!("no wind") });
        assert_eq!(tasks.stopped().await, Stop::Failed("miller panicked: no wind".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poisoned_lock_is_a_reason_only_where_its_cause_is_not_given() {
        async fn echo() {
            panic!("called `unwrap` on an `Err` value: PoisonError");
        }
        let tasks = Tasks::new();
        tasks.spawn_once(Stage::Work, "echo", echo());
        let cause = tasks.clone();
        tasks.spawn_once(Stage::Work, "cause", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cause.abandon("an older copy");
        });
        assert_eq!(tasks.stopped().await, Stop::Stale("an older copy".to_owned()));

        let tasks = Tasks::new();
        tasks.spawn_once(Stage::Work, "echo", echo());
        let Stop::Failed(why) = tasks.stopped().await else { panic!("it failed") };
        assert!(why.starts_with("echo panicked: ") && why.contains("PoisonError"), "{why}");
    }
}
