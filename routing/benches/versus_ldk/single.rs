//! One path at a time: how long a search takes, with and without kept potentials, beside LDK's.

use fulmen_routing::simulator::payments::pairs;
use fulmen_routing::{Beliefs, Overlay, Planner, Query, View};

use crate::clock::cpu_ms;
use crate::ldk::Ldk;

/// Median CPU times in milliseconds, LDK's and ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair {
    pub ldk_ms: f64,
    pub ours_ms: f64,
    pub found: (usize, usize),
}

impl Pair {
    pub fn ratio(&self) -> f64 {
        if self.ours_ms > 0.0 { self.ldk_ms / self.ours_ms } else { 0.0 }
    }
}

/// Searches between `count` pairs, each payer once: there is nothing to keep.
pub fn cold(view: &View, ldk: &Ldk<'_>, amount_msat: u64, count: usize, seed: u64) -> Pair {
    let pairs = pairs(view, 5, 0, count, seed);
    let mut planner = Planner::new();
    measure(view, ldk, amount_msat, &pairs, &mut planner)
}

/// Searches from a few payers to many payees each, after two that are not counted.
pub fn kept(view: &View, ldk: &Ldk<'_>, amount_msat: u64, count: usize, seed: u64) -> Pair {
    const PAYEES: usize = 20;
    let (mut ldk_ms, mut ours_ms, mut found) = (Vec::new(), Vec::new(), (0, 0));
    for (payer, payee) in pairs(view, 5, 0, count.div_ceil(PAYEES), seed) {
        let others = pairs(view, 5, 0, PAYEES, seed ^ u64::from(payer) << 20);
        let same: Vec<(u32, u32)> =
            others.iter().map(|&(_, to)| (payer, to)).filter(|(a, b)| a != b).collect();
        let mut planner = Planner::new();
        (0..2).for_each(|_| {
            ours(view, &mut planner, payer, payee, amount_msat);
        });
        let (l, o, f) = times(view, ldk, amount_msat, &same, &mut planner);
        ldk_ms.extend(l);
        ours_ms.extend(o);
        found = (found.0 + f.0, found.1 + f.1);
    }
    Pair { ldk_ms: median(ldk_ms), ours_ms: median(ours_ms), found }
}

fn measure(
    view: &View,
    ldk: &Ldk<'_>,
    amount: u64,
    pairs: &[(u32, u32)],
    planner: &mut Planner,
) -> Pair {
    let (ldk_ms, ours_ms, found) = times(view, ldk, amount, pairs, planner);
    Pair { ldk_ms: median(ldk_ms), ours_ms: median(ours_ms), found }
}

type Times = (Vec<f64>, Vec<f64>, (usize, usize));

fn times(
    view: &View,
    ldk: &Ldk<'_>,
    amount: u64,
    pairs: &[(u32, u32)],
    planner: &mut Planner,
) -> Times {
    let (mut ldk_ms, mut ours_ms, mut found) = (Vec::new(), Vec::new(), (0, 0));
    for &(payer, payee) in pairs {
        let start = cpu_ms();
        let route = ldk.single(payer, payee, amount);
        let middle = cpu_ms();
        let plan = ours(view, planner, payer, payee, amount);
        ours_ms.push(cpu_ms() - middle);
        ldk_ms.push(middle - start);
        found = (found.0 + usize::from(route.is_some()), found.1 + usize::from(plan));
    }
    (ldk_ms, ours_ms, found)
}

fn ours(view: &View, planner: &mut Planner, payer: u32, payee: u32, amount_msat: u64) -> bool {
    let query =
        Query { max_parts: 1, ..Query::new(*view.key(payer), *view.key(payee), amount_msat) };
    planner.plan(view, &Overlay::new(), &Beliefs::new(), 0, &query).is_ok()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
