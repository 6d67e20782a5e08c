//! What the processing loop does when an event cannot be handled: it pauses, and gives up after a time.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use lightning::events::ReplayEvent;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A disk that heals does so within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// LDK replays an event that was not handled, and everything after it waits; without a pause it would do so thousands of
/// times a second.
#[derive(Default)]
pub struct Replay(Mutex<Option<Failing>>);

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    pause: Duration,
    next: Instant,
}

/// The same event has failed for too long.
#[derive(Debug, thiserror::Error)]
#[error(
    "an event of LDK could not be handled for {} s; the log names the error, and the next start replays the event",
    .0.as_secs()
)]
pub struct GaveUp(Duration);

impl Replay {
    /// Records the outcome of an event.
    pub fn record(&self, outcome: &Result<(), ReplayEvent>) {
        let mut failing = self.failing();
        *failing = match (outcome, *failing) {
            (Ok(()), _) => None,
            (Err(_), Some(Failing { since, pause, .. })) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                Some(Failing { since, pause, next: Instant::now() + pause })
            }
            (Err(_), None) => {
                let now = Instant::now();
                Some(Failing { since: now, pause: FIRST_PAUSE, next: now + FIRST_PAUSE })
            }
        };
    }

    /// Returns when events may be handled again; none if they may now.
    ///
    /// # Errors
    /// [`GaveUp`].
    pub fn pause_until(&self) -> Result<Option<Instant>, GaveUp> {
        let Some(Failing { since, next, .. }) = *self.failing() else { return Ok(None) };
        let now = Instant::now();
        if now - since >= PATIENCE {
            return Err(GaveUp(now - since));
        }
        Ok((next > now).then_some(next))
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        self.0.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_event_is_replayed_ever_more_seldom_and_given_up_after_two_minutes() {
        let replay = Replay::default();
        let began = Instant::now();
        let mut replays = 0;
        let error = loop {
            match replay.pause_until() {
                Ok(None) => {
                    replay.record(&Err(ReplayEvent()));
                    replays += 1;
                }
                Ok(Some(next)) => tokio::time::sleep_until(next).await,
                Err(error) => break error,
            }
        };
        assert!(began.elapsed() >= PATIENCE && began.elapsed() <= PATIENCE + LONGEST_PAUSE);
        assert!((15..25).contains(&replays), "{replays}");
        assert!(error.to_string().contains("could not be handled for 1"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_handled_at_last_ends_the_pause() {
        let replay = Replay::default();
        for _ in 0..5 {
            replay.record(&Err(ReplayEvent()));
        }
        replay.record(&Ok(()));
        assert_eq!(replay.pause_until().expect("it was handled"), None);
        replay.record(&Err(ReplayEvent()));
        let next = replay.pause_until().expect("it failed once").expect("a pause");
        assert_eq!(next - Instant::now(), FIRST_PAUSE);
    }
}
