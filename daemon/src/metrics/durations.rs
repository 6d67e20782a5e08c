//! A histogram of how long something takes.

use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::{Histogram, HistogramOpts};

use super::Metric;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

/// A histogram of durations; a handle.
#[derive(Clone, Debug)]
pub struct Durations(Histogram);

impl Durations {
    /// Makes an empty histogram. The name ends in `_seconds`.
    ///
    /// # Panics
    /// When Prometheus does not allow the name.
    pub fn new(name: &str, help: &str) -> Self {
        let options = HistogramOpts::new(name, help).buckets(BOUNDS.to_vec());
        Self(Histogram::with_opts(options).expect("the name is sound"))
    }

    /// Adds one duration.
    pub fn add(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }

    /// Returns the histogram as it is now.
    pub fn metrics(&self) -> Vec<Metric> {
        self.0.collect().into_iter().map(Metric).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;

    #[test]
    fn each_duration_is_counted_in_its_bucket() {
        let (registry, durations) = (Registry::default(), Durations::new("x_seconds", "X."));
        let collected = durations.clone();
        registry.register(move || collected.metrics());
        durations.add(Duration::from_millis(3));
        durations.add(Duration::from_secs(60));
        let text = registry.text_for_tests();
        assert!(text.contains("x_seconds_bucket{le=\"0.002\"} 0\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"10\"} 1\n"), "{text}");
        assert!(text.ends_with("x_seconds_sum 60.003\nx_seconds_count 2\n"), "{text}");
    }
}
