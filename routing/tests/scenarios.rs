//! Small graphs where the right answer is known: what a plan must look like, and why there is none.

use fulmen_routing::{
    Beliefs, Builder, HintChannel, NoRoute, NodeKey, Overlay, OwnChannel, Plan, Policy, Query,
    View, plan,
};

fn key(n: u8) -> NodeKey {
    [n; 33]
}

fn policy(base_msat: u32, ppm: u32) -> Policy {
    Policy { base_msat, ppm, cltv_delta: 40, htlc_min_msat: 1, htlc_max_msat: u64::MAX }
}

/// Channels as (scid, from, to, capacity in sat, base fee), enabled both ways.
fn graph(channels: &[(u64, u8, u8, u64, u32)]) -> View {
    let mut builder = Builder::new();
    for &(scid, a, b, capacity_sat, base) in channels {
        let policy = policy(base, 100);
        builder.channel(scid, [key(a), key(b)], capacity_sat, [Some(policy), Some(policy)]);
    }
    builder.build()
}

fn own(channels: &[(u64, u8, u64)]) -> Overlay {
    let mut overlay = Overlay::new();
    for &(scid, peer, spendable_sat) in channels {
        overlay.own_channel(OwnChannel {
            scid,
            peer: key(peer),
            htlc_min_msat: 1,
            htlc_max_msat: spendable_sat * 1_000,
            spendable_msat: spendable_sat * 1_000,
        });
    }
    overlay
}

fn ask(view: &View, overlay: &Overlay, query: &Query) -> Result<Plan, NoRoute> {
    plan(view, overlay, &Beliefs::new(), 0, query)
}

fn scids(plan: &Plan) -> Vec<Vec<u64>> {
    plan.parts.iter().map(|part| part.hops.iter().map(|hop| hop.scid).collect()).collect()
}

#[test]
fn amounts_and_locks_are_exact() {
    let view =
        graph(&[(1, 1, 2, 100_000, 0), (2, 2, 3, 100_000, 1_000), (3, 3, 4, 100_000, 2_000)]);
    let query = Query { final_cltv: 9, ..Query::new(key(1), key(4), 1_000_000) };
    let plan = ask(&view, &own(&[(1, 2, 90_000)]), &query).expect("a line");
    let hops: Vec<(u64, u32)> =
        plan.parts[0].hops.iter().map(|h| (h.amount_msat, h.cltv)).collect();
    // 3 charges 2,000 + 100 for a million; 2 charges 1,000 + 100 for what 3 has to get.
    assert_eq!(hops, [(1_003_200, 89), (1_002_100, 49), (1_000_000, 9)]);
    assert_eq!(plan.fee_msat, 3_200);
}

#[test]
fn a_large_payment_takes_both_ways() {
    let view = graph(&[
        (1, 1, 2, 100_000, 0),
        (2, 1, 3, 100_000, 0),
        (3, 2, 4, 100_000, 0),
        (4, 3, 4, 100_000, 0),
    ]);
    let query = Query::new(key(1), key(4), 120_000_000);
    let plan = ask(&view, &own(&[(1, 2, 90_000), (2, 3, 90_000)]), &query).expect("two ways");
    assert_eq!(plan.amount_msat, 120_000_000);
    let ways = scids(&plan);
    assert!(ways.contains(&vec![1, 3]) && ways.contains(&vec![2, 4]));
}

#[test]
fn earlier_parts_are_rerouted_for_later_ones() {
    // The cheap way 1-2-3-5 blocks both 1-2-4-5 and 1-6-3-5; only a flow that reroutes uses both.
    let view = graph(&[
        (1, 1, 2, 100_000, 0),
        (2, 2, 3, 100_000, 0),
        (3, 3, 5, 100_000, 0),
        (4, 2, 4, 100_000, 5_000),
        (5, 4, 5, 100_000, 5_000),
        (6, 1, 6, 100_000, 5_000),
        (7, 6, 3, 100_000, 5_000),
    ]);
    let query = Query { max_parts: 2, ..Query::new(key(1), key(5), 140_000_000) };
    let plan = ask(&view, &own(&[(1, 2, 80_000), (6, 6, 80_000)]), &query).expect("two ways");
    assert_eq!(plan.amount_msat, 140_000_000);
}

#[test]
fn few_parts_take_the_widest_ways() {
    // Ways of very different width: no three equal parts carry 2M, the three widest do.
    let wide = [(10, 1_500_000), (11, 500_000), (12, 300_000), (13, 90_000), (14, 90_000)];
    let mut channels = vec![(1, 1, 2, 5_000_000, 0)];
    for (middle, capacity) in wide {
        channels.push((u64::from(middle), 2, middle, 9_000_000, 0));
        channels.push((u64::from(middle) + 20, middle, 9, capacity, 0));
    }
    let view = graph(&channels);
    let query = Query { max_parts: 3, ..Query::new(key(1), key(9), 2_000_000_000) };
    let plan = ask(&view, &own(&[(1, 2, 4_000_000)]), &query).expect("three ways");
    let mut last: Vec<u64> = plan.parts.iter().map(|part| part.hops[2].scid).collect();
    last.sort_unstable();
    assert_eq!(last, [30, 31, 32]);
}

