//! Whatever the graph and the query: no panic, an end in bounded time, and only sound plans.

use fulmen_routing::check::check;
use fulmen_routing::{
    Beliefs, Builder, HintChannel, NoRoute, NodeKey, Overlay, OwnChannel, Planner, Policy, Query,
};
use proptest::prelude::*;

const NODES: u8 = 7;

fn key(n: u8) -> NodeKey {
    [n; 33]
}

/// Numbers that are usual, extreme, or anything.
fn msat() -> impl Strategy<Value = u64> {
    let all_bitcoin = 2_100_000_000_000_000_000;
    prop_oneof![0..10u64, 1_000..10_000_000u64, Just(all_bitcoin), Just(u64::MAX), any::<u64>()]
}

fn policy() -> impl Strategy<Value = Policy> {
    let usual = (0..2_000u32, 0..5_000u32, 0..200u16, 0..2_000u64, 1_000..100_000_000u64);
    let absurd = (any::<u32>(), any::<u32>(), any::<u16>(), msat(), msat());
    prop_oneof![4 => usual, 1 => absurd].prop_map(
        |(base_msat, ppm, cltv_delta, htlc_min_msat, htlc_max_msat)| Policy {
            base_msat,
            ppm,
            cltv_delta,
            htlc_min_msat,
            htlc_max_msat,
        },
    )
}

fn end() -> impl Strategy<Value = NodeKey> {
    (0..NODES).prop_map(key)
}

type Drawn = (u64, NodeKey, NodeKey, u64, Option<Policy>, Option<Policy>);

fn channel() -> impl Strategy<Value = Drawn> {
    let capacity = prop_oneof![8 => 1..200_000u64, 2 => any::<u64>(), 1 => Just(0)];
    let policies = (proptest::option::of(policy()), proptest::option::of(policy()));
    (0..40u64, end(), end(), capacity, policies).prop_map(|(s, a, b, c, (p, q))| (s, a, b, c, p, q))
}

fn overlay() -> impl Strategy<Value = Overlay> {
    let own = (30..60u64, end(), 0..2_000u64, msat(), msat());
    let hint = (30..70u64, end(), end(), policy());
    let own = proptest::collection::vec(own, 0..5);
    let hints = proptest::collection::vec(hint, 0..4);
    let reserved = proptest::collection::vec((0..40u64, any::<u8>(), msat()), 0..4);
    (own, hints, reserved).prop_map(|(own, hints, reserved)| {
        let mut overlay = Overlay::new();
        for (scid, peer, htlc_min_msat, htlc_max_msat, spendable_msat) in own {
            overlay.own_channel(OwnChannel {
                scid,
                peer,
                htlc_min_msat,
                htlc_max_msat,
                spendable_msat,
            });
        }
        for (scid, from, to, policy) in hints {
            overlay.hint(HintChannel { scid, from, to, policy });
        }
        for (scid, direction, amount) in reserved {
            overlay.reserve(scid, direction, amount);
        }
        overlay
    })
}

fn query() -> impl Strategy<Value = Query> {
    let cltv = prop_oneof![Just(2_016u32), any::<u32>()];
    let parts = prop_oneof![0..20usize, 20..120usize];
    let limits = (msat(), cltv, 0..200u32, parts, 0..=25u8);
    let some = |range| proptest::collection::vec(range, 0..3);
    let constraints = (
        prop_oneof![3 => Just(vec![]), 1 => some(30..60u64)],
        prop_oneof![5 => Just(vec![]), 1 => some(0..40u64)],
        prop_oneof![5 => Just(None), 1 => end().prop_map(Some)],
        prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(end(), 0..2)],
        prop_oneof![3 => Just(vec![]), 1 => some(0..60u64)],
    );
    (end(), end(), msat(), limits, constraints, any::<u32>(), msat()).prop_map(
        |(payer, payee, amount, limits, constraints, round, total_msat)| {
            let (max_fee_msat, max_cltv, final_cltv, max_parts, max_hops) = limits;
            let (out_through, in_through, last_hop, avoid_nodes, avoid_channels) = constraints;
            Query {
                max_fee_msat,
                max_cltv,
                final_cltv,
                max_parts,
                max_hops,
                out_through,
                in_through,
                last_hop,
                avoid_nodes,
                avoid_channels,
                round,
                total_msat,
                max_visits: 20_000,
                ..Query::new(payer, payee, amount)
            }
        },
    )
}

fn beliefs() -> impl Strategy<Value = Beliefs> {
    let heard = (0..70u64, any::<u8>(), msat(), 0..3u8, 0..100_000u64);
    proptest::collection::vec(heard, 0..20).prop_map(|heard| {
        let mut beliefs = Beliefs::new();
        for (scid, direction, amount, what, at) in heard {
            match what {
                0 => beliefs.passed(scid, direction, amount, at),
                1 => beliefs.failed(scid, direction, amount, at),
                _ => beliefs.settled(scid, direction, amount),
            }
        }
        beliefs
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_sound(
        channels in proptest::collection::vec(channel(), 0..30),
        overlay in overlay(),
        beliefs in beliefs(),
        queries in proptest::collection::vec(query(), 1..4),
        now in 0..200_000u64,
    ) {
        let mut builder = Builder::new();
        for (scid, a, b, capacity_sat, there, back) in channels {
            builder.channel(scid, [a, b], capacity_sat, [there, back]);
        }
        let view = builder.build();
        // One planner for all: what it keeps from one query must not spoil the next.
        let mut planner = Planner::new();
        for query in queries {
            match planner.plan(&view, &overlay, &beliefs, now, &query) {
                Ok(plan) => {
                    prop_assert_eq!(check(&view, &overlay, &query, &plan), Ok(()));
                    prop_assert!((0.0..=1.0).contains(&plan.chance));
                }
                Err(NoRoute::Unsound(fault)) => prop_assert!(false, "unsound: {}", fault),
                Err(reason) => prop_assert!(!reason.to_string().is_empty()),
            }
        }
    }
}
