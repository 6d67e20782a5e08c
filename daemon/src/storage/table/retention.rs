//! Retention: history older than the configured age is removed once a day, class by class, in short steps.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::storage::error::Error;
use crate::tasks::Outcome;

const EVERY: Duration = Duration::from_secs(24 * 3600);
const DAY_SECS: u64 = 24 * 3600;
/// The pause between two steps, so that payments do not feel them.
const PAUSE: Duration = Duration::from_millis(20);

/// The result of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneStep {
    /// Records removed by this step.
    pub records: u64,
    /// Where the next step begins; none at the end of the class.
    pub next: Option<u64>,
}

/// One step: removes records that ended before a time in seconds since 1970, from a position on.
type Forget = dyn FnMut(u64, u64) -> Result<PruneStep, Error> + Send;

/// A class of history with its own age.
pub struct RetentionClass {
    name: &'static str,
    keep_days: u32,
    forget: Box<Forget>,
}

impl RetentionClass {
    /// Returns a class that is kept for `keep_days` days; 0 keeps it without limit. `forget` takes one short step: it
    /// gets the time, in seconds since 1970, before which records may go, and where to begin, at first 0.
    pub fn new(
        name: &'static str,
        keep_days: u32,
        forget: impl FnMut(u64, u64) -> Result<PruneStep, Error> + Send + 'static,
    ) -> Self {
        Self { name, keep_days, forget: Box::new(forget) }
    }
}

/// Removes old records of each class, at the start and then once a day.
///
/// # Errors
///
/// The store's failure, which is the daemon's end.
pub async fn prune_daily(
    stopping: CancellationToken,
    clock: Clock,
    mut classes: Vec<RetentionClass>,
) -> Outcome {
    classes.retain(|class| class.keep_days > 0);
    let mut day = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = day.tick() => (),
            () = stopping.cancelled() => return Ok(()),
        }
        for class in &mut classes {
            if stopping.is_cancelled() {
                return Ok(());
            }
            let records = prune(&stopping, &clock, class).await?;
            if records > 0 {
                tracing::info!(records, class = class.name, "removed old history");
            }
        }
    }
}

async fn prune(
    stopping: &CancellationToken,
    clock: &Clock,
    class: &mut RetentionClass,
) -> Result<u64, Error> {
    let before = clock.unix_secs().saturating_sub(u64::from(class.keep_days) * DAY_SECS);
    let (mut records, mut from) = (0, 0);
    loop {
        let step = (class.forget)(before, from)?;
        records += step.records;
        match step.next {
            Some(next) if !stopping.is_cancelled() => from = next,
            Some(_) | None => return Ok(records),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::UNIX_EPOCH;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_class_is_forgotten_to_its_end_now_and_daily() {
        let stopping = CancellationToken::new();
        let clock = Clock::new(|| UNIX_EPOCH + Duration::from_secs(100 * DAY_SECS));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let class = |name, keep_days| {
            let (calls, stop) = (calls.clone(), stopping.clone());
            RetentionClass::new(name, keep_days, move |before, from| {
                let mut calls = calls.lock().expect("no panic while held");
                calls.push((name, from));
                if calls.len() == 6 {
                    stop.cancel();
                }
                assert_eq!(before, 100 * DAY_SECS - u64::from(keep_days) * DAY_SECS);
                Ok(PruneStep { records: 1, next: (from == 0).then_some(256) })
            })
        };
        let classes = vec![class("kept forever", 0), class("month", 30), class("week", 7)];
        prune_daily(stopping.clone(), clock, classes).await.unwrap();
        let day = [("month", 0), ("month", 256), ("week", 0), ("week", 256)];
        let calls = calls.lock().expect("no panic while held");
        assert_eq!(calls[..4], day);
        assert_eq!(calls[4..], day[..2], "the end comes within the second day");
    }

    #[tokio::test]
    async fn a_store_that_fails_ends_it() {
        let failing = RetentionClass::new("any", 1, |_, _| Err(Error::Closed));
        let failed = prune_daily(CancellationToken::new(), Clock::system(), vec![failing]).await;
        assert_eq!(failed.unwrap_err().to_string(), "the store is closed");
    }
}
