//! Any bytes as graph, overlay, beliefs and query: no panic, and every plan that leaves is sound.
#![no_main]

use fulmen_routing::check::check;
use fulmen_routing::{
    Beliefs, Builder, HintChannel, NoRoute, Overlay, OwnChannel, Planner, Policy, Query,
};
use libfuzzer_sys::fuzz_target;

/// Reads numbers off the input; zeroes when it is used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number of any size: the first byte says how many follow.
    fn number(&mut self) -> u64 {
        let width = self.byte() % 9;
        (0..width).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn key(&mut self) -> [u8; 33] {
        [self.byte() % 9; 33]
    }

    fn policy(&mut self) -> Policy {
        Policy {
            base_msat: self.number() as u32,
            ppm: self.number() as u32,
            cltv_delta: self.number() as u16,
            htlc_min_msat: self.number(),
            htlc_max_msat: self.number(),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let mut builder = Builder::new();
    for _ in 0..bytes.byte() % 40 {
        let (scid, a, b, capacity) = (bytes.number(), bytes.key(), bytes.key(), bytes.number());
        let policies = [
            (bytes.byte() % 4 > 0).then(|| bytes.policy()),
            (bytes.byte() % 4 > 0).then(|| bytes.policy()),
        ];
        builder.channel(scid, [a, b], capacity, policies);
    }
    let view = builder.build();
    let mut overlay = Overlay::new();
    for _ in 0..bytes.byte() % 5 {
        overlay.own_channel(OwnChannel {
            scid: bytes.number(),
            peer: bytes.key(),
            htlc_min_msat: bytes.number(),
            htlc_max_msat: bytes.number(),
            spendable_msat: bytes.number(),
        });
    }
    for _ in 0..bytes.byte() % 4 {
        let (scid, from, to) = (bytes.number(), bytes.key(), bytes.key());
        overlay.hint(HintChannel { scid, from, to, policy: bytes.policy() });
    }
    for _ in 0..bytes.byte() % 4 {
        overlay.reserve(bytes.number(), bytes.byte(), bytes.number());
    }
    let mut beliefs = Beliefs::new();
    for _ in 0..bytes.byte() % 16 {
        let (scid, direction, amount, at) =
            (bytes.number(), bytes.byte(), bytes.number(), bytes.number());
        match bytes.byte() % 3 {
            0 => beliefs.passed(scid, direction, amount, at),
            1 => beliefs.failed(scid, direction, amount, at),
            _ => beliefs.settled(scid, direction, amount),
        }
    }
    let mut planner = Planner::new();
    for _ in 0..=bytes.byte() % 3 {
        let mut query = Query::new(bytes.key(), bytes.key(), bytes.number());
        query.max_fee_msat = bytes.number();
        query.max_cltv = bytes.number() as u32;
        query.final_cltv = bytes.number() as u32;
        query.max_parts = usize::from(bytes.byte());
        query.max_hops = bytes.byte();
        query.round = u32::from(bytes.byte());
        query.total_msat = bytes.number();
        query.max_visits = 20_000;
        if bytes.byte() % 4 == 0 {
            query.avoid_nodes.push(bytes.key());
            query.avoid_channels.push(bytes.number());
        }
        if bytes.byte() % 8 == 0 {
            query.last_hop = Some(bytes.key());
        }
        match planner.plan(&view, &overlay, &beliefs, bytes.number(), &query) {
            Ok(plan) => assert_eq!(check(&view, &overlay, &query, &plan), Ok(())),
            Err(NoRoute::Unsound(fault)) => panic!("unsound: {fault}"),
            Err(_) => {}
        }
    }
});
