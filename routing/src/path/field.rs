//! The field of a query: the graph with everything laid over it, as the searches see it.
//!
//! Edges are numbered: those below `view.slots.len()` are slots of the view, those above are extra edges
//! (the payer's channels, hints). The payer is a node of its own, from which only its own channels lead;
//! its edges in the graph are not followed. So a circular payment needs no special case: it ends at the
//! payer's number in the graph and begins at the other.

use crate::graph::NodeKey;
use crate::graph::view::{NONE, View};
use crate::liquidity::Range;
use crate::liquidity::decay::{Case, Cases};
use crate::liquidity::probability::{HOPELESS, Prior, nats_of};

use super::terms::{Edge, Terms};

/// The node must not be entered.
pub(crate) const CLOSED: u8 = 1;
/// Extra edges lead to the node or out of it.
pub(crate) const EXTRAS: u8 = 2;

/// A flow in the making leaves the node or arrives there.
pub(crate) const CARRIES: u8 = 4;

/// What is known of a link in this query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub cases: Cases,
    pub capacity_msat: u64,
    /// In flight, or given to parts of the plan in the making.
    pub used_msat: u64,
}

impl Known {
    /// Returns `-ln` of the chance that `amount_msat` more goes through, given that what is used does.
    #[inline]
    pub(crate) fn nats(&self, prior: &Prior, amount_msat: u64) -> f32 {
        let total = self.used_msat.saturating_add(amount_msat);
        if let Some(range) = self.cases.only() {
            let least = range.least_msat.max(self.used_msat);
            if total <= least {
                return 0.0;
            }
            return nats_of(prior.chance(total, least, range.most_msat, self.capacity_msat));
        }
        let chance = |msat: u64| -> f32 {
            let case = |case: &Case| {
                let Range { least_msat, most_msat } = case.range;
                case.weight * prior.chance(msat, least_msat, most_msat, self.capacity_msat)
            };
            self.cases.iter().map(case).sum()
        };
        let used = if self.used_msat > 0 { chance(self.used_msat) } else { 1.0 };
        if used > 0.0 { nats_of(chance(total) / used) } else { HOPELESS }
    }

    /// Returns how much more may be sent before it is known to fail.
    #[inline]
    pub(crate) fn bound(&self) -> u64 {
        self.cases.likely(0.0).most_msat.saturating_sub(self.used_msat)
    }

    /// Returns how much more may be sent without going to the very end of what is possible, nor beyond a
    /// bound that holds in nearly all cases.
    #[inline]
    pub(crate) fn room(&self, caution: f32) -> u64 {
        let Range { least_msat, most_msat } = self.cases.likely(caution);
        let unsure = most_msat.saturating_sub(least_msat.max(self.used_msat));
        let kept = (unsure as f32 * caution) as u64;
        most_msat.saturating_sub(self.used_msat).saturating_sub(kept)
    }

    /// Returns whether anything is known to have passed.
    #[inline]
    pub(crate) fn has_passed(&self) -> bool {
        self.cases.iter().any(|case| case.range.least_msat > 0)
    }
}

/// Memory that outlives a query, so that none is allocated for the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub flags: Vec<u8>,
    pub known_at: Vec<u32>,
    pub known: Vec<Known>,
    /// The link of each entry of `known`.
    pub links: Vec<u32>,
    pub extra: Vec<Edge>,
    /// Extra edges by the node they lead to.
    pub extra_at: Vec<(u32, u32)>,
    /// Extra edges by the node they lead out of.
    pub extra_from: Vec<(u32, u32)>,
}

/// Where an edge is found from one of its ends; its number costs a look elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arc {
    place: u32,
    /// The edge is the twin of the one at the place.
    flipped: bool,
}

impl Arc {
    #[inline]
    pub(crate) fn edge(self, field: &Field<'_>) -> u32 {
        if self.flipped { field.view.twin(self.place) } else { self.place }
    }
}

/// The graph as this query sees it.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub view: &'a View,
    pub prior: &'a Prior,
    pub scratch: Scratch,
    /// Keys of nodes that the graph does not have, numbered after its nodes.
    pub keys: Vec<NodeKey>,
    /// The node from which only the payer's channels lead.
    pub payer: u32,
    /// The payer's number in the graph, or `NONE`.
    pub payer_in_view: u32,
    pub payee: u32,
    pub nodes: usize,
    /// The only edges that may end at the payee, ordered, when restricted.
    pub last_edges: Option<Vec<u32>>,
    /// Share of what is unsure of a channel that plans keep away from.
    pub caution: f32,
    /// See [`Query::htlc_max_in_all`](crate::Query::htlc_max_in_all).
    pub htlc_max_in_all: bool,
}

