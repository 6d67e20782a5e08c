//! One set of payments through both routers, and its figures.

use fulmen_routing::View;
use fulmen_routing::simulator::balances::Balances;
use fulmen_routing::simulator::ours::Ours;
use fulmen_routing::simulator::{Outcome, Payment, pay};

use crate::clock::Timed;
use crate::ldk::{Graph, Ldk};

/// What one router did with the set.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub outcomes: Vec<Outcome>,
    pub cpu_ms: f64,
}

/// The figures of a set; shares in percent, fees in ppm of the amount.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub delivered_pct: f64,
    pub in_3_rounds_pct: f64,
    pub first_round_pct: f64,
    pub rounds: f64,
    pub parts: f64,
    pub tried: f64,
    pub cpu_ms: f64,
}

/// Both routers' figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    pub amount_sat: u64,
    /// Pairs that were drawn to find these feasible payments.
    pub drawn: usize,
    pub payments: usize,
    pub ours: Figures,
    pub ldk: Figures,
    /// Mean fees where both delivered, ppm.
    pub fee_ppm: (f64, f64),
    pub fee_ratio: f64,
    pub cpu_ratio: f64,
}

/// Runs a set of feasible payments.
pub fn run(view: &View, graph: Option<&Graph>, balances: &Balances, payments: &[Payment]) -> Row {
    let mut ours = Timed::new(Ours::new(view));
    let mut ours_tally = Tally::default();
    let mut ldk = graph.map(|graph| Timed::new(Ldk::new(view, graph)));
    let mut ldk_tally = Tally::default();
    for payment in payments {
        // Interleaved, so that noise of the machine meets both.
        ours_tally.outcomes.push(pay(view, balances, payment, &mut ours));
        if let Some(ldk) = &mut ldk {
            ldk_tally.outcomes.push(pay(view, balances, payment, ldk));
        }
    }
    ours_tally.cpu_ms = ours.spent_ms;
    ldk_tally.cpu_ms = ldk.map_or(0.0, |ldk| ldk.spent_ms);
    let amount_msat = payments.first().map_or(1, |p| p.amount_msat);
    let both = || {
        ours_tally
            .outcomes
            .iter()
            .zip(&ldk_tally.outcomes)
            .filter(|(o, l)| o.delivered && l.delivered)
    };
    let alone = || ours_tally.outcomes.iter().filter(|o| o.delivered);
    let ppm = |fees: f64, count: usize| fees / count.max(1) as f64 / amount_msat as f64 * 1e6;
    let fee_ppm = if graph.is_some() {
        let count = both().count();
        let sum =
            both().fold((0.0, 0.0), |s, (o, l)| (s.0 + o.fee_msat as f64, s.1 + l.fee_msat as f64));
        (ppm(sum.0, count), ppm(sum.1, count))
    } else {
        (ppm(alone().map(|o| o.fee_msat as f64).sum(), alone().count()), 0.0)
    };
    let (ours, ldk) = (figures(&ours_tally), figures(&ldk_tally));
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    Row {
        amount_sat: amount_msat / 1_000,
        drawn: payments.len(),
        payments: payments.len(),
        fee_ppm,
        fee_ratio: ratio(fee_ppm.0, fee_ppm.1),
        cpu_ratio: ratio(ldk.cpu_ms, ours.cpu_ms),
        ours,
        ldk,
    }
}

fn share(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn figures(tally: &Tally) -> Figures {
    let outcomes = &tally.outcomes;
    let delivered: Vec<&Outcome> = outcomes.iter().filter(|o| o.delivered).collect();
    let within = |rounds: u32| delivered.iter().filter(|o| o.rounds <= rounds).count();
    let mean = |value: &dyn Fn(&Outcome) -> f64| {
        delivered.iter().map(|o| value(o)).sum::<f64>() / delivered.len().max(1) as f64
    };
    Figures {
        delivered_pct: share(delivered.len(), outcomes.len()),
        in_3_rounds_pct: share(within(3), outcomes.len()),
        first_round_pct: share(within(1), outcomes.len()),
        rounds: mean(&|o| f64::from(o.rounds)),
        parts: mean(&|o| o.parts as f64),
        tried: mean(&|o| o.tried as f64),
        cpu_ms: tally.cpu_ms / outcomes.len().max(1) as f64,
    }
}
