//! What no router can better: the cheapest delivery with all balances known.
//!
//! For judging a router that does not know the balances. [`cheapest`] is a flow of least cost over the hidden balances by successive shortest paths, with node potentials so that arcs taken
//! back keep their costs positive. Fees charged on fees and base fees are left out of its bound, so no
//! delivery can cost less; the cost of that flow cut into parts is reported beside it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::amount::fee_msat;
use crate::graph::view::View;

use super::balances::Balances;
use super::oracle::room_of;

/// Costs are whole numbers of these per ppm.
const FINE: i64 = 1_000;
const FAR: i64 = i64::MAX / 4;

/// Fees of the cheapest delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cheapest {
    /// No delivery costs less, msat.
    pub bound_msat: u64,
    /// One costs this, msat.
    pub found_msat: u64,
    /// In so many parts.
    pub parts: usize,
}

/// Returns the least fees for which `want_msat` can be delivered, or `None` where it cannot.
pub fn cheapest(
    view: &View,
    balances: &Balances,
    payer: u32,
    payee: u32,
    want_msat: u64,
) -> Option<Cheapest> {
    let plain = Flow::least(view, balances, (payer, payee), want_msat, None)?;
    let bound_msat = plain.bound_msat();
    let (mut found_msat, mut parts) = plain.cut();
    // Base fees are no part of a linear cost: spread over parts of different sizes they come near it.
    for share in [4, 16, 64] {
        let size = Some(want_msat / share);
        let Some(flow) = Flow::least(view, balances, (payer, payee), want_msat, size) else {
            break;
        };
        let (fee, count) = flow.cut();
        if fee < found_msat {
            (found_msat, parts) = (fee, count);
        }
    }
    Some(Cheapest { bound_msat, found_msat, parts })
}

/// A flow over the hidden balances.
struct Flow<'a> {
    view: &'a View,
    payer: u32,
    payee: u32,
    /// By link, msat.
    room: Vec<u64>,
    flow: Vec<u64>,
    cost: Vec<i64>,
}

impl<'a> Flow<'a> {
    fn least(
        view: &'a View,
        balances: &Balances,
        (payer, payee): (u32, u32),
        want_msat: u64,
        part_msat: Option<u64>,
    ) -> Option<Self> {
        let links = view.slots.len();
        let slot = |link: u32| &view.slots[view.slot_of_link(link) as usize];
        let room = (0..links as u32).map(|link| room_of(view, balances, link));
        let cost = (0..links as u32).map(|link| {
            let slot = slot(link);
            if slot.source == payer {
                return 0;
            }
            let base =
                |size: u64| u64::from(slot.base_msat) * 1_000_000 * FINE as u64 / size.max(1);
            i64::from(slot.ppm) * FINE + part_msat.map_or(0, base) as i64
        });
        let (room, cost) = (room.collect(), cost.collect());
        let mut flow = Self { view, payer, payee, room, flow: vec![0; links], cost };
        let mut potentials = vec![0i64; view.node_count()];
        let mut rest = want_msat;
        while rest > 0 {
            let path = flow.shortest(&mut potentials)?;
            let room = |&link: &(u32, bool)| flow.free(link);
            let pushed = path.iter().map(room).min().unwrap_or(0).min(rest);
            for (link, back) in path {
                let carried = &mut flow.flow[link as usize];
                *carried = if back { *carried - pushed } else { *carried + pushed };
            }
            rest -= pushed;
        }
        Some(flow)
    }

    /// Returns how much more an arc can take.
    fn free(&self, (link, back): (u32, bool)) -> u64 {
        let link = link as usize;
        if back { self.flow[link] } else { self.room[link] - self.flow[link] }
    }

    /// Returns the cheapest path of the residual graph, and brings the potentials up to date.
    fn shortest(&self, potentials: &mut [i64]) -> Option<Vec<(u32, bool)>> {
        let nodes = self.view.node_count();
        let mut by = vec![(u32::MAX, u32::MAX, false); nodes];
        let mut costs = vec![FAR; nodes];
        let mut heap = BinaryHeap::from([(Reverse(0i64), self.payer)]);
        costs[self.payer as usize] = 0;
        while let Some((Reverse(cost), node)) = heap.pop() {
            if cost > costs[node as usize] {
                continue;
            }
            if node == self.payee {
                break;
            }
            for place in self.view.row(node) {
                let slot = &self.view.slots[place as usize];
                for arc in [(slot.link ^ 1, false), (slot.link, true)] {
                    if self.free(arc) == 0 {
                        continue;
                    }
                    let price = self.cost[arc.0 as usize] * if arc.1 { -1 } else { 1 };
                    let to = slot.source as usize;
                    let through = cost + price + potentials[node as usize] - potentials[to];
                    if through < costs[to] {
                        costs[to] = through;
                        by[to] = (node, arc.0, arc.1);
                        heap.push((Reverse(through), slot.source));
                    }
                }
            }
        }
        let end = costs[self.payee as usize];
        if end == FAR {
            return None;
        }
        potentials.iter_mut().zip(&costs).for_each(|(p, &cost)| *p += cost.min(end));
        let mut path = Vec::new();
        let mut node = self.payee;
        while node != self.payer {
            let (before, link, back) = by[node as usize];
            path.push((link, back));
            node = before;
        }
        Some(path)
    }

    fn slot(&self, link: u32) -> &crate::graph::view::Slot {
        &self.view.slots[self.view.slot_of_link(link) as usize]
    }

    /// Returns the fees without base fees and fees on fees.
    fn bound_msat(&self) -> u64 {
        let fee = |(link, &carried): (usize, &u64)| {
            let slot = self.slot(link as u32);
            if slot.source == self.payer { 0 } else { fee_msat(carried, 0, slot.ppm).unwrap_or(0) }
        };
        self.flow.iter().enumerate().map(fee).sum()
    }

    /// Cuts the flow into parts, widest first; returns what they cost, and their number.
    fn cut(mut self) -> (u64, usize) {
        let (mut fees, mut parts) = (0, 0);
        while let Some(path) = self.walk() {
            let narrow = path.iter().map(|&link| self.flow[link as usize]).min().unwrap_or(0);
            let largest = path.iter().map(|&link| self.slot(link).htlc_max_msat).min().unwrap_or(0);
            let size = narrow.min(largest).max(1);
            let mut amount = size;
            for (place, &link) in path.iter().enumerate().rev() {
                let slot = self.slot(link);
                if place > 0 {
                    amount += fee_msat(amount, slot.base_msat, slot.ppm).unwrap_or(0);
                }
                self.flow[link as usize] -= size;
            }
            fees += amount - size;
            parts += 1;
        }
        (fees, parts)
    }

    /// Walks along what carries most, taking circles, which carry nothing to anyone, out of the flow.
    fn walk(&mut self) -> Option<Vec<u32>> {
        let (mut path, mut met): (Vec<u32>, Vec<u32>) = (Vec::new(), vec![self.payer]);
        let mut node = self.payer;
        while node != self.payee {
            let out = self.view.row(node).map(|place| self.view.slots[place as usize].link ^ 1);
            let link = out.max_by_key(|&link| self.flow[link as usize])?;
            if self.flow[link as usize] == 0 {
                return None;
            }
            path.push(link);
            node = self.slot(link ^ 1).source;
            if let Some(place) = met.iter().position(|&before| before == node) {
                let circle = path.split_off(place);
                let least = circle.iter().map(|&link| self.flow[link as usize]).min()?;
                circle.iter().for_each(|&link| self.flow[link as usize] -= least);
                met.truncate(place);
            }
            met.push(node);
        }
        Some(path)
    }
}
