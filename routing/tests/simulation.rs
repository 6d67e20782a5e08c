//! The simulator on a made-up graph: what is feasible is delivered, within budget, by our planner.

use fulmen_routing::fixture::synthetic::generate;
use fulmen_routing::simulator::balances::{Balances, Model};
use fulmen_routing::simulator::ceiling::cheapest;
use fulmen_routing::simulator::ours::Ours;
use fulmen_routing::simulator::parts::in_parts;
use fulmen_routing::simulator::payments::{feasible, pairs, payments};
use fulmen_routing::simulator::{MAX_ROUNDS, oracle, pay};
use fulmen_routing::{Builder, Policy, View};

/// Returns how many payments were feasible, and how many of those were delivered.
fn run(view: &View, model: Model, amount_sat: u64, seed: u64) -> (usize, usize) {
    let amount = amount_sat * 1_000;
    let balances = Balances::draw(view, model, seed);
    let pairs = pairs(view, 5, 3 * amount, 30, seed);
    let mut router = Ours::new(view);
    let (mut feasible, mut delivered) = (0, 0);
    for payment in payments(&pairs, amount, amount / 100 + 50_000, 100) {
        let most = oracle::deliverable_msat(view, &balances, payment.payer, payment.payee, amount);
        let outcome = pay(view, &balances, &payment, &mut router);
        assert!(outcome.fee_msat <= payment.max_fee_msat, "seed {seed}: over budget");
        assert!(outcome.parts <= payment.max_parts && outcome.rounds <= MAX_ROUNDS);
        assert!(!outcome.delivered || most >= amount, "seed {seed}: more than is there");
        feasible += usize::from(most >= amount);
        delivered += usize::from(outcome.delivered);
    }
    (feasible, delivered)
}

#[test]
fn nearly_all_that_is_feasible_is_delivered() {
    let view = generate(5, 800, 4_500);
    for (model, seed) in [(Model::Uniform, 1), (Model::Bimodal { scale: 0.1 }, 2)] {
        for amount_sat in [100_000, 1_000_000, 5_000_000] {
            let (feasible, delivered) = run(&view, model, amount_sat, seed);
            assert!(feasible > 15, "{amount_sat} sat, seed {seed}: only {feasible} feasible");
            assert!(
                delivered * 100 >= feasible * 90,
                "{amount_sat} sat, seed {seed}: {delivered} of {feasible} delivered"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let view = generate(6, 300, 1_500);
    let balances = Balances::draw(&view, Model::Uniform, 3);
    let set = payments(&pairs(&view, 5, 0, 10, 4), 1_000_000_000, 20_000_000, 16);
    let outcomes = || {
        let mut router = Ours::new(&view);
        set.iter().map(|p| pay(&view, &balances, p, &mut router)).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(), outcomes());
}

#[test]
fn the_oracle_counts_every_way() {
    let view = generate(7, 50, 200);
    let balances = Balances::draw(&view, Model::Uniform, 1);
    let key = *view.key(0);
    let payee_holds: u64 = view
        .channels_of(0)
        .map(|channel| {
            let direction = u8::from(channel.nodes[1] != key);
            let enabled = channel.policies[usize::from(direction)].is_some();
            if enabled { balances.of(&view, channel.scid, direction) } else { 0 }
        })
        .sum();
    let most = oracle::deliverable_msat(&view, &balances, 1, 0, u64::MAX / 4);
    assert!(most > 0 && most <= payee_holds);
}

#[test]
fn small_htlcs_in_the_middle_are_proven_too_narrow() {
    let mut builder = Builder::new();
    let policy = |htlc_max_msat| {
        Some(Policy { base_msat: 0, ppm: 0, cltv_delta: 40, htlc_min_msat: 1, htlc_max_msat })
    };
    let (wide, narrow) = (policy(u64::MAX), policy(5_000_000));
    // The ends take any HTLC of it; between them one way takes large ones and the other small ones.
    let channels = [(1, 1, 2, wide), (2, 2, 3, wide), (3, 2, 3, narrow), (4, 3, 4, wide)];
    for (scid, a, b, policy) in channels {
        let capacity_sat = if a == 2 { 1_000_000 } else { 900_000_000 };
        builder.channel(scid, [[a; 33], [b; 33]], capacity_sat, [policy, policy]);
    }
    let view = builder.build();
    let balances = Balances::draw(&view, Model::Uniform, 3);
    let ends = (view.node(&[1; 33]).expect("payer"), view.node(&[4; 33]).expect("payee"));
    let (large, small) = (balances.of(&view, 2, 0), balances.of(&view, 3, 0));
    assert!(large > 10_000_000 && small > 100_000_000, "{large} and {small}");
    let want = large + 30_000_000;
    assert_eq!(oracle::deliverable_msat(&view, &balances, ends.0, ends.1, want), want);
    assert_eq!(in_parts(&view, &balances, ends, want, 5), Some(false));
    assert_ne!(in_parts(&view, &balances, ends, want, 7), Some(false));
}

#[test]
fn nothing_delivered_betters_the_ceiling() {
    let view = generate(8, 600, 3_000);
    let balances = Balances::draw(&view, Model::Uniform, 4);
    let amount = 5_000_000_000;
    let found = feasible(&view, &balances, (5, 0), amount, 25, 9);
    assert!(found.pairs.len() == 25 && found.drawn >= 25);
    let mut router = Ours::new(&view);
    let mut delivered = 0;
    for payment in payments(&found.pairs, amount, amount / 2_000, 6) {
        let ends = (payment.payer, payment.payee);
        let least = cheapest(&view, &balances, ends.0, ends.1, amount).expect("feasible");
        // Each hop's fee is rounded down once in the bound and for every part in what is found.
        assert!(least.bound_msat <= least.found_msat + 1_000);
        let outcome = pay(&view, &balances, &payment, &mut router);
        if outcome.delivered {
            delivered += 1;
            assert!(outcome.fee_msat + 1_000 >= least.bound_msat);
            assert_ne!(in_parts(&view, &balances, ends, amount, outcome.parts), Some(false));
        }
    }
    assert!(delivered > 5, "only {delivered} delivered");
}
