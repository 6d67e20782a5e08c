//! How many instructions the crate's functions take, counted by callgrind: a figure that noise leaves alone.
//!
//! `cargo bench -p fulmen-routing --bench instructions`, with `valgrind` on the path. Every subject runs a few
//! times and many times; the difference, by call, leaves the start and the loading of the graph out.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[path = "versus_ldk/data.rs"]
mod data;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use fulmen_routing::simulator::payments::pairs;
use fulmen_routing::{Beliefs, Builder, Overlay, Planner, Query, View};

const SUBJECTS: [(&str, u32, u32); 6] = [
    ("search_100k", 20, 120),
    ("search_100k_potentials", 20, 120),
    ("plan_1M", 10, 50),
    ("plan_20M", 10, 50),
    ("graph_build", 1, 3),
    ("graph_update", 1, 11),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if let (Some(subject), Some(times)) = (args.next(), args.next()) {
        run(&subject, times.parse().unwrap_or(1));
        return ExitCode::SUCCESS;
    }
    for (subject, few, many) in SUBJECTS {
        match count(subject, few).and_then(|less| Ok((less, count(subject, many)?))) {
            Ok((less, more)) => {
                let each = more.saturating_sub(less) / u64::from(many - few);
                println!("{subject:>24}: {each:>12} instructions a call");
            }
            Err(problem) => {
                eprintln!("{subject}: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs this program on one subject under callgrind and returns the instructions it took in all.
fn count(subject: &str, times: u32) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|fault| fault.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args([subject, &times.to_string()])
        .output()
        .map_err(|fault| format!("valgrind cannot be run: {fault}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| line.contains("Collected"));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.ok_or_else(|| format!("callgrind printed no count:\n{told}"))
}

fn run(subject: &str, times: u32) {
    let (view, _) = data::load(None);
    let pairs = pairs(&view, 5, 60_000_000_000, 64, 7);
    let channel = view.channels().nth(17).expect("there are more");
    let mut planner = Planner::new();
    let mut builders: Vec<Builder> = Vec::new();
    if subject == "graph_build" {
        builders.extend((0..3).map(|_| Builder::from_view(&view)));
    }
    for time in 0..times as usize {
        let (payer, payee) = pairs[time % pairs.len()];
        match subject {
            "search_100k" => plan(&view, &mut planner, (payer, payee), 100_000, 1),
            "search_100k_potentials" => {
                plan(&view, &mut planner, (pairs[0].0, payee), 100_000, 1);
            }
            "plan_1M" => plan(&view, &mut planner, (payer, payee), 1_000_000, 100),
            "plan_20M" => plan(&view, &mut planner, (payer, payee), 20_000_000, 100),
            "graph_build" => {
                black_box(builders.pop().unwrap_or_default().build());
            }
            _ => {
                let update = [(channel.scid, 0, channel.policies[0])];
                black_box(view.with_policies(&update));
            }
        }
    }
}

fn plan(view: &View, planner: &mut Planner, (payer, payee): (u32, u32), sat: u64, parts: usize) {
    let query =
        Query { max_parts: parts, ..Query::new(*view.key(payer), *view.key(payee), sat * 1_000) };
    black_box(planner.plan(view, &Overlay::new(), &Beliefs::new(), 0, &query).is_ok());
}
