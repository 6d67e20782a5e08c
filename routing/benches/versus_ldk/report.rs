//! Tables for people, one JSON object for machines.

use crate::sets::Row;
use crate::single::Pair;

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub single: Pair,
    pub kept: Pair,
    pub graph_mib: f64,
    /// Model and rows.
    pub models: Vec<(&'static str, Vec<Row>)>,
}

/// Returns the table's head.
pub fn head() -> String {
    format!(
        "{:>9} {:>6} {:>13} {:>13} {:>13} {:>10} {:>10} {:>6} {:>11} {:>6} {:>13} {:>6}",
        "sat",
        "drawn",
        "delivered %",
        "3 rounds %",
        "1 round %",
        "rounds",
        "parts",
        "tried",
        "fee ppm",
        "ratio",
        "cpu ms",
        "ratio"
    )
}

/// Returns one row of the table; ours before LDK's.
pub fn row(row: &Row) -> String {
    let (o, l) = (&row.ours, &row.ldk);
    format!(
        "{:>9} {:>6} {:>6.1}/{:>6.1} {:>6.1}/{:>6.1} {:>6.1}/{:>6.1} {:>5.2}/{:>4.2} {:>5.1}/{:>4.1} {:>6.1} {:>5.0}/{:>5.0} {:>6.2} {:>6.2}/{:>6.1} {:>6.1}",
        row.amount_sat,
        row.drawn,
        o.delivered_pct,
        l.delivered_pct,
        o.in_3_rounds_pct,
        l.in_3_rounds_pct,
        o.first_round_pct,
        l.first_round_pct,
        o.rounds,
        l.rounds,
        o.parts,
        l.parts,
        o.tried,
        row.fee_ppm.0,
        row.fee_ppm.1,
        row.fee_ratio,
        o.cpu_ms,
        l.cpu_ms,
        row.cpu_ratio
    )
}

/// Returns the last line.
pub fn json(report: &Report) -> String {
    let models: Vec<String> = report
        .models
        .iter()
        .map(|(name, rows)| {
            let rows: Vec<String> = rows.iter().map(amount_json).collect();
            format!("\"{name}\":{{{}}}", rows.join(","))
        })
        .collect();
    format!(
        "{{\"single_ratio\":{:.2},\"potentials_ratio\":{:.2},\"graph_mib\":{:.3},{}}}",
        report.single.ratio(),
        report.kept.ratio(),
        report.graph_mib,
        models.join(",")
    )
}

fn amount_json(row: &Row) -> String {
    format!(
        "\"{}\":{{\"delivered_pct\":{:.2},\"ldk_delivered_pct\":{:.2},\"in_3_rounds_pct\":{:.2},\"rounds\":{:.3},\"parts\":{:.2},\"fee_ratio\":{:.3},\"cpu_ms\":{:.3},\"cpu_ratio\":{:.2},\"payments\":{},\"drawn\":{},\"ldk_in_3_rounds_pct\":{:.2}}}",
        row.amount_sat,
        row.ours.delivered_pct,
        row.ldk.delivered_pct,
        row.ours.in_3_rounds_pct,
        row.ours.rounds,
        row.ours.parts,
        row.fee_ratio,
        row.ours.cpu_ms,
        row.cpu_ratio,
        row.payments,
        row.drawn,
        row.ldk.in_3_rounds_pct
    )
}
