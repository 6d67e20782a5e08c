//! Our planner beside LDK's router: the same graph, payments, hidden balances and rules, in one run.
//!
//! `cargo bench -p fulmen-routing --bench versus_ldk -- --seed N --payments M [--fee-ppm P] [--max-parts K]
//! [--amounts SAT,SAT] [--graph DIR] [--plot FILE.svg] [--scale S] [--alone]`
//!
//! Prints tables for people; the last line is one JSON object for machines.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod clock;
mod data;
mod ldk;
mod options;
mod sets;

use fulmen_routing::simulator::balances::{Balances, Model};
use fulmen_routing::simulator::payments::{pairs, payments};
use options::Options;
use sets::Row;

fn main() {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            std::process::exit(2);
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
    let models =
        [("uniform", Model::Uniform), ("bimodal", Model::Bimodal { scale: options.scale })];
    for (name, model) in models {
        let balances = Balances::draw(&view, model, options.seed ^ 0xba1a);
        println!("\n{name}: ours / LDK");
        println!(
            "{:>9} {:>5} {:>13} {:>13} {:>13} {:>9} {:>11} {:>6} {:>11} {:>6} {:>13} {:>6}",
            "sat",
            "feas%",
            "delivered %",
            "3 rounds %",
            "1st round %",
            "rounds",
            "parts",
            "tried",
            "fee ppm",
            "ratio",
            "cpu ms",
            "ratio"
        );
        for &amount_sat in &options.amounts_sat {
            let amount = amount_sat * 1_000;
            let pairs = pairs(
                &view,
                5,
                options.ends_hold * amount,
                options.payments,
                options.seed ^ amount_sat,
            );
            let max_fee = amount / 1_000_000 * options.fee_ppm + 50_000;
            let set = payments(&pairs, amount, max_fee, options.max_parts);
            print_row(&sets::run(&view, graph.as_ref(), &balances, &set));
        }
    }
}

fn print_row(row: &Row) {
    let (o, l) = (&row.ours, &row.ldk);
    println!(
        "{:>9} {:>5.1} {:>6.1}/{:>6.1} {:>6.1}/{:>6.1} {:>6.1}/{:>6.1} {:>4.2}/{:>4.2} {:>5.1}/{:>5.1} {:>6.1} {:>5.0}/{:>5.0} {:>6.2} {:>6.2}/{:>6.1} {:>6.1}",
        row.amount_sat,
        row.feasible_pct,
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
    );
}
