//! Figures as Prometheus takes them: a name, what it means, and samples of one kind and unit.

use std::time::Duration;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric};
use prometheus::proto::{MetricFamily, MetricType};

/// All samples of one name. The name ends in its unit, and a counter's in `_total`.
#[derive(Clone, Debug)]
pub struct Figure(pub(super) MetricFamily);

impl Figure {
    /// Something that rises and falls.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// Something that only rises, or begins anew when the daemon does.
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// How many of a thing took how long: `classes` are upper bounds, each with the count of those that took at most
    /// that long and longer than the bound before; what took longer is only in `count`. `sum` is all their time.
    pub fn durations(
        name: &str,
        help: &str,
        classes: &[(Duration, u64)],
        count: u64,
        sum: Duration,
    ) -> Self {
        let mut below = 0;
        let bucket = |(bound, count): &(Duration, u64)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(below);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(classes.iter().map(bucket).collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum.as_secs_f64());
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        let mut figure = Self::new(name, help, MetricType::HISTOGRAM);
        figure.0.mut_metric().push(metric);
        figure
    }

    /// Its only sample.
    #[must_use]
    pub fn is(self, value: u64) -> Self {
        self.of(&[], value)
    }

    /// Its only sample, as a length of time in seconds.
    #[must_use]
    pub fn lasts(self, time: Duration) -> Self {
        self.sample(&[], time.as_secs_f64())
    }

    /// One of its samples, told from the others by labels.
    #[must_use]
    pub fn of(self, labels: &[(&str, &str)], value: u64) -> Self {
        // Exact up to 2^53: nine million bitcoin in satoshis, ninety thousand in millisatoshis.
        self.sample(labels, value as f64)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family)
    }

    fn sample(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        let label = |(name, value): &(&str, &str)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        };
        let mut metric = Metric::from_label(labels.iter().map(label).collect());
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
        self
    }
}