#[test]
fn a_narrow_part_is_spared_where_parts_are_few() {
    let view = graph(&[
        (1, 2, 9, 8_000_000, 0),
        (2, 3, 9, 3_000_000, 0),
        (3, 4, 9, 1_000_000, 0),
        (4, 1, 2, 1, 0),
    ]);
    let overlay = own(&[(11, 2, 90_000_000), (12, 3, 90_000_000), (13, 4, 90_000_000)]);
    let query = Query { max_parts: 3, ..Query::new(key(1), key(9), 10_000_000_000) };
    let plan = ask(&view, &overlay, &query).expect("three ways");
    let mut ways = scids(&plan);
    ways.sort_unstable();
    assert_eq!(ways, [[11, 1], [12, 2]]);
}

#[test]
fn circular_payments_leave_by_one_channel_and_return_by_another() {
    let view = graph(&[(1, 1, 2, 100_000, 0), (2, 2, 3, 100_000, 0), (3, 3, 1, 100_000, 0)]);
    let overlay = own(&[(1, 2, 90_000), (3, 3, 90_000)]);
    let query = Query {
        out_through: vec![1],
        in_through: vec![3],
        ..Query::new(key(1), key(1), 10_000_000)
    };
    let plan = ask(&view, &overlay, &query).expect("a circle");
    assert!(scids(&plan).iter().all(|way| *way == [1, 2, 3]));
}

#[test]
fn hints_lead_to_a_payee_nobody_announced() {
    let view = graph(&[(1, 1, 2, 100_000, 0), (2, 2, 3, 100_000, 0)]);
    let mut overlay = own(&[(1, 2, 90_000)]);
    let query = Query::new(key(1), key(9), 1_000_000);
    assert_eq!(ask(&view, &overlay, &query), Err(NoRoute::UnknownPayee));
    overlay.hint(HintChannel { scid: 77, from: key(3), to: key(9), policy: policy(500, 0) });
    let plan = ask(&view, &overlay, &query).expect("through the hint");
    assert_eq!(scids(&plan), [[1, 2, 77]]);
}

#[test]
fn what_is_avoided_or_in_flight_is_not_used() {
    let view = graph(&[
        (1, 1, 2, 100_000, 0),
        (2, 2, 4, 100_000, 0),
        (3, 1, 3, 100_000, 0),
        (4, 3, 4, 100_000, 9_000),
    ]);
    let overlay = own(&[(1, 2, 90_000), (3, 3, 90_000)]);
    let query = Query::new(key(1), key(4), 1_000_000);
    assert_eq!(scids(&ask(&view, &overlay, &query).expect("cheap")), [[1, 2]]);
    for other in [
        Query { avoid_nodes: vec![key(2)], ..query.clone() },
        Query { avoid_channels: vec![2], ..query.clone() },
        Query { out_through: vec![3], ..query.clone() },
        Query { last_hop: Some(key(3)), ..query.clone() },
        Query { in_through: vec![4], ..query.clone() },
    ] {
        assert_eq!(scids(&ask(&view, &overlay, &other).expect("dear")), [[3, 4]]);
    }
    let mut busy = overlay.clone();
    busy.reserve(2, 0, 99_900_000);
    assert_eq!(scids(&ask(&view, &busy, &query).expect("dear")), [[3, 4]]);
}

#[test]
fn a_node_that_only_a_hint_knows_can_be_avoided() {
    let view = graph(&[(1, 1, 2, 100_000, 0)]);
    let mut overlay = own(&[(1, 2, 90_000)]);
    overlay.hint(HintChannel { scid: 77, from: key(2), to: key(8), policy: policy(0, 0) });
    overlay.hint(HintChannel { scid: 78, from: key(8), to: key(9), policy: policy(0, 0) });
    let query = Query::new(key(1), key(9), 1_000_000);
    assert_eq!(scids(&ask(&view, &overlay, &query).expect("two hints")), [[1, 77, 78]]);
    let query = Query { avoid_nodes: vec![key(8)], ..query };
    assert_eq!(ask(&view, &overlay, &query), Err(NoRoute::UnknownPayee), "no usable hint");
}

