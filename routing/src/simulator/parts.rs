//! Whether a payment can be delivered in so many HTLCs at all, with all balances known and fees left out.
//!
//! To find out exactly is NP-hard (the k-splittable flow), so there are proofs for either side:
//!
//! - *It can*, when some `n` HTLCs of the same size can flow: a flow of `n` whole quanta is `n` parts at most.
//! - *It cannot*, when the ends' channels send or take too little: `k` HTLCs through them carry at most the
//!   sum of the `k` greatest pieces, one piece being what one HTLC can take of a channel.
//! - *It cannot*, when too much would have to be narrow. Parts no wider than `t` carry at most `n t` together;
//!   the others flow through channels that hold and take more than `t`, of which none carries more than `n` of
//!   its greatest HTLCs. So all deliver at most that flow and `n t`, whatever `t`.
//! - *It cannot*, when parts would have to be wider than the network is. Let `N(t)` be the greatest number of
//!   HTLCs of size `t` that can flow at once (a maximal flow, each channel holding `room / t` of them). The
//!   `i` widest parts of a delivery are each at least as wide as the `i`-th, so that `i <= N(w_i)`; hence
//!   `w_i` is at most `t_i`, the greatest `t` with `N(t) >= i`, and all parts together at most `sum of t_i`.

use std::cmp::Reverse;

use crate::graph::view::{Slot, View};

use super::balances::Balances;
use super::oracle::{augment, flow_msat, room_of};

/// Halvings by which a width is found; what is left of the interval counts as width.
const HALVINGS: usize = 12;

/// Returns whether `parts` HTLCs can deliver `want_msat`: `Some` is a proof, `None` means that neither is
/// known.
pub fn in_parts(
    view: &View,
    balances: &Balances,
    (payer, payee): (u32, u32),
    want_msat: u64,
    parts: usize,
) -> Option<bool> {
    let network = Network { view, balances, payer, payee };
    if network.pieces(payer, 0, parts) < want_msat || network.pieces(payee, 1, parts) < want_msat {
        return Some(false);
    }
    let share = want_msat / parts.max(1) as u64;
    let narrow = |width: u64| network.beside(share / WIDTHS * width, want_msat, parts);
    if (0..WIDTHS).any(|width| narrow(width) < want_msat) {
        return Some(false);
    }
    let equal = |&count: &usize| network.carries(want_msat.div_ceil(count as u64), count);
    if (1..=parts).any(|count| equal(&count)) {
        return Some(true);
    }
    if network.widths(want_msat, parts) < want_msat { Some(false) } else { None }
}

/// So many widths between nothing and an even share are tried as narrow ones.
const WIDTHS: u64 = 16;

/// The channels with what they really hold.
struct Network<'a> {
    view: &'a View,
    balances: &'a Balances,
    payer: u32,
    payee: u32,
}

impl Network<'_> {
    fn slot(&self, link: u32) -> &Slot {
        &self.view.slots[self.view.slot_of_link(link) as usize]
    }

    /// Returns what no `parts` HTLCs together can be more than, given that some are no wider than `narrow_msat`
    /// and the others avoid channels that are not wider.
    fn beside(&self, narrow_msat: u64, want_msat: u64, parts: usize) -> u64 {
        let wide = |link: u32| {
            let most = self.slot(link).htlc_max_msat;
            let room = room_of(self.view, self.balances, link);
            if most.min(room) > narrow_msat {
                room.min(most.saturating_mul(parts as u64))
            } else {
                0
            }
        };
        let mut room: Vec<u64> = (0..self.view.slots.len() as u32).map(wide).collect();
        let flow = flow_msat(self.view, &mut room, self.payer, self.payee, want_msat);
        flow.saturating_add(narrow_msat.saturating_mul(parts as u64))
    }

    /// Returns what `parts` HTLCs can carry out of a node, or, with `inward` 1, into it.
    fn pieces(&self, node: u32, inward: u32, parts: usize) -> u64 {
        let mut pieces = Vec::new();
        for place in self.view.row(node) {
            let link = self.view.slots[place as usize].link ^ inward ^ 1;
            let most = self.slot(link).htlc_max_msat;
            let mut room = room_of(self.view, self.balances, link);
            for _ in 0..parts {
                pieces.push(room.min(most));
                room -= room.min(most);
            }
        }
        pieces.sort_unstable_by_key(|&piece| Reverse(piece));
        pieces.iter().take(parts).sum()
    }

    /// Returns whether `count` HTLCs of `size_msat` can flow at once.
    fn carries(&self, size_msat: u64, count: usize) -> bool {
        let fits = |link: u32| {
            let open = self.slot(link).htlc_max_msat >= size_msat;
            let room = room_of(self.view, self.balances, link);
            if open { room / size_msat.max(1) } else { 0 }
        };
        let mut room: Vec<u64> = (0..self.view.slots.len() as u32).map(fits).collect();
        (0..count).all(|_| {
            let path = augment(self.view, &room, self.payer, self.payee, 1);
            for &link in path.iter().flatten() {
                room[link as usize] -= 1;
                room[(link ^ 1) as usize] += 1;
            }
            path.is_some()
        })
    }

    /// Returns what no `parts` HTLCs together can be wider than; stops when that is enough.
    fn widths(&self, want_msat: u64, parts: usize) -> u64 {
        let (mut sum, mut widest) = (0u64, want_msat);
        for count in 1..=parts {
            let (mut low, mut high) = (0, widest + 1);
            for _ in 0..HALVINGS {
                let middle = low + (high - low) / 2;
                match self.carries(middle.max(1), count) {
                    true => low = middle,
                    false => high = middle,
                }
            }
            widest = high - 1;
            sum += widest;
            // Later parts are no wider than this one.
            let rest = (parts - count) as u64;
            if sum >= want_msat || sum.saturating_add(widest.saturating_mul(rest)) < want_msat {
                break;
            }
        }
        sum
    }
}
