//! How long the crate's functions take, each alone, on a made-up graph of mainnet's size.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fulmen_routing::fixture::synthetic::generate;
use fulmen_routing::simulator::payments::pairs;
use fulmen_routing::{Beliefs, Builder, Overlay, Planner, Query, View};

fn graph(c: &mut Criterion) {
    let view = generate(1, 7_000, 34_000);
    c.bench_function("graph/build", |b| {
        b.iter_batched(
            || Builder::from_view(&view),
            Builder::build,
            criterion::BatchSize::LargeInput,
        );
    });
    let channel = view.channels().nth(17).expect("there are more");
    let update = [(channel.scid, 0, channel.policies[0])];
    c.bench_function("graph/update", |b| b.iter(|| black_box(&view).with_policies(&update)));
}

fn query(view: &View, pair: (u32, u32), amount_sat: u64) -> Query {
    Query::new(*view.key(pair.0), *view.key(pair.1), amount_sat * 1_000)
}

fn plans(c: &mut Criterion) {
    let view = generate(1, 7_000, 34_000);
    let beliefs = Beliefs::new();
    let pairs = pairs(&view, 5, 60_000_000_000, 64, 7);
    let overlay = Overlay::new();
    for (name, parts, amount_sat) in [
        ("plan/single_100k", 1, 100_000),
        ("plan/100k", 100, 100_000),
        ("plan/1M", 100, 1_000_000),
        ("plan/20M", 100, 20_000_000),
    ] {
        c.bench_function(name, |b| {
            let mut planner = Planner::new();
            let mut place = 0;
            b.iter(|| {
                place = (place + 1) % pairs.len();
                let query = Query { max_parts: parts, ..query(&view, pairs[place], amount_sat) };
                planner.plan(&view, &overlay, &beliefs, 0, &query).is_ok()
            });
        });
    }
    c.bench_function("plan/single_100k_kept", |b| {
        let mut planner = Planner::new();
        let mut place = 0;
        b.iter(|| {
            place = (place + 1) % pairs.len();
            let pair = (pairs[0].0, pairs[place].1);
            let query = Query { max_parts: 1, ..query(&view, pair, 100_000) };
            planner.plan(&view, &overlay, &beliefs, 0, &query).is_ok()
        });
    });
}

fn beliefs(c: &mut Criterion) {
    let view = generate(1, 7_000, 34_000);
    let mut beliefs = Beliefs::new();
    for channel in view.channels().step_by(4) {
        beliefs.passed(channel.scid, 0, 1_000_000, 0);
    }
    let pair = pairs(&view, 5, 0, 1, 7)[0];
    let query = Query { max_parts: 1, ..query(&view, pair, 100_000) };
    let mut planner = Planner::new();
    c.bench_function("plan/with_8500_beliefs", |b| {
        b.iter(|| planner.plan(&view, &Overlay::new(), &beliefs, 3_600, &query).is_ok());
    });
    c.bench_function("beliefs/learn", |b| b.iter(|| beliefs.failed(black_box(7), 1, 5_000_000, 1)));
}

criterion_group!(functions, graph, plans, beliefs);
criterion_main!(functions);