#[test]
fn a_failure_bars_only_what_is_greater() {
    let view = graph(&[(1, 1, 2, 100_000, 0), (2, 2, 3, 100_000, 0)]);
    let mut beliefs = Beliefs::new();
    beliefs.failed(2, 0, 50_000_000, 100);
    let overlay = own(&[(1, 2, 90_000)]);
    let ask = |amount| plan(&view, &overlay, &beliefs, 100, &Query::new(key(1), key(3), amount));
    assert!(ask(20_000_000).is_ok());
    let reason = ask(60_000_000).expect_err("known to fail");
    assert_eq!(
        reason,
        NoRoute::PayeeInbound { receivable_msat: 49_999_999, amount_msat: 60_000_000 }
    );
}

#[test]
fn reasons_name_what_the_payer_can_change() {
    let view = graph(&[(1, 1, 2, 100_000, 0), (2, 2, 3, 100_000, 50_000), (3, 7, 8, 9, 0)]);
    let overlay = own(&[(1, 2, 90_000)]);
    let query = Query::new(key(1), key(3), 1_000_000);
    let reason =
        |query: &Query, overlay: &Overlay| ask(&view, overlay, query).expect_err("cannot be");
    let amount_msat = 95_000_000;
    assert_eq!(
        reason(&Query::new(key(1), key(3), amount_msat), &overlay),
        NoRoute::OwnBalance { spendable_msat: 90_000_000, amount_msat }
    );
    assert_eq!(reason(&Query::new(key(1), key(8), 1), &overlay), NoRoute::NoPath);
    assert_eq!(
        reason(&Query { max_cltv: 50, ..query.clone() }, &overlay),
        NoRoute::CltvLimit { cltv: 58, max_cltv: 50 }
    );
    assert!(matches!(
        reason(&Query { max_fee_msat: 10, ..query.clone() }, &overlay),
        NoRoute::FeeLimit { fee_msat: 50_100, max_fee_msat: 10 }
    ));
    assert!(matches!(
        reason(&Query { amount_msat: 0, ..query.clone() }, &overlay),
        NoRoute::Malformed(_)
    ));
    let none = Query { out_through: vec![99], ..query };
    assert_eq!(reason(&none, &overlay), NoRoute::NoOwnChannel);
}

#[test]
fn what_may_be_in_flight_bounds_all_parts_together() {
    // A channel of 2M sat that lets 900k be in flight at one moment, as LDK announces it.
    let mut builder = Builder::new();
    let open = Some(policy(0, 100));
    let narrow = Some(Policy { htlc_max_msat: 900_000_000, ..policy(0, 100) });
    builder.channel(1, [key(1), key(2)], 5_000_000, [open, open]);
    builder.channel(2, [key(2), key(3)], 2_000_000, [narrow, narrow]);
    let view = builder.build();
    let overlay = own(&[(1, 2, 4_000_000)]);
    let query = |amount_msat| Query {
        htlc_max_in_all: true,
        max_fee_msat: u64::MAX,
        ..Query::new(key(1), key(3), amount_msat)
    };
    let split = Query { htlc_max_in_all: false, ..query(1_400_000_000) };
    assert!(ask(&view, &overlay, &split).expect("by parts").parts.len() > 1);
    let expected =
        NoRoute::PayeeInbound { receivable_msat: 900_000_000, amount_msat: 1_400_000_000 };
    assert_eq!(ask(&view, &overlay, &query(1_400_000_000)), Err(expected));
    assert!(ask(&view, &overlay, &query(850_000_000)).is_ok());

    // What other payments have in flight there counts as well.
    let mut busy = own(&[(1, 2, 4_000_000)]);
    busy.reserve(2, 0, 500_000_000);
    assert!(ask(&view, &busy, &query(850_000_000)).is_err());
    assert!(ask(&view, &busy, &query(350_000_000)).is_ok());
}

#[test]
fn a_payment_beyond_one_channels_flight_takes_another_way_too() {
    let mut builder = Builder::new();
    let open = Some(policy(0, 100));
    let narrow = Some(Policy { htlc_max_msat: 900_000_000, ..policy(0, 100) });
    builder.channel(1, [key(1), key(2)], 5_000_000, [open, open]);
    builder.channel(2, [key(2), key(4)], 2_000_000, [narrow, narrow]);
    builder.channel(3, [key(2), key(3)], 5_000_000, [open, open]);
    builder.channel(4, [key(3), key(4)], 2_000_000, [narrow, narrow]);
    let view = builder.build();
    let query = Query { htlc_max_in_all: true, ..Query::new(key(1), key(4), 1_500_000_000) };
    let plan = ask(&view, &own(&[(1, 2, 4_000_000)]), &query).expect("two ways");
    for channel in [2, 4] {
        let hops = plan.parts.iter().flat_map(|part| &part.hops).filter(|hop| hop.scid == channel);
        let carried: u64 = hops.map(|hop| hop.amount_msat).sum();
        assert!((1..=900_000_000).contains(&carried), "{carried} on {channel}");
    }
}
