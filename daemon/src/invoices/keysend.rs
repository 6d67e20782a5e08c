//! How many payments without an invoice are taken, and how small they may be: each leaves a record.

use std::time::Instant;

use super::Config;

/// What is known when a payment arrives that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keysends {
    /// None is taken.
    Off,
    /// Those of at least so many millisatoshis.
    AtLeast(u64),
    /// None at this moment: too many came within a minute.
    TooMany,
}

/// A bucket that a minute fills: as many as the configuration allows may come at once, or spread over a minute.
#[derive(Debug)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Begins full.
    pub fn new(config: &Config, now: Instant) -> Self {
        Self { left: f64::from(config.max_keysends_per_minute), at: now }
    }

    /// Fills the bucket by the time that has passed; returns what may be taken now.
    pub fn look(&mut self, config: &Config, now: Instant) -> Keysends {
        if !config.accept_keysend {
            return Keysends::Off;
        }
        let most = f64::from(config.max_keysends_per_minute);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * most / 60.0).min(most);
        self.at = now;
        match config.max_keysends_per_minute {
            0 => Keysends::AtLeast(config.min_keysend_msat),
            _ if self.left < 1.0 => Keysends::TooMany,
            _ => Keysends::AtLeast(config.min_keysend_msat),
        }
    }

    /// Counts one that was taken.
    pub fn take(&mut self) {
        self.left = (self.left - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_come_in_a_minute_than_the_operator_allows() {
        let config = Config { max_keysends_per_minute: 3, ..Config::default() };
        let start = Instant::now();
        let mut bucket = Bucket::new(&config, start);
        for _ in 0..3 {
            assert_eq!(bucket.look(&config, start), Keysends::AtLeast(1_000));
            bucket.take();
        }
        assert_eq!(bucket.look(&config, start), Keysends::TooMany);
        assert_eq!(bucket.look(&config, start + Duration::from_secs(19)), Keysends::TooMany);
        let later = bucket.look(&config, start + Duration::from_secs(21));
        assert_eq!(later, Keysends::AtLeast(1_000));
        let free = Config { max_keysends_per_minute: 0, ..config.clone() };
        assert_eq!(bucket.look(&free, start), Keysends::AtLeast(1_000));
        let off = Config { accept_keysend: false, ..config };
        assert_eq!(bucket.look(&off, start), Keysends::Off);
    }
}
