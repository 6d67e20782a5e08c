//! A metric as Prometheus takes it: a name, a help text, and samples of one type and unit.

use std::time::Duration;

use prometheus::proto::{self, Bucket, Counter, Gauge, Histogram, LabelPair};
use prometheus::proto::{MetricFamily, MetricType};

/// All samples of one name. The name ends in the unit, and a counter's name in `_total`.
#[derive(Clone, Debug)]
pub struct Metric(pub(super) MetricFamily);

impl Metric {
    /// A value that rises and falls.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// A value that only rises; it may start at 0 with the daemon.
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// A histogram of durations: `classes` are upper bounds, each with the count of durations up to it and above the
    /// bound before; longer ones are in `count` only. `sum` is the sum of all.
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
        let mut sample = proto::Metric::default();
        sample.set_histogram(histogram);
        let mut metric = Self::new(name, help, MetricType::HISTOGRAM);
        metric.0.mut_metric().push(sample);
        metric
    }

    /// Adds the only sample, without labels.
    #[must_use]
    pub fn is(self, value: u64) -> Self {
        self.of(&[], value)
    }

    /// Adds the only sample, a duration in seconds.
    #[must_use]
    pub fn lasts(self, time: Duration) -> Self {
        self.sample(&[], time.as_secs_f64())
    }

    /// Adds a sample with labels.
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
        let mut metric = proto::Metric::from_label(labels.iter().map(label).collect());
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
