//! Waits for conditions: the only file that sleeps.
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// How long a condition may take that needs no mining and no timer of the protocol: generous,
/// because a loaded machine is slow, and only failures wait for it.
pub const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What one look at a condition found.
pub enum Look<T> {
    /// It holds.
    Done(T),
    /// Not yet, and what was seen instead.
    NotYet(String),
}

/// Looks until the condition holds, and says in the error what was seen last.
/// An error of the look itself counts as "not yet": daemons may be starting.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<Look<T>>) -> Result<T> {
    eventually_within(PATIENCE, what, look).await
}

/// [`eventually`] with a patience of its own.
pub async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = match look().await {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if began.elapsed() >= patience {
            return Err(anyhow!("{what}: not after {} s; last seen: {seen}", patience.as_secs()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// A stream or a call that must come to its end: the harness's patience is its bound.
pub async fn bounded<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.with_context(|| what.to_owned()),
        Err(_) => bail!("{what}: not after {} s", PATIENCE.as_secs()),
    }
}

/// Looks again and again for as long as `span` and fails as soon as the look fails: for what must not happen.
pub async fn throughout(
    span: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < span {
        look().await.map_err(|error| error.context(format!("{what}: did not stay so")))?;
        tokio::time::sleep(LONGEST_PAUSE).await;
    }
    Ok(())
}

/// Blocking twin of [`eventually`] for destructors and set-up; true when the condition came to hold.
pub fn blocking(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    while !holds() {
        if began.elapsed() >= patience {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "this is the file that sleeps")]
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
    true
}

/// Lets `span` pass: chance in chaos, never a substitute for a condition.
pub async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
