//! What was measured, interval by interval, and what it sums up to.
use std::time::Duration;

use serde_json::{Value, json};

use super::meter::Reading;
use crate::steps::traffic::{Sample, percentile};

const MIB: f64 = 1_048_576.0;

/// An interval under way.
#[derive(Default)]
pub struct Interval {
    began: Duration,
    latencies: Vec<Duration>,
    failed: usize,
    not_at_once: usize,
}

impl Interval {
    /// Begins one, so long after the measurement did.
    pub fn begin(began: Duration) -> Self {
        Self { began, ..Self::default() }
    }

    /// Counts a payment that has ended.
    pub fn add(&mut self, sample: &Sample) {
        if sample.succeeded() {
            self.latencies.push(sample.latency);
        } else {
            self.failed += 1;
        }
        self.not_at_once += usize::from(!sample.at_once());
    }

    /// Ends it with the nodes' readings before and after.
    pub fn end(mut self, at: Duration, before: &[Reading], after: &[Reading]) -> Done {
        self.latencies.sort();
        let seconds = (at - self.began).as_secs_f64().max(f64::EPSILON);
        let ms = |per_cent| percentile(&self.latencies, per_cent).as_secs_f64() * 1_000.0;
        Done {
            at,
            seconds,
            settled: self.latencies.len(),
            failed: self.failed,
            not_at_once: self.not_at_once,
            p50_ms: ms(50),
            p95_ms: ms(95),
            p99_ms: ms(99),
            nodes: before.iter().zip(after).map(|(b, a)| Spent::between(b, a)).collect(),
        }
    }
}

/// What one node spent in an interval, and what it held at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Milliseconds of CPU.
    pub cpu_ms: f64,
    /// Flushes.
    pub flushes: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
    /// Bytes of these.
    pub checkpoint_bytes: u64,
    /// Resident memory at the end.
    pub rss_bytes: u64,
    /// The data directory at the end.
    pub db_bytes: u64,
}

impl Spent {
    fn between(before: &Reading, after: &Reading) -> Self {
        Self {
            cpu_ms: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1_000.0,
            flushes: after.disk.flushes.saturating_sub(before.disk.flushes),
            written_bytes: after.disk.bytes.saturating_sub(before.disk.bytes),
            checkpoints: after.checkpoints.saturating_sub(before.checkpoints),
            checkpoint_bytes: after.checkpoint_bytes.saturating_sub(before.checkpoint_bytes),
            rss_bytes: after.rss_bytes,
            db_bytes: after.db_bytes,
        }
    }
}

/// An interval that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Its end, counted from the beginning of the measurement.
    pub at: Duration,
    /// How long it was.
    pub seconds: f64,
    /// Payments that arrived.
    pub settled: usize,
    /// Payments that did not.
    pub failed: usize,
    /// Payments of which an attempt failed.
    pub not_at_once: usize,
    /// Latencies of those that arrived.
    pub p50_ms: f64,
    /// The slowest twentieth begins here.
    pub p95_ms: f64,
    /// The slowest hundredth begins here.
    pub p99_ms: f64,
    /// By node.
    pub nodes: Vec<Spent>,
}

impl Done {
    /// Settled payments a second.
    pub fn per_second(&self) -> f64 {
        self.settled as f64 / self.seconds
    }

    /// For people; the node is the payer.
    pub fn line(&self) -> String {
        let payer = self.nodes.first().copied().unwrap_or_default();
        format!(
            "  {:>6.0} {:>8.1} {:>7.0} {:>7.0} {:>7.0} {:>6} {:>8.2} {:>7.2} {:>8.1} {:>7.1} {:>8.1} {:>6}",
            self.at.as_secs_f64(),
            self.per_second(),
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.not_at_once,
            per(self.nodes.iter().map(|node| node.cpu_ms).sum(), self.settled),
            per(payer.flushes as f64, self.settled),
            per(payer.written_bytes as f64 / 1_024.0, self.settled),
            payer.rss_bytes as f64 / MIB,
            payer.db_bytes as f64 / MIB,
            payer.checkpoints,
        )
    }

    fn json(&self, names: &[String]) -> Value {
        let nodes: Vec<Value> = names
            .iter()
            .zip(&self.nodes)
            .map(|(name, node)| {
                json!({
                    "name": name,
                    "cpu_ms": rounded(node.cpu_ms),
                    "fsyncs": node.flushes,
                    "written_bytes": node.written_bytes,
                    "rss_mib": rounded(node.rss_bytes as f64 / MIB),
                    "db_mib": rounded(node.db_bytes as f64 / MIB),
                    "checkpoints": node.checkpoints,
                    "checkpoint_bytes": node.checkpoint_bytes,
                })
            })
            .collect();
        json!({
            "secs": rounded(self.at.as_secs_f64()),
            "per_second": rounded(self.per_second()),
            "p50_ms": rounded(self.p50_ms),
            "p95_ms": rounded(self.p95_ms),
            "p99_ms": rounded(self.p99_ms),
            "failed": self.failed,
            "first_try_failures": self.not_at_once,
            "nodes": nodes,
        })
    }
}

/// A whole measurement. The first node is the payer whose disk and memory the summary reports.
pub struct Series {
    names: Vec<String>,
    /// In order.
    pub intervals: Vec<Done>,
    live_bytes: Vec<u64>,
    /// "ok", or what the audit found.
    pub audit: String,
}

