//! What just failed is left alone: an amount is not sent again where it got stuck a moment ago.

use fulmen_routing::{
    Beliefs, Builder, HintChannel, NodeKey, Overlay, OwnChannel, Plan, Planner, Policy, Query, View,
};
use proptest::prelude::*;

const NODES: u8 = 6;
const NOW: u64 = 1_000_000;

fn key(n: u8) -> NodeKey {
    [n; 33]
}

fn policy(ppm: u32) -> Policy {
    Policy { base_msat: 0, ppm, cltv_delta: 40, htlc_min_msat: 1, htlc_max_msat: u64::MAX }
}

/// Two ways from 1 to 4: over 2, nearly for nothing, and over 3, dear.
fn two_ways(capacity_sat: u64) -> View {
    let mut builder = Builder::new();
    for (scid, a, b, ppm) in [(1, 1, 2, 0), (2, 1, 3, 0), (3, 2, 4, 1), (4, 3, 4, 5_000)] {
        let both = [Some(policy(ppm)), Some(policy(ppm))];
        builder.channel(scid, [key(a), key(b)], capacity_sat, both);
    }
    builder.build()
}

fn own(peers: &[u8], spendable_msat: u64) -> Overlay {
    let mut overlay = Overlay::new();
    for &peer in peers {
        overlay.own_channel(OwnChannel {
            scid: 1_000 + u64::from(peer),
            peer: key(peer),
            htlc_min_msat: 1,
            htlc_max_msat: spendable_msat,
            spendable_msat,
        });
    }
    overlay
}

/// The most that the plan sends over a channel in one direction.
fn sent(plan: &Plan, scid: u64, direction: u8) -> u64 {
    let hops = plan.parts.iter().flat_map(|part| &part.hops);
    let there = hops.filter(|hop| (hop.scid, hop.direction) == (scid, direction));
    there.map(|hop| hop.amount_msat).max().unwrap_or(0)
}

#[test]
fn a_dear_way_is_taken_rather_than_the_one_that_just_failed() {
    let view = two_ways(10_000_000);
    let query = Query { max_parts: 1, ..Query::new(key(1), key(4), 1_000_000_000) };
    let overlay = own(&[2, 3], 9_000_000_000);
    let mut beliefs = Beliefs::new();
    beliefs.failed(3, 0, query.amount_msat, NOW);
    for age in [0, 1, 10, 60, 120, beliefs.rest_secs()] {
        let plan = Planner::new().plan(&view, &overlay, &beliefs, NOW + age, &query);
        let plan = plan.expect("there is another way");
        assert_eq!(plan.parts[0].hops[1].scid, 4, "after {age} s");
    }
    let later = Planner::new().plan(&view, &overlay, &beliefs, NOW + 40 * 3_600, &query);
    assert_eq!(later.expect("two ways").parts[0].hops[1].scid, 3, "bounds are forgotten");
}

#[test]
fn the_only_way_is_tried_again_when_it_has_rested() {
    let view = two_ways(10_000_000);
    let query = Query::new(key(1), key(4), 1_000_000_000);
    let overlay = own(&[2], 9_000_000_000);
    let mut beliefs = Beliefs::new();
    beliefs.failed(3, 0, query.amount_msat, NOW);
    let at = |age| Planner::new().plan(&view, &overlay, &beliefs, NOW + age, &query);
    assert!(at(beliefs.rest_secs()).is_err());
    let plan = at(2 * beliefs.rest_secs()).expect("there is a chance again");
    assert!(plan.chance < 0.02, "{}", plan.chance);
}

#[test]
fn a_hint_keeps_what_was_learnt_of_it() {
    let view = two_ways(10_000_000);
    let mut overlay = own(&[2, 3], 9_000_000_000);
    for (scid, from, ppm) in [(70, 2, 1), (71, 3, 5_000)] {
        overlay.hint(HintChannel { scid, from: key(from), to: key(9), policy: policy(ppm) });
    }
    let query = Query { max_parts: 1, ..Query::new(key(1), key(9), 1_000_000_000) };
    let mut beliefs = Beliefs::new();
    beliefs.failed(70, 0, query.amount_msat, NOW);
    for age in [0, 1, 60, beliefs.rest_secs()] {
        let plan = Planner::new().plan(&view, &overlay, &beliefs, NOW + age, &query);
        let plan = plan.expect("there is another hint");
        assert_eq!(plan.parts[0].hops.last().map(|hop| hop.scid), Some(71), "after {age} s");
    }
    beliefs.failed(71, 0, query.amount_msat, NOW);
    let none = Planner::new().plan(&view, &overlay, &beliefs, NOW + 1, &query);
    assert!(none.is_err(), "both hints just failed: {none:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Round after round everything fails somewhere, and no round sends as much again to where an earlier
    /// one got stuck.
    #[test]
    fn no_round_repeats_a_failure(
        channels in proptest::collection::vec((0..NODES, 0..NODES, 10_000..20_000_000u64, 0..4_000u32), 4..24),
        peers in proptest::collection::btree_set(0..NODES - 1, 1..4),
        hinted in proptest::option::of(0..NODES),
        amount_msat in prop_oneof![1_000..1_000_000u64, 1_000_000..2_000_000_000u64],
        parts in prop_oneof![Just(1usize), 2..40usize],
        stuck in proptest::collection::vec(any::<usize>(), 12),
        pause in 1..12u64,
    ) {
        let mut builder = Builder::new();
        for (place, &(a, b, capacity_sat, ppm)) in channels.iter().enumerate() {
            let both = [Some(policy(ppm)), Some(policy(ppm))];
            builder.channel(place as u64, [key(a), key(b)], capacity_sat, both);
        }
        let view = builder.build();
        let peers: Vec<u8> = peers.into_iter().collect();
        let mut overlay = own(&peers, 4 * amount_msat);
        let payee = if hinted.is_some() { 200 } else { NODES - 1 };
        if let Some(from) = hinted {
            overlay.hint(HintChannel { scid: 900, from: key(from), to: key(payee), policy: policy(9) });
        }
        let (mut beliefs, mut planner) = (Beliefs::new(), Planner::new());
        let mut failures: Vec<(u64, u8, u64)> = Vec::new();
        for (round, &place) in stuck.iter().enumerate() {
            let now = NOW + round as u64 * pause;
            let query = Query {
                max_parts: parts,
                round: round as u32,
                max_fee_msat: amount_msat,
                ..Query::new(key(100), key(payee), amount_msat)
            };
            let Ok(plan) = planner.plan(&view, &overlay, &beliefs, now, &query) else { break };
            for &(scid, direction, failed_msat) in &failures {
                let again = sent(&plan, scid, direction);
                prop_assert!(again < failed_msat, "round {round}: {again} of {failed_msat} over {scid}");
            }
            let part = &plan.parts[place % plan.parts.len()];
            let remote = &part.hops[1..];
            if remote.is_empty() {
                break;
            }
            let hop = remote[place / 64 % remote.len()];
            // Of a hint the daemon learns as of direction 0.
            let direction = if hop.scid == 900 { 0 } else { hop.direction };
            beliefs.failed(hop.scid, direction, hop.amount_msat, now);
            failures.push((hop.scid, hop.direction, hop.amount_msat));
        }
    }
}
