//! The figures: a table for people, one line of JSON for machines.
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::audit::Verdict;
use crate::steps::traffic::{Kind, Outcome, Sample, percentile};

/// A taproot payment of one input and two outputs: what paying once on chain takes.
const ONCHAIN_PAYMENT_VBYTES: f64 = 154.0;
/// Routes shown.
const SAMPLE_ROUTES: usize = 6;

/// What a node earned by forwarding.
pub struct Earned {
    /// Its name.
    pub name: String,
    /// Settled forwards.
    pub forwards: u64,
    /// Their fees.
    pub fee_msat: u64,
}

/// All figures of a run.
pub struct Report {
    payments: usize,
    failed: usize,
    failures: BTreeMap<String, usize>,
    onchain_transactions: u64,
    onchain_vbytes: u64,
    onchain_fees_sat: u64,
    latencies: Vec<Duration>,
    per_second: f64,
    cpu_ms_per_payment: f64,
    elapsed: Duration,
    earned: Vec<Earned>,
    audit: String,
}

impl Report {
    /// Computes them.
    pub fn new(
        outcome: &Outcome,
        cpu: Duration,
        verdict: &Verdict,
        earned: Vec<Earned>,
        elapsed: Duration,
    ) -> Self {
        let mut latencies: Vec<_> =
            outcome.samples.iter().filter(|one| one.succeeded()).map(|one| one.latency).collect();
        latencies.sort();
        let mut failures = BTreeMap::new();
        for why in outcome.samples.iter().filter_map(Sample::failure) {
            *failures.entry(why).or_insert(0) += 1;
        }
        let settled = latencies.len();
        Self {
            payments: outcome.samples.len(),
            failed: outcome.samples.len() - settled,
            failures,
            onchain_transactions: verdict.onchain.transactions,
            onchain_vbytes: verdict.onchain.vbytes,
            onchain_fees_sat: verdict.onchain.fees_sat,
            per_second: ratio(settled, outcome.elapsed.as_secs_f64()),
            cpu_ms_per_payment: per(cpu.as_secs_f64() * 1_000.0, settled),
            latencies,
            elapsed,
            earned,
            audit: verdict.summary(),
        }
    }

    /// Whether every payment settled and the audit is exact.
    pub fn is_perfect(&self) -> bool {
        self.failed == 0 && self.audit == "ok"
    }

    /// For people.
    pub fn table(&self) -> String {
        let settled = self.payments - self.failed;
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("payments settled", format!("{settled} of {}", self.payments));
        for (why, count) in &self.failures {
            row("  failed", format!("{count} × {why}"));
        }
        row("payments per second", format!("{:.1}", self.per_second));
        row(
            "latency p50 / p95 / p99",
            format!("{:.0} / {:.0} / {:.0} ms", self.ms(50), self.ms(95), self.ms(99)),
        );
        row("CPU of all daemons per payment", format!("{:.2} ms", self.cpu_ms_per_payment));
        row(
            "on-chain transactions",
            format!(
                "{} of {} vB, {} sat of fees",
                self.onchain_transactions, self.onchain_vbytes, self.onchain_fees_sat
            ),
        );
        let feerate = self.feerate_sat_per_vb();
        row(
            "on-chain cost per payment",
            format!(
                "{:.2} vB, {:.1} sat",
                per(self.onchain_vbytes as f64, settled),
                per(self.onchain_fees_sat as f64, settled)
            ),
        );
        row(
            "  paying each on chain",
            format!("{ONCHAIN_PAYMENT_VBYTES:.0} vB, {:.1} sat", ONCHAIN_PAYMENT_VBYTES * feerate),
        );
        for earned in &self.earned {
            row(
                &format!("{} earned", earned.name),
                format!(
                    "{}.{:03} sat with {} forwards",
                    earned.fee_msat / 1_000,
                    earned.fee_msat % 1_000,
                    earned.forwards
                ),
            );
        }
        row("wall time from the first payment", format!("{:.1} s", self.elapsed.as_secs_f64()));
        row("audit", self.audit.clone());
        if let Some(values) = table.column_mut(1) {
            values.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }

    /// For machines: one line.
    pub fn json(&self) -> String {
        json!({
            "payments": self.payments,
            "failed": self.failed,
            "onchain_vbytes": self.onchain_vbytes,
            "p50_ms": rounded(self.ms(50)),
            "p95_ms": rounded(self.ms(95)),
            "per_second": rounded(self.per_second),
            "cpu_ms_per_payment": rounded(self.cpu_ms_per_payment),
            "audit": self.audit,
        })
        .to_string()
    }

    fn ms(&self, per_cent: usize) -> f64 {
        percentile(&self.latencies, per_cent).as_secs_f64() * 1_000.0
    }

    fn feerate_sat_per_vb(&self) -> f64 {
        if self.onchain_vbytes == 0 {
            return 0.0;
        }
        self.onchain_fees_sat as f64 / self.onchain_vbytes as f64
    }
}

fn ratio(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn per(total: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { total / count as f64 }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Routes of different pairs, with fee and latency: `alice → bob → carol  1.100 sat, 18 ms`.
pub fn sample_routes(samples: &[Sample], names: &[String], ids: &[Vec<u8>]) -> Vec<String> {
    let name_of = |id: &[u8]| {
        let place = ids.iter().position(|known| known == id);
        place.map_or_else(|| crate::cli::hex(&id[..id.len().min(4)]), |place| names[place].clone())
    };
    let mut shown = HashSet::new();
    let mut lines = Vec::new();
    for sample in samples.iter().filter(|sample| sample.succeeded()) {
        let Ok(payment) = &sample.outcome else { continue };
        if lines.len() == SAMPLE_ROUTES
            || !shown.insert((sample.pair, sample.kind == Kind::Keysend))
        {
            continue;
        }
        let Some(part) = payment.parts.first() else { continue };
        let route: Vec<_> = std::iter::once(names[sample.pair.0].clone())
            .chain(part.hops.iter().map(|hop| name_of(&hop.node_id)))
            .collect();
        lines.push(format!(
            "{:<34} {:>7} msat of fees {:>5} ms  {}",
            route.join(" → "),
            payment.fee_msat,
            sample.latency.as_millis(),
            match sample.kind {
                Kind::Invoice => "invoice",
                Kind::Keysend => "keysend",
            }
        ));
    }
    lines
}
