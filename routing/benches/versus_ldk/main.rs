//! Our planner beside LDK's router: the same graph, payments, hidden balances and rules, in one run.
//!
//! `cargo bench -p fulmen-routing --bench versus_ldk -- --seed N --payments M [--fee-ppm P] [--max-parts K]
//! [--amounts SAT,SAT] [--graph DIR] [--plot FILE.svg] [--scale S] [--ends-hold K]
//! [--ceiling] [--alone]`
//!
//! Prints tables for people; the last line is one JSON object for machines.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod ceiling;
mod clock;
mod data;
mod ldk;
mod options;
mod plot;
mod report;
mod sets;
mod single;

use fulmen_routing::simulator::balances::{Balances, Model};
use fulmen_routing::simulator::payments::{feasible, payments};
use ldk::Ldk;
use options::Options;
use report::Report;

/// What the searches for one path are for.
const SINGLE_MSAT: u64 = 100_000_000;
const SINGLES: usize = 200;

fn main() -> std::process::ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return std::process::ExitCode::from(2);
        }
    };
    let (view, source) = data::load(options.graph.as_deref());
    println!(
        "graph: {source}; {} nodes, {} channels, {:.2} MiB; seed {}, {} payments per amount, budget {} ppm + 50 sat, {} parts",
        view.node_count(),
        view.channel_count(),
        view.memory_bytes() as f64 / 1_048_576.0,
        options.seed,
        options.payments,
        options.fee_ppm,
        options.max_parts
    );
    let graph = (!options.alone).then(|| ldk::graph(&view));
    let mut report =
        Report { graph_mib: view.memory_bytes() as f64 / 1_048_576.0, ..Report::default() };
    if let Some(graph) = &graph {
        let ldk = Ldk::new(&view, graph);
        report.single = single::cold(&view, &ldk, SINGLE_MSAT, SINGLES, options.seed ^ 0x51);
        report.kept = single::kept(&view, &ldk, SINGLE_MSAT, SINGLES, options.seed ^ 0x52);
        println!(
            "\none path, {} sat, {SINGLES} pairs, median CPU ms (LDK / ours)",
            SINGLE_MSAT / 1_000
        );
        for (name, pair) in
            [("without potentials", report.single), ("with potentials", report.kept)]
        {
            println!(
                "{name:>20}: {:.2} / {:.4} = {:.1}x; found {} / {}",
                pair.ldk_ms,
                pair.ours_ms,
                pair.ratio(),
                pair.found.0,
                pair.found.1
            );
        }
    }
    let models =
        [("uniform", Model::Uniform), ("bimodal", Model::Bimodal { scale: options.scale })];
    for (name, model) in models {
        let balances = Balances::draw(&view, model, options.seed ^ 0xba1a);
        println!("\n{name}: ours / LDK\n{}", report::head());
        let mut rows = Vec::new();
        for &amount_sat in &options.amounts_sat {
            let amount = amount_sat * 1_000;
            let seed = options.seed ^ amount_sat;
            let ends = (5, options.ends_hold * amount);
            let found = feasible(&view, &balances, ends, amount, options.payments, seed);
            let max_fee = amount / 1_000_000 * options.fee_ppm + 50_000;
            let set = payments(&found.pairs, amount, max_fee, options.max_parts);
            let mut row = sets::run(&view, graph.as_ref(), &balances, &set);
            row.drawn = found.drawn;
            println!("{}", report::row(&row));
            if options.ceiling {
                println!("{}", ceiling::tell(&view, &balances, &set));
            }
            rows.push(row);
        }
        report.models.push((name, rows));
    }
    let place = options.plot.map_or_else(
        || std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("versus_ldk.svg"),
        std::path::PathBuf::from,
    );
    match std::fs::write(&place, plot::svg(&report)) {
        Ok(()) => println!("\nplot: {}", place.display()),
        Err(fault) => eprintln!("the plot could not be written to {}: {fault}", place.display()),
    }
    println!("{}", report::json(&report));
    std::process::ExitCode::SUCCESS
}
