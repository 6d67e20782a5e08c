//! Old history goes once a day, where the operator wants that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::tasks::Outcome;

const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Calls `forget` with the time in seconds since 1970, now and then once a day.
///
/// # Errors
///
/// The store's failure, which is the daemon's end.
pub async fn every_day(
    stopping: CancellationToken,
    mut forget: impl FnMut(u64) -> Result<u64, Error>,
) -> Outcome {
    let mut day = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = day.tick() => (),
            () = stopping.cancelled() => return Ok(()),
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match forget(now.as_secs())? {
            0 => (),
            records => tracing::info!(records, "old history is forgotten"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_called_now_and_daily_until_the_end() {
        let stopping = CancellationToken::new();
        let (stop, mut calls) = (stopping.clone(), 0);
        let forget = |_| {
            calls += 1;
            if calls == 3 {
                stop.cancel();
            }
            Ok(calls)
        };
        every_day(stopping, forget).await.unwrap();
        assert_eq!(calls, 3);
        let failing = every_day(CancellationToken::new(), |_| Err(Error::Closed)).await;
        assert_eq!(failing.unwrap_err().to_string(), "the store is closed");
    }
}
