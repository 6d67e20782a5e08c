//! LDK's router as an oracle for single paths: where it finds one, so do we, and none that costs more.

#[allow(dead_code)]
#[path = "../benches/versus_ldk/ldk.rs"]
mod ldk;

use std::sync::LazyLock;

use fulmen_routing::check::check;
use fulmen_routing::{
    Beliefs, Builder, Hop, NodeKey, Overlay, Planner, Policy, Query, View, price,
};
use lightning::bitcoin::secp256k1::{Secp256k1, SecretKey};
use proptest::prelude::*;

const NODES: usize = 9;

/// Keys that are points of the curve, which LDK asks for.
static KEYS: LazyLock<Vec<NodeKey>> = LazyLock::new(|| {
    let key = |n: usize| {
        let secret = SecretKey::from_slice(&[n as u8 + 1; 32]).expect("not zero");
        secret.public_key(&Secp256k1::new()).serialize()
    };
    (0..NODES).map(key).collect()
});

fn policy() -> impl Strategy<Value = Policy> {
    let base = prop_oneof![2 => Just(0u32), 2 => 0..2_000u32, 1 => 0..60_000u32];
    let ppm = prop_oneof![3 => 0..1_000u32, 1 => 0..9_000u32];
    let least = prop_oneof![3 => 0..2_000u64, 1 => 0..50_000_000u64];
    let most = prop_oneof![3 => Just(u64::MAX), 1 => 1_000_000..3_000_000_000u64];
    let cltv = prop_oneof![5 => 10..150u16, 1 => 0..900u16];
    (base, ppm, cltv, least, most).prop_map(|(base_msat, ppm, cltv_delta, least, most)| Policy {
        base_msat,
        ppm,
        cltv_delta,
        htlc_min_msat: least.min(most),
        htlc_max_msat: most,
    })
}

fn view() -> impl Strategy<Value = View> {
    let policies =
        (proptest::option::weighted(0.9, policy()), proptest::option::weighted(0.9, policy()));
    let channel = (0..NODES, 0..NODES, 20_000..20_000_000u64, policies);
    proptest::collection::vec(channel, 4..28).prop_map(|channels| {
        let mut builder = Builder::new();
        for (place, (a, b, capacity_sat, (there, back))) in channels.into_iter().enumerate() {
            builder.channel(place as u64 + 1, [KEYS[a], KEYS[b]], capacity_sat, [there, back]);
        }
        builder.build()
    })
}

/// The least HTLC that the channel of a hop takes.
fn least_of(view: &View, hop: &Hop) -> u64 {
    let policies = view.channel(hop.scid).expect("LDK knows what we know").policies;
    policies[usize::from(hop.direction)].expect("it is enabled").htlc_min_msat
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_ldk_finds_we_find_at_no_higher_cost(
        view in view(),
        payer in 0..NODES,
        payee in 0..NODES,
        amount_msat in prop_oneof![1..100_000u64, 100_000..100_000_000u64, 100_000_000..2_000_000_000u64],
    ) {
        let (Some(from), Some(to)) = (view.node(&KEYS[payer]), view.node(&KEYS[payee])) else {
            return Ok(());
        };
        prop_assume!(payer != payee);
        let graph = ldk::graph(&view);
        let Some(theirs) = ldk::Ldk::new(&view, &graph).single_part(from, to, amount_msat) else {
            return Ok(());
        };
        // Where the fees of later hops lift a small amount over a minimum, the cheapest way to a node may be
        // the one that fails the minimum before it: our search keeps one way per node and so misses that.
        prop_assume!(!theirs.hops.iter().any(|hop| least_of(&view, hop) > amount_msat));
        let query = Query { max_parts: 1, ..Query::new(KEYS[payer], KEYS[payee], amount_msat) };
        let (overlay, beliefs) = (Overlay::new(), Beliefs::new());
        let ours = Planner::new().plan(&view, &overlay, &beliefs, 0, &query);
        prop_assert!(ours.is_ok(), "{ours:?}, LDK: {theirs:?}");
        let ours = ours.expect("just seen");
        prop_assert_eq!(check(&view, &overlay, &query, &ours), Ok(()));
        let cost = |part| price(&view, &overlay, &beliefs, 0, &query, part);
        let (our_cost, their_cost) = (cost(&ours.parts[0]), cost(&theirs));
        let Some(their_cost) = their_cost else { return Ok(()) };
        let our_cost = our_cost.expect("our own plan");
        prop_assert!(
            our_cost <= their_cost * 1.001 + 1.0,
            "{our_cost} > {their_cost}: {:?} and {theirs:?}", ours.parts[0]
        );
    }
}
