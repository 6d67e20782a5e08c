//! Patience with a chain source that does not answer: growing delays, cut short when it is back.

use std::mem::Discriminant;
use std::time::Duration;

use tokio::sync::watch;

use super::{Error, Health};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The delays between attempts of one caller: 100 ms, doubled up to 10 s.
///
/// That the source went away, and that it came back, is said once by the source itself, not by
/// each caller; what it answers but should not is said here, once.
pub struct Backoff {
    delay: Duration,
    health: watch::Receiver<Health>,
    said: Option<Discriminant<Error>>,
}

impl Backoff {
    /// Begins with the shortest delay.
    pub fn new(health: watch::Receiver<Health>) -> Self {
        Self { delay: SHORTEST, health, said: None }
    }

    /// Waits before the next attempt; less when the source answers somebody else before that.
    pub async fn wait(&mut self, doing: &'static str, error: &Error) {
        // Of the same kind with other numbers is the same.
        let kind = std::mem::discriminant(error);
        if !error.is_away() && self.said.replace(kind) != Some(kind) {
            tracing::warn!(%error, "{doing}: trying again");
        }
        // Somebody was answered since our attempt failed: the source is back already.
        let answers = error.is_away() && *self.health.borrow() == Health::Well;
        let delay = if answers { SHORTEST } else { self.delay };
        self.delay = (delay * 2).min(LONGEST);
        if !error.is_away() {
            tokio::time::sleep(delay).await;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => (),
            () = back(&mut self.health) => self.delay = SHORTEST,
        }
    }
}

/// Completes when the source is seen to become well.
async fn back(health: &mut watch::Receiver<Health>) {
    health.borrow_and_update();
    loop {
        if health.changed().await.is_err() {
            return std::future::pending().await;
        }
        if *health.borrow_and_update() == Health::Well {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn away() -> Error {
        Error::Busy { url: "here".into() }
    }

    fn unwell() -> watch::Sender<Health> {
        watch::Sender::new(Health::Away { since: std::time::SystemTime::UNIX_EPOCH, why: away() })
    }

    #[tokio::test(start_paused = true)]
    async fn delays_double_up_to_ten_seconds() {
        let health = unwell();
        let mut backoff = Backoff::new(health.subscribe());
        let mut delays = Vec::new();
        for _ in 0..9 {
            let begin = Instant::now();
            backoff.wait("test", &away()).await;
            delays.push(begin.elapsed().as_millis());
        }
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        let close = delays.iter().zip(expected).all(|(got, want)| got.abs_diff(want) <= 1);
        assert!(close, "{delays:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn recovery_ends_the_delay() {
        let health = unwell();
        let mut backoff = Backoff::new(health.subscribe());
        for _ in 0..8 {
            backoff.wait("test", &away()).await;
        }
        let begin = Instant::now();
        let error = away();
        let waiting = backoff.wait("test", &error);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        health.send_replace(Health::Well);
        waiting.await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
