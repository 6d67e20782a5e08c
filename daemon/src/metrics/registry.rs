//! The sources of metrics and health, asked when a scraper asks.

use std::sync::{Arc, OnceLock, RwLock};

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::Metric;
use crate::warnings::Warnings;

type Source = Arc<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;
type Start = Box<dyn Fn() -> Option<String> + Send + Sync>;
type Health = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// The sources of metrics and health; a handle.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sources: RwLock<Vec<Source>>,
    health: OnceLock<Health>,
    start: OnceLock<Start>,
    warnings: OnceLock<Warnings>,
}

impl Registry {
    /// Registers a source, which is called for each scrape. Names of different sources differ.
    pub fn register(&self, metrics: impl Fn() -> Vec<Metric> + Send + Sync + 'static) {
        let source: Source = Arc::new(move || metrics().into_iter().map(|it| it.0).collect());
        self.0.sources.write().expect("no panic while held").push(source);
    }

    /// Registers what the start waits for, as a sentence; none once it has ended. Only the first call counts.
    pub fn report_start(&self, waits_for: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.0.start.set(Box::new(waits_for));
    }

    /// Registers the source of health: `problems` returns a sentence for each problem. Until this is called the daemon is
    /// starting. Only the first call counts.
    pub fn report_health(&self, problems: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        let _ = self.0.health.set(Box::new(problems));
    }

    /// Lets `/healthz` show the daemon's warnings; only the first call counts.
    pub fn report_warnings(&self, warnings: Warnings) {
        let _ = self.0.warnings.set(warnings);
    }

    /// A line for each condition that an operator should see to, though the daemon works.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.0.warnings.get().map(Warnings::now).unwrap_or_default()
    }

    /// Returns a sentence for each problem.
    pub(super) fn problems(&self) -> Vec<String> {
        match self.0.health.get() {
            Some(problems) => problems(),
            None => {
                let waits_for = self.0.start.get().and_then(|start| start());
                vec![waits_for.unwrap_or_else(|| "the daemon is starting".to_owned())]
            }
        }
    }

    /// Returns everything in Prometheus's text format, in the order of names.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        // No lock is held while sources are asked: they call LDK.
        let sources = self.0.sources.read().expect("no panic while held").clone();
        let mut families: Vec<MetricFamily> = sources.iter().flat_map(|source| source()).collect();
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }

    /// [`Registry::text`] for the tests of other rooms.
    #[cfg(test)]
    pub(crate) fn text_for_tests(&self) -> String {
        self.text().expect("sound metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn metrics_are_written_in_prometheus_format() {
        let registry = Registry::default();
        registry.register(|| {
            vec![
                Metric::counter("a_total", "Of a \\ and\nb.").is(3),
                Metric::gauge("d_sat", "Money.").is(2_099_999_997_690_000),
                Metric::gauge("c", "By kind.")
                    .of(&[("kind", "a \"b\"")], 1)
                    .of(&[("kind", "c")], 0),
                Metric::counter("none_total", "No samples."),
                Metric::gauge("b_seconds", "Time.").lasts(Duration::from_millis(1_500)),
            ]
        });
        let text = registry.text().expect("sound metrics");
        assert_eq!(
            text,
            "# HELP a_total Of a \\\\ and\\nb.\n# TYPE a_total counter\na_total 3\n\
             # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 1.5\n\
             # HELP c By kind.\n# TYPE c gauge\nc{kind=\"a \\\"b\\\"\"} 1\nc{kind=\"c\"} 0\n\
             # HELP d_sat Money.\n# TYPE d_sat gauge\nd_sat 2099999997690000\n"
        );
    }

    #[test]
    fn durations_are_a_histogram_whose_buckets_add_up() {
        let registry = Registry::default();
        registry.register(|| {
            let classes = [(Duration::from_millis(1), 2), (Duration::from_millis(50), 3)];
            vec![Metric::durations("x_seconds", "X.", &classes, 6, Duration::from_secs(2))]
        });
        assert_eq!(
            registry.text().expect("sound metrics"),
            "# HELP x_seconds X.\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{le=\"0.001\"} 2\nx_seconds_bucket{le=\"0.05\"} 5\n\
             x_seconds_bucket{le=\"+Inf\"} 6\nx_seconds_sum 2\nx_seconds_count 6\n"
        );
    }

    #[test]
    fn a_daemon_without_a_source_of_health_is_starting() {
        let registry = Registry::default();
        assert!(registry.problems()[0].contains("starting"));
        registry.report_start(|| Some("it waits for bitcoind".to_owned()));
        assert_eq!(registry.problems(), ["it waits for bitcoind"]);
        registry.report_health(Vec::new);
        assert!(registry.problems().is_empty());
    }
}
