//! Draws a measurement as SVG: throughput, latency and memory over time, one panel each.
use super::series::{Done, Series};

const WIDTH: f64 = 900.0;
const PANEL: f64 = 200.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const GAP: f64 = 50.0;
const COLOURS: [&str; 3] = ["#1f6fb4", "#d1642a", "#3a8a3a"];

/// A panel: what it is called, and its curves by name.
struct Panel<'a> {
    title: &'a str,
    curves: Vec<(&'a str, Vec<f64>)>,
}

/// The whole picture.
pub fn svg(series: &Series, title: &str) -> String {
    let of = |value: fn(&Done) -> f64| series.intervals.iter().map(value).collect::<Vec<f64>>();
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let payer = |value: fn(&super::series::Spent) -> u64| {
        let of_payer = |one: &Done| one.nodes.first().map_or(0.0, |node| mib(value(node)));
        series.intervals.iter().map(of_payer).collect::<Vec<f64>>()
    };
    let panels = [
        Panel { title: "settled per second", curves: vec![("settled/s", of(Done::per_second))] },
        Panel {
            title: "latency, ms",
            curves: vec![
                ("p50", of(|one| one.p50_ms)),
                ("p95", of(|one| one.p95_ms)),
                ("p99", of(|one| one.p99_ms)),
            ],
        },
        Panel {
            title: "payer, MiB",
            curves: vec![
                ("RSS", payer(|n| n.rss_bytes)),
                ("data directory", payer(|n| n.db_bytes)),
            ],
        },
    ];
    let times = of(|one| one.at.as_secs_f64());
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    for (number, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, &times, TOP + number as f64 * (PANEL + GAP));
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel<'_>, times: &[f64], top: f64) {
    let values = panel.curves.iter().flat_map(|(_, values)| values);
    let most = values.copied().fold(0.0_f64, f64::max).max(1.0) * 1.1;
    let end = times.last().copied().unwrap_or(1.0).max(1.0);
    let (left, right, bottom) = (LEFT, WIDTH - RIGHT, top + 20.0 + PANEL - 30.0);
    let x = |seconds: f64| left + (right - left) * seconds / end;
    let y = |value: f64| bottom - (PANEL - 30.0) * value / most;
    svg.push_str(&format!("<text x=\"{left}\" y=\"{}\">{}</text>\n", top + 14.0, panel.title));
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let at = y(value);
        svg.push_str(&format!(
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>\n",
            left - 6.0,
            at + 4.0
        ));
    }
    svg.push_str(&format!(
        "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{end:.0} s</text>\n",
        bottom + 16.0
    ));
    for (number, (name, values)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> = times
            .iter()
            .zip(values)
            .map(|(seconds, value)| format!("{:.1},{:.1}", x(*seconds), y(*value)))
            .collect();
        svg.push_str(&format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>\n",
            points.join(" "),
            right - 330.0 + 110.0 * number as f64,
            top + 14.0
        ));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_measurement_is_drawn_and_titles_are_escaped() {
        let drawn = svg(&Series::new(Vec::new()), "10sat & <64>");
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"));
        assert!(drawn.contains("10sat &amp; &lt;64&gt;"), "{drawn}");
        assert_eq!(drawn.matches("<polyline").count(), 6);
    }
}
