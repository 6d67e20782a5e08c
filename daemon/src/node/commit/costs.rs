//! What checkpoints cost, counted for the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::{Durations, Metric};
use crate::storage::KvWrite;

/// The costs of all checkpoints since the start; a handle.
#[derive(Clone, Debug)]
pub struct Costs {
    times: Durations,
    bytes: Arc<AtomicU64>,
}

impl Costs {
    /// Nothing has been spent yet.
    pub fn new() -> Self {
        let times = Durations::new(
            "fulmen_checkpoint_duration_seconds",
            "How long checkpoints took from the moment that they hold until they were durable.",
        );
        Self { times, bytes: Arc::default() }
    }

    /// Counts what a checkpoint writes.
    pub(super) fn add_writes(&self, writes: &[KvWrite]) {
        let bytes: usize =
            writes.iter().filter_map(|write| write.value.as_ref()).map(Vec::len).sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts the time that a checkpoint took.
    pub(super) fn add_time(&self, took: Duration) {
        self.times.add(took);
    }

    /// Returns the costs as they are now.
    pub fn metrics(&self) -> Vec<Metric> {
        let help = "Bytes of the rows that checkpoints wrote since the start.";
        let bytes = Metric::counter("fulmen_checkpoint_bytes_total", help)
            .is(self.bytes.load(Ordering::Relaxed));
        let mut metrics = self.times.metrics();
        metrics.push(bytes);
        metrics
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;
    use crate::node::ldk::slots::{MANAGER, MANAGER_DIFFERENCE};

    #[test]
    fn the_values_of_all_rows_are_counted() {
        let (registry, costs) = (Registry::default(), Costs::new());
        let collected = costs.clone();
        registry.register(move || collected.metrics());
        costs.add_writes(&[MANAGER.holding(vec![0; 100]), MANAGER_DIFFERENCE.removed()]);
        costs.add_writes(&[MANAGER_DIFFERENCE.holding(vec![0; 20])]);
        costs.add_time(Duration::from_millis(3));
        let text = registry.text_for_tests();
        assert!(text.contains("fulmen_checkpoint_bytes_total 120\n"), "{text}");
        assert!(text.contains("fulmen_checkpoint_duration_seconds_count 1\n"), "{text}");
    }
}
