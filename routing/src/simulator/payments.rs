//! Draws the payments of a set.

use crate::fixture::dice::Dice;
use crate::graph::view::View;

use super::balances::Balances;
use super::{Payment, oracle};

/// Draws for one feasible pair, at most.
const MOST_DRAWS: usize = 1_000;

/// Draws pairs of different nodes that each have at least `degree` channels and, over all of them, at
/// least `capacity_msat`.
pub fn pairs(
    view: &View,
    degree: usize,
    capacity_msat: u64,
    count: usize,
    seed: u64,
) -> Vec<(u32, u32)> {
    let mut dice = Dice::new(seed);
    let nodes = ends(view, degree, capacity_msat);
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count && nodes.len() >= 2 {
        let (payer, payee) = (dice.pick(&nodes), dice.pick(&nodes));
        if payer != payee {
            pairs.push((payer, payee));
        }
    }
    pairs
}

/// Pairs between which an amount can flow.
#[derive(Clone, Debug, Default)]
pub struct Feasible {
    /// Payer and payee.
    pub pairs: Vec<(u32, u32)>,
    /// So many pairs were drawn, feasible or not.
    pub drawn: usize,
}

/// Draws pairs as [`pairs`] does, and goes on until `count` of them are feasible for `amount_msat`; fewer
/// where hardly any pair is.
pub fn feasible(
    view: &View,
    balances: &Balances,
    (degree, capacity_msat): (usize, u64),
    amount_msat: u64,
    count: usize,
    seed: u64,
) -> Feasible {
    let mut dice = Dice::new(seed);
    let nodes = ends(view, degree, capacity_msat);
    let mut found = Feasible::default();
    if nodes.len() < 2 {
        return found;
    }
    let most = count.saturating_mul(MOST_DRAWS);
    while found.pairs.len() < count && found.drawn < most {
        let (payer, payee) = (dice.pick(&nodes), dice.pick(&nodes));
        if payer == payee {
            continue;
        }
        found.drawn += 1;
        if oracle::feasible(view, balances, payer, payee, amount_msat) {
            found.pairs.push((payer, payee));
        }
    }
    found
}

fn ends(view: &View, degree: usize, capacity_msat: u64) -> Vec<u32> {
    let capacity = |node: u32| view.channels_of(node).map(|c| u64::from(c.capacity_sat) * 1_000);
    (0..view.node_count() as u32)
        .filter(|&node| view.degree(node) >= degree)
        .filter(|&node| capacity(node).sum::<u64>() >= capacity_msat)
        .collect()
}

/// Makes payments of one amount and fee budget between pairs.
pub fn payments(
    pairs: &[(u32, u32)],
    amount_msat: u64,
    max_fee_msat: u64,
    max_parts: usize,
) -> Vec<Payment> {
    let payment = |&(payer, payee)| Payment { payer, payee, amount_msat, max_fee_msat, max_parts };
    pairs.iter().map(payment).collect()
}
