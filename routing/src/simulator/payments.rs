//! Draws the payments of a set.

use crate::fixture::dice::Dice;
use crate::graph::view::View;

use super::Payment;

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
    let capacity = |node: u32| view.channels_of(node).map(|c| u64::from(c.capacity_sat) * 1_000);
    let nodes: Vec<u32> = (0..view.node_count() as u32)
        .filter(|&node| view.degree(node) >= degree)
        .filter(|&node| capacity(node).sum::<u64>() >= capacity_msat)
        .collect();
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count && nodes.len() >= 2 {
        let (payer, payee) = (dice.pick(&nodes), dice.pick(&nodes));
        if payer != payee {
            pairs.push((payer, payee));
        }
    }
    pairs
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
