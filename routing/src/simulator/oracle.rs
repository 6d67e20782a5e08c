//! What is feasible at all: maximal flow over the hidden balances.

use std::collections::VecDeque;

use crate::graph::view::View;

use super::balances::Balances;

/// Returns whether all of `amount_msat` can flow from payer to payee.
pub fn feasible(
    view: &View,
    balances: &Balances,
    payer: u32,
    payee: u32,
    amount_msat: u64,
) -> bool {
    // What cannot leave the one or enter the other is seen without a search.
    let sum = |node: u32, inward: u32| -> u64 {
        let links = view.row(node).map(|place| view.slots[place as usize].link ^ inward ^ 1);
        links.map(|link| room_of(view, balances, link)).sum()
    };
    sum(payer, 0) >= amount_msat
        && sum(payee, 1) >= amount_msat
        && deliverable_msat(view, balances, payer, payee, amount_msat) >= amount_msat
}

/// Returns what an enabled direction holds; 0 for a disabled one.
pub(super) fn room_of(view: &View, balances: &Balances, link: u32) -> u64 {
    let enabled = view.slots[view.slot_of_link(link) as usize].htlc_max_msat > 0;
    if enabled { balances.of_link(view, link) } else { 0 }
}

/// Returns how much of `want_msat` can flow from payer to payee over enabled directions, each with its
/// hidden balance as capacity, whatever the fees.
pub fn deliverable_msat(
    view: &View,
    balances: &Balances,
    payer: u32,
    payee: u32,
    want_msat: u64,
) -> u64 {
    let links = 0..view.slots.len() as u32;
    let mut room: Vec<u64> = links.map(|link| room_of(view, balances, link)).collect();
    flow_msat(view, &mut room, payer, payee, want_msat)
}

/// Sends up to `want_msat` over links with `room`, which is left as it is then; returns how much it was.
///
/// Augmenting paths of most hops' least room first (capacity scaling over breadth-first search).
pub(super) fn flow_msat(
    view: &View,
    room: &mut [u64],
    payer: u32,
    payee: u32,
    want_msat: u64,
) -> u64 {
    let mut flow = 0;
    let mut step = want_msat.max(1);
    while flow < want_msat && step > 0 {
        match augment(view, room, payer, payee, step) {
            None => step /= 4,
            Some(links) => {
                let least = links.iter().map(|&link| room[link as usize]).min().unwrap_or(0);
                let pushed = least.min(want_msat - flow);
                for link in links {
                    room[link as usize] -= pushed;
                    room[(link ^ 1) as usize] += pushed;
                }
                flow += pushed;
            }
        }
        if step < 1_000 && want_msat > 1_000_000 {
            break;
        }
    }
    flow
}

/// Returns the links of a shortest path on which every link has room for `step`.
pub(super) fn augment(
    view: &View,
    room: &[u64],
    payer: u32,
    payee: u32,
    step: u64,
) -> Option<Vec<u32>> {
    let mut by: Vec<u32> = vec![u32::MAX; view.node_count()];
    let mut queue = VecDeque::from([payer]);
    while let Some(node) = queue.pop_front() {
        if node == payee {
            break;
        }
        for place in view.row(node) {
            let slot = &view.slots[place as usize];
            let out = slot.link ^ 1;
            let unseen = by[slot.source as usize] == u32::MAX && slot.source != payer;
            if unseen && room[out as usize] >= step {
                by[slot.source as usize] = out;
                queue.push_back(slot.source);
            }
        }
    }
    let mut links = Vec::new();
    let mut node = payee;
    while node != payer {
        let link = by[node as usize];
        if link == u32::MAX {
            return None;
        }
        links.push(link);
        node = view.slots[view.slot_of_link(link) as usize].source;
    }
    Some(links)
}