impl Series {
    /// Nothing measured yet.
    pub fn new(names: Vec<String>) -> Self {
        let audit = "not audited".to_owned();
        Self { names, intervals: Vec::new(), live_bytes: Vec::new(), audit }
    }

    /// What the stores hold at the end.
    pub fn finish(&mut self, live_bytes: Vec<u64>) {
        self.live_bytes = live_bytes;
    }

    /// Names the columns of [`Done::line`].
    pub fn heading() -> String {
        "    secs   settled/s   p50     p95     p99  retried  CPU ms  fsyncs  KB written  RSS MiB  DB MiB  checkpoints\n\
         \u{20}                       ms      ms      ms             (all)   (payer; per payment)"
            .to_owned()
    }

    /// Whether every payment settled and the audit is exact.
    pub fn is_perfect(&self) -> bool {
        self.audit == "ok" && self.intervals.iter().all(|interval| interval.failed == 0)
    }

    /// The last interval that is long enough to be compared with the first one: what remains at the end may be short.
    fn last(&self) -> Option<&Done> {
        let first = self.intervals.first()?;
        self.intervals.iter().rfind(|one| one.seconds >= first.seconds / 2.0)
    }

    /// For machines: one object.
    pub fn json(&self) -> String {
        let first = self.intervals.first();
        let last = self.last();
        let settled: usize = self.intervals.iter().map(|one| one.settled).sum();
        let spent = || self.intervals.iter().flat_map(|one| &one.nodes);
        let payer = || self.intervals.iter().filter_map(|one| one.nodes.first());
        let payer_of = |one: Option<&Done>| one.and_then(|one| one.nodes.first().copied());
        let mib = |bytes: u64| rounded(bytes as f64 / MIB);
        let written: u64 = payer().map(|node| node.written_bytes).sum();
        let flushes: u64 = payer().map(|node| node.flushes).sum();
        json!({
            "settled": settled,
            "failed": self.intervals.iter().map(|one| one.failed).sum::<usize>(),
            "first_try_failures": self.intervals.iter().map(|one| one.not_at_once).sum::<usize>(),
            "per_second_first": rounded(first.map_or(0.0, Done::per_second)),
            "per_second_last": rounded(last.map_or(0.0, Done::per_second)),
            "p50_ms": rounded(last.map_or(0.0, |one| one.p50_ms)),
            "p95_ms": rounded(last.map_or(0.0, |one| one.p95_ms)),
            "p99_ms": rounded(last.map_or(0.0, |one| one.p99_ms)),
            "cpu_ms_per_payment": rounded(per(spent().map(|node| node.cpu_ms).sum(), settled)),
            "written_kb_per_payment": rounded(per(written as f64 / 1_024.0, settled)),
            "fsyncs_per_payment": rounded(per(flushes as f64, settled)),
            "rss_mib_first": mib(payer_of(first).unwrap_or_default().rss_bytes),
            "rss_mib_last": mib(payer_of(last).unwrap_or_default().rss_bytes),
            "db_mib": mib(payer_of(last).unwrap_or_default().db_bytes),
            "live_mib": mib(self.live_bytes.first().copied().unwrap_or_default()),
            "audit": self.audit,
            "intervals": self.intervals.iter().map(|one| one.json(&self.names)).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

fn per(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(settled: usize, rss_bytes: u64) -> Done {
        let payer = Spent {
            cpu_ms: 100.0,
            flushes: 20,
            written_bytes: 10_240,
            rss_bytes,
            ..Spent::default()
        };
        let payee = Spent { cpu_ms: 50.0, ..Spent::default() };
        let seconds = 10.0;
        Done {
            at: Duration::from_secs(10),
            seconds,
            settled,
            failed: 0,
            not_at_once: 1,
            p50_ms: 8.0,
            p95_ms: 9.0,
            p99_ms: 10.0,
            nodes: vec![payer, payee],
        }
    }

    #[test]
    fn the_summary_has_the_first_and_the_last_interval_and_the_payers_disk() {
        let mut series = Series::new(vec!["alice".to_owned(), "bob".to_owned()]);
        series.intervals = vec![done(60, 1 << 20), done(40, 3 << 20)];
        series.finish(vec![2 << 20, 0]);
        series.audit = "ok".to_owned();
        let json: Value = serde_json::from_str(&series.json()).expect("one object");
        for (field, value) in [
            ("per_second_first", 6.0),
            ("per_second_last", 4.0),
            ("cpu_ms_per_payment", 3.0),
            ("written_kb_per_payment", 0.2),
            ("fsyncs_per_payment", 0.4),
            ("rss_mib_first", 1.0),
            ("rss_mib_last", 3.0),
            ("live_mib", 2.0),
        ] {
            assert_eq!(json[field].as_f64(), Some(value), "{field}");
        }
        assert_eq!(json["first_try_failures"], 2);
        assert!(series.is_perfect());
    }

    #[test]
    fn a_short_rest_is_counted_and_not_compared() {
        let mut series = Series::new(vec!["alice".to_owned(), "bob".to_owned()]);
        let rest = Done { seconds: 0.5, ..done(3, 9 << 20) };
        series.intervals = vec![done(60, 1 << 20), done(40, 3 << 20), rest];
        let json: Value = serde_json::from_str(&series.json()).expect("one object");
        assert_eq!(json["settled"], 103);
        assert_eq!(json["per_second_last"].as_f64(), Some(4.0));
        assert_eq!(json["rss_mib_last"].as_f64(), Some(3.0));
    }
}
