//! The API while the daemon starts: every call is answered at once with what the start waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::service::Routes;
use tonic::{Code, Status};

use super::status::with_info;
use crate::clock::Clock;

/// The machine reason of a call that comes too early.
const REASON: &str = "STARTING";

/// What the start waits for; a handle.
#[derive(Clone)]
pub struct Starting(Arc<Inner>);

struct Inner {
    clock: Clock,
    phase: Mutex<Option<Phase>>,
    /// Whether the start has ended.
    ended: watch::Sender<bool>,
}

/// A phase of the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What the daemon waits for, as the object of a sentence.
    pub waits_for: String,
    /// Unix time in seconds since when it waits.
    pub since: u64,
    /// How long it has waited, in seconds.
    pub secs: u64,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the daemon is starting: it has waited {} s for {}", self.secs, self.waits_for)
    }
}

impl Starting {
    /// Begins without a phase that has a name.
    pub fn new(clock: Clock) -> Self {
        let starting = Self(Arc::new(Inner {
            clock,
            phase: Mutex::new(None),
            ended: watch::Sender::new(false),
        }));
        starting.waits_for("its stages to begin");
        starting
    }

    /// Enters a phase; `what` is the object of "waits for".
    pub fn waits_for(&self, what: impl Into<String>) {
        let since = self.0.clock.unix_secs();
        *self.phase_slot() = Some(Phase { waits_for: what.into(), since, secs: 0 });
    }

    /// Words the present phase better, as with the last error; it still waits since the same time.
    pub fn still_waits_for(&self, what: impl Into<String>) {
        if let Some(phase) = self.phase_slot().as_mut() {
            phase.waits_for = what.into();
        }
    }

    /// Ends the start.
    pub fn finish(&self) {
        *self.phase_slot() = None;
        self.0.ended.send_replace(true);
    }

    /// Completes when the start has ended.
    pub async fn finished(&self) {
        // The sender lives as long as this handle.
        let _ = self.0.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Returns the present phase; none once the start has ended.
    pub fn phase(&self) -> Option<Phase> {
        let mut phase = self.phase_slot().clone()?;
        phase.secs = self.0.clock.unix_secs().saturating_sub(phase.since);
        Some(phase)
    }

    /// Refuses a call with what the start waits for.
    pub fn refusal(&self) -> Status {
        refusal(self.phase())
    }

    fn phase_slot(&self) -> std::sync::MutexGuard<'_, Option<Phase>> {
        self.0.phase.lock().expect("no panic while held")
    }
}

/// Health and reflection from the first moment, the other services once they are there.
#[derive(Clone)]
pub struct Switch {
    always: Routes,
    services: Arc<OnceLock<Routes>>,
    starting: Starting,
}

impl Switch {
    /// Serves `always` at once, and the routes of `services` once they are set.
    pub fn new(always: Routes, services: Arc<OnceLock<Routes>>, starting: Starting) -> Self {
        Self { always, services, starting }
    }
}

impl Service<http::Request<Body>> for Switch {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Routes are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path.starts_with("/grpc.") || path.starts_with("/lnrpc.State/") {
            return Box::pin(self.always.clone().call(request));
        }
        match self.services.get() {
            Some(services) => Box::pin(services.clone().call(request)),
            None => {
                let refused = refusal(self.starting.phase());
                Box::pin(std::future::ready(Ok(refused.into_http())))
            }
        }
    }
}

/// The status of a call before the daemon has started.
fn refusal(phase: Option<Phase>) -> Status {
    let Some(phase) = phase else {
        // The services are set in a moment.
        let words = "the daemon is starting".to_owned();
        return with_info(Code::Unavailable, REASON, words, HashMap::new());
    };
    let named = HashMap::from([
        ("waits_for".to_owned(), phase.waits_for.clone()),
        ("since".to_owned(), phase.since.to_string()),
    ]);
    with_info(Code::Unavailable, REASON, phase.to_string(), named)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_phase_lasts_from_its_beginning_though_its_words_change() {
        let now = Arc::new(AtomicU64::new(100));
        let time = now.clone();
        let clock =
            Clock::new(move || UNIX_EPOCH + Duration::from_secs(time.load(Ordering::Relaxed)));
        let starting = Starting::new(clock);
        starting.waits_for("bitcoind");
        now.store(107, Ordering::Relaxed);
        starting.still_waits_for("bitcoind (connection refused)");
        let phase = starting.phase().expect("it starts");
        assert_eq!((phase.since, phase.secs), (100, 7));
        let words = "the daemon is starting: it has waited 7 s for bitcoind (connection refused)";
        assert_eq!(phase.to_string(), words);
        starting.finish();
        assert_eq!(starting.phase(), None);
    }
}
