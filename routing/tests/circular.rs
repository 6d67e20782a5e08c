//! Payments to oneself: what the last hop holds is known exactly.

use fulmen_routing::{
    Beliefs, Builder, NoRoute, NodeKey, Overlay, OwnChannel, Plan, Policy, Query, View, plan,
};

fn key(n: u8) -> NodeKey {
    [n; 33]
}

/// A triangle of 100,000 sat a side: 1 leads from us to 2, 2 from 2 to 3, 3 from 3 back to us.
fn triangle() -> View {
    let policy = Policy {
        base_msat: 0,
        ppm: 100,
        cltv_delta: 40,
        htlc_min_msat: 1,
        htlc_max_msat: u64::MAX,
    };
    let mut builder = Builder::new();
    for (scid, a, b) in [(1, 1, 2), (2, 2, 3), (3, 1, 3)] {
        builder.channel(scid, [key(a), key(b)], 100_000, [Some(policy), Some(policy)]);
    }
    builder.build()
}

fn around(amount_msat: u64, inbound_msat: u64) -> Result<Plan, NoRoute> {
    let mut overlay = Overlay::new();
    for (scid, peer) in [(1, 2), (3, 3)] {
        overlay.own_channel(OwnChannel {
            scid,
            peer: key(peer),
            htlc_min_msat: 1,
            htlc_max_msat: 90_000_000,
            spendable_msat: 90_000_000,
        });
    }
    // From 3 to 1 is from the greater key.
    overlay.balance(3, 1, inbound_msat);
    let mut query = Query::new(key(1), key(1), amount_msat);
    (query.out_through, query.in_through) = (vec![1], vec![3]);
    query.max_parts = 1;
    plan(&triangle(), &overlay, &Beliefs::new(), 0, &query)
}

#[test]
fn money_goes_around_as_far_as_the_last_hop_holds_it() {
    let plan = around(20_000_000, 20_000_000).expect("the last hop holds just enough");
    let scids: Vec<u64> = plan.parts[0].hops.iter().map(|hop| hop.scid).collect();
    assert_eq!(scids, [1, 2, 3]);
    let certain = around(20_000_000, 90_000_000).expect("the last hop holds more than enough");
    assert!((certain.chance - plan.chance).abs() < 1e-6, "how much more makes no difference");
    assert_eq!(
        around(20_000_001, 20_000_000),
        Err(NoRoute::PayeeInbound { receivable_msat: 20_000_000, amount_msat: 20_000_001 })
    );
}