impl Field<'_> {
    /// Returns one more than the greatest edge number.
    pub(crate) fn edges(&self) -> usize {
        self.view.slots.len() + self.scratch.extra.len()
    }

    /// Returns an edge by its number.
    pub(crate) fn edge(&self, edge: u32) -> Edge {
        let slots = self.view.slots.len();
        if edge as usize >= slots {
            return self.scratch.extra[edge as usize - slots];
        }
        let slot = &self.view.slots[edge as usize];
        let twin = self.view.twin(edge);
        Edge {
            source: slot.source,
            target: self.view.slots[twin as usize].source,
            base_msat: slot.base_msat,
            ppm: slot.ppm,
            cltv_delta: u32::from(slot.cltv_delta),
            htlc_min_msat: self.view.htlc_min_msat(slot),
            htlc_max_msat: slot.htlc_max_msat,
            capacity_msat: self.view.capacity_msat(slot.link >> 1),
            link: slot.link,
            scid: self.view.scids[(slot.link >> 1) as usize],
        }
    }

    /// Returns the least HTLC that an edge takes, msat.
    #[inline]
    pub(crate) fn least(&self, terms: &Terms) -> u64 {
        let known = terms.capacity_msat.is_some() || terms.htlc_min_msat < u64::from(u32::MAX);
        let slot = || &self.view.slots[self.view.slot_of_link(terms.link) as usize];
        if known { terms.htlc_min_msat } else { self.view.htlc_min_msat(slot()) }
    }

    /// Returns an edge's capacity, looked up only when it is needed.
    #[inline]
    pub(crate) fn capacity(&self, terms: &Terms) -> u64 {
        terms.capacity_msat.unwrap_or_else(|| self.view.capacity_msat(terms.link >> 1))
    }

    /// Returns what an edge asks.
    #[inline]
    pub(crate) fn terms(&self, edge: u32) -> Terms {
        match self.view.slots.get(edge as usize) {
            Some(slot) => Terms::of_slot(slot),
            None => Terms::of_edge(&self.scratch.extra[edge as usize - self.view.slots.len()]),
        }
    }

    /// Returns the numbers of the extra edges that lead to a node.
    pub(crate) fn extras_to(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.extras(&self.scratch.extra_at, node)
    }

    fn extras<'s>(&self, by: &'s [(u32, u32)], node: u32) -> impl Iterator<Item = u32> + 's {
        let by = if self.scratch.flags[node as usize] & EXTRAS != 0 { by } else { &[] };
        let from = by.partition_point(|&(end, _)| end < node);
        by[from..].iter().take_while(move |&&(end, _)| end == node).map(|&(_, edge)| edge)
    }

    /// Visits every edge that leads to a node and may be used, with the node where it begins.
    #[inline]
    pub(crate) fn each_into(&self, node: u32, mut tell: impl FnMut(u32, Arc)) {
        if (node as usize) < self.view.node_count() {
            for place in self.view.row(node) {
                let source = self.view.slots[place as usize].source;
                if source != self.payer_in_view && self.may_enter(node, place) {
                    tell(source, Arc { place, flipped: false });
                }
            }
        }
        for place in self.extras_to(node).filter(|&place| self.may_enter(node, place)) {
            tell(self.edge(place).source, Arc { place, flipped: false });
        }
    }

    /// Visits every edge that leads out of a node, with the node where it ends.
    #[inline]
    pub(crate) fn each_out_of(&self, node: u32, mut tell: impl FnMut(u32, Arc)) {
        if (node as usize) < self.view.node_count() && node != self.payer_in_view {
            for place in self.view.row(node) {
                let target = self.view.slots[place as usize].source;
                tell(target, Arc { place, flipped: true });
            }
        }
        for place in self.extras(&self.scratch.extra_from, node) {
            tell(self.edge(place).target, Arc { place, flipped: false });
        }
    }

    /// Returns how many edges lead to a node, or out of it, about.
    pub(crate) fn degree(&self, node: u32) -> usize {
        self.view.degree_of(node) + 1
    }

    /// Returns what is known of a link, if anything.
    #[inline]
    pub(crate) fn known(&self, link: u32) -> Option<&Known> {
        match self.scratch.known_at[link as usize] {
            0 => None,
            place => Some(&self.scratch.known[place as usize - 1]),
        }
    }

    /// Returns `-ln` of the chance that the link carries `amount_msat` more.
    #[inline]
    pub(crate) fn nats(&self, link: u32, capacity_msat: u64, amount_msat: u64) -> f32 {
        match self.known(link) {
            None => self.prior.nats_unknown(amount_msat as f32 / capacity_msat as f32),
            Some(known) => known.nats(self.prior, amount_msat),
        }
    }

    /// Returns how much more an edge can carry at most, in any number of HTLCs.
    pub(crate) fn bound(&self, edge: &Edge) -> u64 {
        self.known(edge.link).map_or(edge.capacity_msat, Known::bound)
    }

    /// Returns how much more a plan should put on a link: less than the bound, by the field's caution.
    #[inline]
    pub(crate) fn room(&self, link: u32, capacity_msat: u64) -> u64 {
        match self.known(link) {
            Some(known) => known.room(self.caution),
            None => capacity_msat - (capacity_msat as f32 * self.caution) as u64,
        }
    }

    /// Returns the greatest HTLC that a link takes now, beside what is on it.
    #[inline]
    pub(crate) fn htlc_max(&self, link: u32, htlc_max_msat: u64) -> u64 {
        match self.known(link) {
            Some(known) if self.htlc_max_in_all => htlc_max_msat.saturating_sub(known.used_msat),
            Some(_) | None => htlc_max_msat,
        }
    }

    /// Returns whether an edge may be the last one.
    #[inline]
    pub(crate) fn may_end(&self, edge: u32) -> bool {
        self.last_edges.as_ref().is_none_or(|edges| edges.binary_search(&edge).is_ok())
    }

    /// Returns whether an edge may lead to a node, as far as the query restricts the last one.
    #[inline]
    pub(crate) fn may_enter(&self, node: u32, edge: u32) -> bool {
        node != self.payee || self.may_end(edge)
    }

    /// Returns whether a node must not be entered.
    #[inline]
    pub(crate) fn closed(&self, node: u32) -> bool {
        self.scratch.flags[node as usize] & CLOSED != 0
    }

    /// Returns what is known of a link, beginning to keep it where nothing is.
    pub(crate) fn know(&mut self, link: u32, capacity_msat: u64) -> &mut Known {
        let scratch = &mut self.scratch;
        if scratch.known_at[link as usize] == 0 {
            scratch.known.push(Known {
                cases: Cases::sure(Range { least_msat: 0, most_msat: capacity_msat }),
                capacity_msat,
                used_msat: 0,
            });
            scratch.links.push(link);
            scratch.known_at[link as usize] = scratch.known.len() as u32;
        }
        &mut scratch.known[scratch.known_at[link as usize] as usize - 1]
    }

    /// Takes room on an edge for a part of the plan.
    pub(crate) fn occupy(&mut self, edge: u32, amount_msat: u64) {
        let edge = self.edge(edge);
        let known = self.know(edge.link, edge.capacity_msat);
        known.used_msat = known.used_msat.saturating_add(amount_msat);
    }

    /// Gives back what [`occupy`](Self::occupy) took.
    pub(crate) fn vacate(&mut self, edge: u32, amount_msat: u64) {
        let edge = self.edge(edge);
        let known = self.know(edge.link, edge.capacity_msat);
        known.used_msat = known.used_msat.saturating_sub(amount_msat);
    }

    /// Returns the key of a node.
    pub(crate) fn key(&self, node: u32) -> &NodeKey {
        match self.view.keys.get(node as usize) {
            Some(key) => key,
            None => &self.keys[node as usize - self.view.keys.len()],
        }
    }

    /// Gives the memory back, clean for the next query.
    pub(crate) fn into_scratch(self) -> Scratch {
        let mut scratch = self.scratch;
        for &link in &scratch.links {
            scratch.known_at[link as usize] = 0;
        }
        scratch.flags.iter_mut().for_each(|f| *f = 0);
        scratch.known.clear();
        scratch.links.clear();
        scratch.extra.clear();
        scratch.extra_at.clear();
        scratch.extra_from.clear();
        scratch
    }
}

/// Returns whether a risk is that of an edge that cannot be used.
#[inline]
pub(crate) fn hopeless(nats: f32) -> bool {
    nats >= HOPELESS
}

pub(crate) const NOWHERE: u32 = NONE;
