//! Old history goes once a day, where the operator wants that: class by class, in short steps beside the daemon's work.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::storage::error::Error;
use crate::tasks::Outcome;

const EVERY: Duration = Duration::from_secs(24 * 3600);
const DAY_SECS: u64 = 24 * 3600;
/// Between two steps, so that payments do not feel them.
const PAUSE: Duration = Duration::from_millis(20);

/// How far a class is forgotten after one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Records removed by this step.
    pub records: u64,
    /// Where the next step begins; none when there is nothing more to forget.
    pub next: Option<u64>,
}

/// One step: forgets what ended before a time in seconds since 1970, from a position on.
type Forget = dyn FnMut(u64, u64) -> Result<Forgotten, Error> + Send;

/// A class of history with its own age.
pub struct Class {
    name: &'static str,
    keep_days: u32,
    forget: Box<Forget>,
}

impl Class {
    /// Returns a class that is kept for so many days, or for ever where they are 0. `forget` takes one short step: it
    /// gets the time, in seconds since 1970, before which records may go, and where to begin, at first 0.
    pub fn new(
        name: &'static str,
        keep_days: u32,
        forget: impl FnMut(u64, u64) -> Result<Forgotten, Error> + Send + 'static,
    ) -> Self {
        Self { name, keep_days, forget: Box::new(forget) }
    }
}

/// Forgets what is old of each class, now and then once a day.
///
/// # Errors
///
/// The store's failure, which is the daemon's end.
pub async fn every_day(stopping: CancellationToken, mut classes: Vec<Class>) -> Outcome {
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
            let records = forget_all(&stopping, class).await?;
            if records > 0 {
                tracing::info!(records, class = class.name, "old history is forgotten");
            }
        }
    }
}

async fn forget_all(stopping: &CancellationToken, class: &mut Class) -> Result<u64, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let before = now.saturating_sub(u64::from(class.keep_days) * DAY_SECS);
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

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_class_is_forgotten_to_its_end_now_and_daily() {
        let stopping = CancellationToken::new();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let class = |name, keep_days| {
            let (calls, stop) = (calls.clone(), stopping.clone());
            Class::new(name, keep_days, move |before, from| {
                let mut calls = calls.lock().expect("no panic while held");
                calls.push((name, from));
                if calls.len() == 6 {
                    stop.cancel();
                }
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let expected = now.as_secs() - u64::from(keep_days) * 86_400;
                assert!(before.abs_diff(expected) <= 60, "{before}");
                Ok(Forgotten { records: 1, next: (from == 0).then_some(256) })
            })
        };
        let classes = vec![class("kept for ever", 0), class("month", 30), class("week", 7)];
        every_day(stopping.clone(), classes).await.unwrap();
        let day = [("month", 0), ("month", 256), ("week", 0), ("week", 256)];
        let calls = calls.lock().expect("no panic while held");
        assert_eq!(calls[..4], day);
        assert_eq!(calls[4..], day[..2], "the end comes within the second day");
    }

    #[tokio::test]
    async fn a_store_that_fails_ends_it() {
        let failing = Class::new("any", 1, |_, _| Err(Error::Closed));
        let failed = every_day(CancellationToken::new(), vec![failing]).await;
        assert_eq!(failed.unwrap_err().to_string(), "the store is closed");
    }
}
