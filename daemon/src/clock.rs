//! The wall clock, handed to the rooms so that their tests can set it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of wall-clock time; clones share it.
///
/// Wall-clock time can be set back by the operator or by NTP: it stamps records and checks expiries, and never
/// measures how long something took ([`std::time::Instant`] does).
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Returns the clock of the operating system.
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// Returns a clock that reads from `source`, for tests.
    pub fn new(source: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Returns the time.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Returns the time since 1970-01-01 00:00 UTC; zero for a clock that stands before it.
    pub fn since_epoch(&self) -> Duration {
        self.now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Returns Unix time in whole milliseconds.
    pub fn unix_millis(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns Unix time in whole seconds.
    pub fn unix_secs(&self) -> u64 {
        self.since_epoch().as_secs()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Clock({:?})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_reads_zero() {
        let clock = Clock::new(|| UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(clock.unix_secs(), 0);
        let clock = Clock::new(|| UNIX_EPOCH + Duration::from_millis(2_999));
        assert_eq!((clock.unix_secs(), clock.unix_millis()), (2, 2_999));
    }
}
