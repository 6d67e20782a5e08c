//! The plot: delivered share, fee and CPU by amount, ours and LDK's, as SVG.

use std::fmt::Write;

use crate::report::Report;
use crate::sets::Row;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;

/// A panel's title, whether its scale is logarithmic, and what it shows of a row (LDK's side or ours).
type Panel = (&'static str, bool, fn(&Row, bool) -> f64);
type Series = (&'static str, bool, Vec<f64>);

/// Returns the plot as SVG text.
pub fn svg(report: &Report) -> String {
    let panels: [Panel; 4] = [
        ("delivered, % of feasible", false, |r, l| {
            if l { r.ldk.delivered_pct } else { r.ours.delivered_pct }
        }),
        ("in 3 rounds, % of all", false, |r, l| {
            if l { r.ldk.in_3_rounds_pct } else { r.ours.in_3_rounds_pct }
        }),
        (
            "mean fee where both delivered, ppm",
            false,
            |r, l| if l { r.fee_ppm.1 } else { r.fee_ppm.0 },
        ),
        ("CPU per payment, ms (log)", true, |r, l| if l { r.ldk.cpu_ms } else { r.ours.cpu_ms }),
    ];
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' font-size='11'>\
         <rect width='100%' height='100%' fill='white'/>",
        2.0 * (WIDTH + 70.0),
        2.0 * (HEIGHT + 70.0) + 30.0
    );
    for (place, (title, log, value)) in panels.iter().enumerate() {
        let (x, y) = (
            50.0 + (place % 2) as f64 * (WIDTH + 70.0),
            30.0 + (place / 2) as f64 * (HEIGHT + 70.0),
        );
        panel(&mut out, (x, y), title, *log, report, *value);
    }
    let y = 2.0 * (HEIGHT + 70.0) + 15.0;
    for (place, (name, colour, dash)) in [
        ("ours, uniform", OURS, ""),
        ("ours, bimodal", OURS, "5,4"),
        ("LDK, uniform", LDK, ""),
        ("LDK, bimodal", LDK, "5,4"),
    ]
    .iter()
    .enumerate()
    {
        let x = 50.0 + place as f64 * 160.0;
        let _ = write!(
            out,
            "<line x1='{x}' y1='{y}' x2='{}' y2='{y}' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'/>\
             <text x='{}' y='{}'>{name}</text>",
            x + 30.0,
            x + 36.0,
            y + 4.0
        );
    }
    out.push_str("</svg>\n");
    out
}

const OURS: &str = "#0b6e4f";
const LDK: &str = "#c0392b";

fn panel(
    out: &mut String,
    at: (f64, f64),
    title: &str,
    log: bool,
    report: &Report,
    value: fn(&Row, bool) -> f64,
) {
    let series: Vec<Series> = report
        .models
        .iter()
        .flat_map(|(model, rows)| {
            let of = |ldk: bool| rows.iter().map(|row| value(row, ldk)).collect();
            let dashed = *model == "bimodal";
            [(OURS, dashed, of(false)), (LDK, dashed, of(true))]
        })
        .collect();
    let scale = |v: f64| if log { v.max(0.1).log10() } else { v };
    let most = series.iter().flat_map(|(_, _, values)| values).fold(1.0f64, |a, &b| a.max(b));
    let (low, high) = (scale(0.0), scale(most) * 1.05);
    let y = |v: f64| at.1 + HEIGHT - (scale(v) - low) / (high - low) * HEIGHT;
    let amounts: Vec<u64> = report
        .models
        .first()
        .map_or(Vec::new(), |(_, rows)| rows.iter().map(|r| r.amount_sat).collect());
    let x = |place: usize| at.0 + WIDTH * (place as f64 + 0.5) / amounts.len().max(1) as f64;
    let _ = write!(
        out,
        "<text x='{}' y='{}' font-weight='bold'>{title}</text><rect x='{}' y='{}' width='{WIDTH}' height='{HEIGHT}' fill='none' stroke='#999'/>",
        at.0,
        at.1 - 8.0,
        at.0,
        at.1
    );
    for tick in 0..=4 {
        let v = low + (high - low) * f64::from(tick) / 4.0;
        let label = if log { 10f64.powf(v) } else { v };
        let line = at.1 + HEIGHT - HEIGHT * f64::from(tick) / 4.0;
        let _ = write!(
            out,
            "<line x1='{}' y1='{line}' x2='{}' y2='{line}' stroke='#eee'/><text x='{}' y='{}' text-anchor='end'>{}</text>",
            at.0,
            at.0 + WIDTH,
            at.0 - 4.0,
            line + 4.0,
            if label < 10.0 { format!("{label:.1}") } else { format!("{label:.0}") }
        );
    }
    for (place, amount) in amounts.iter().enumerate() {
        let name = if *amount >= 1_000_000 {
            format!("{}M", amount / 1_000_000)
        } else {
            format!("{}k", amount / 1_000)
        };
        let _ = write!(
            out,
            "<text x='{}' y='{}' text-anchor='middle'>{name} sat</text>",
            x(place),
            at.1 + HEIGHT + 15.0
        );
    }
    for (colour, dashed, values) in series {
        let points: Vec<String> =
            values.iter().enumerate().map(|(p, &v)| format!("{:.1},{:.1}", x(p), y(v))).collect();
        let dash = if dashed { "5,4" } else { "" };
        let _ = write!(
            out,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'/>",
            points.join(" ")
        );
        for (place, &v) in values.iter().enumerate() {
            let _ = write!(
                out,
                "<circle cx='{:.1}' cy='{:.1}' r='3' fill='{colour}'/>",
                x(place),
                y(v)
            );
        }
    }
}
