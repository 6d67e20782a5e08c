//! How long the crate's functions take, each alone, with LDK's `find_route` on the same pairs beside them.
#![allow(clippy::print_stdout, missing_docs)]

#[path = "versus_ldk/data.rs"]
mod data;
#[allow(dead_code)]
#[path = "versus_ldk/ldk.rs"]
mod ldk;

use std::hint::black_box;
use std::sync::LazyLock;

use criterion::{Criterion, criterion_group, criterion_main};
use fulmen_routing::simulator::payments::pairs;
use fulmen_routing::{Beliefs, Builder, Overlay, Planner, Query, View};

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let (view, source) = data::load(None);
    let mib = view.memory_bytes() as f64 / 1_048_576.0;
    println!("graph: {source}; {mib:.2} MiB, {} channels", view.channel_count());
    view
});

fn graph(c: &mut Criterion) {
    let view = &*VIEW;
    c.bench_function("graph/build", |b| {
        b.iter_batched(
            || Builder::from_view(view),
            Builder::build,
            criterion::BatchSize::LargeInput,
        );
    });
    let channel = view.channels().nth(17).expect("there are more");
    let update = [(channel.scid, 0, channel.policies[0])];
    c.bench_function("graph/update", |b| b.iter(|| black_box(view).with_policies(&update)));
}

fn query((payer, payee): (u32, u32), amount_sat: u64, max_parts: usize) -> Query {
    let (payer, payee) = (*VIEW.key(payer), *VIEW.key(payee));
    Query { max_parts, ..Query::new(payer, payee, amount_sat * 1_000) }
}

/// One path for 100,000 sat between the same pairs: without potentials, with them, and LDK's.
fn searches(c: &mut Criterion) {
    let view = &*VIEW;
    let all = pairs(view, 5, 0, 64, 7);
    let from_one: Vec<(u32, u32)> =
        all.iter().map(|&(_, payee)| (all[0].0, payee)).filter(|(a, b)| a != b).collect();
    let graph = ldk::graph(view);
    let ldk = ldk::Ldk::new(view, &graph);
    for (name, pairs, kept) in
        [("search/alone", &all, false), ("search/potentials", &from_one, true)]
    {
        c.bench_function(name, |b| {
            let mut planner = Planner::new();
            let mut place = 0;
            b.iter(|| {
                place = (place + 1) % pairs.len();
                if !kept && place == 0 {
                    planner = Planner::new();
                }
                let query = query(pairs[place], 100_000, 1);
                planner.plan(view, &Overlay::new(), &Beliefs::new(), 0, &query).is_ok()
            });
        });
        c.bench_function(&format!("{name}/ldk"), |b| {
            let mut place = 0;
            b.iter(|| {
                place = (place + 1) % pairs.len();
                ldk.single(pairs[place].0, pairs[place].1, 100_000_000).is_some()
            });
        });
    }
}

fn plans(c: &mut Criterion) {
    let pairs = pairs(&VIEW, 5, 60_000_000_000, 64, 7);
    for (name, parts, amount_sat) in [
        ("plan/100k", 100, 100_000),
        ("plan/1M", 100, 1_000_000),
        ("plan/20M", 100, 20_000_000),
        ("plan/20M_in_10", 10, 20_000_000),
    ] {
        c.bench_function(name, |b| {
            let mut planner = Planner::new();
            let mut place = 0;
            b.iter(|| {
                place = (place + 1) % pairs.len();
                let query = query(pairs[place], amount_sat, parts);
                planner.plan(&VIEW, &Overlay::new(), &Beliefs::new(), 0, &query).is_ok()
            });
        });
    }
}

fn beliefs(c: &mut Criterion) {
    let mut beliefs = Beliefs::new();
    for channel in VIEW.channels().step_by(4) {
        beliefs.passed(channel.scid, 0, 1_000_000, 0);
    }
    let query = query(pairs(&VIEW, 5, 0, 1, 7)[0], 100_000, 1);
    let mut planner = Planner::new();
    c.bench_function("plan/with_8500_beliefs", |b| {
        b.iter(|| planner.plan(&VIEW, &Overlay::new(), &beliefs, 3_600, &query).is_ok());
    });
    c.bench_function("beliefs/learn", |b| b.iter(|| beliefs.failed(black_box(7), 1, 5_000_000, 1)));
}

criterion_group! {
    name = functions;
    config = Criterion::default().sample_size(20);
    targets = graph, searches, plans, beliefs
}
criterion_main!(functions);
