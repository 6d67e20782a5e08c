//! How long something took, each time.

use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::{Histogram, HistogramOpts};

use super::Figure;

/// Upper bounds of the classes, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

/// Counts how long something took; a handle.
#[derive(Clone, Debug)]
pub struct Durations(Histogram);

impl Durations {
    /// Nothing has been done yet. The name ends in `_seconds`.
    ///
    /// # Panics
    /// When Prometheus allows no such name.
    pub fn new(name: &str, help: &str) -> Self {
        let options = HistogramOpts::new(name, help).buckets(BOUNDS.to_vec());
        Self(Histogram::with_opts(options).expect("the name is sound"))
    }

    /// It has been done once more.
    pub fn add(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }

    /// What is told of it.
    pub fn figures(&self) -> Vec<Figure> {
        self.0.collect().into_iter().map(Figure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;

    #[test]
    fn each_time_is_counted_in_its_class() {
        let (registry, durations) = (Registry::default(), Durations::new("x_seconds", "X."));
        let told = durations.clone();
        registry.tell(move || told.figures());
        durations.add(Duration::from_millis(3));
        durations.add(Duration::from_secs(60));
        let text = registry.text_for_tests();
        assert!(text.contains("x_seconds_bucket{le=\"0.002\"} 0\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"10\"} 1\n"), "{text}");
        assert!(text.ends_with("x_seconds_sum 60.003\nx_seconds_count 2\n"), "{text}");
    }
}
