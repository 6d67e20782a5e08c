//! Lays overlay, beliefs and restrictions of a query over the graph.

use std::collections::HashSet;

use crate::amount::MAX_MSAT;
use crate::graph::NodeKey;
use crate::graph::overlay::Overlay;
use crate::graph::view::View;
use crate::liquidity::decay::Cases;
use crate::liquidity::{Beliefs, Range};
use crate::query::Query;

use super::field::{CLOSED, EXTRAS, Field, NOWHERE, Scratch};
use super::terms::Edge;

/// Builds the field of a query. Never fails: what does not exist is simply not there.
pub(crate) fn field<'a>(
    scratch: Scratch,
    view: &'a View,
    overlay: &Overlay,
    beliefs: &'a Beliefs,
    now: u64,
    query: &Query,
) -> Field<'a> {
    let mut field = Field {
        view,
        prior: beliefs.family.weigh().verdict(),
        scratch,
        keys: Vec::new(),
        payer: NOWHERE,
        payer_in_view: view.node(&query.payer).unwrap_or(NOWHERE),
        payee: NOWHERE,
        nodes: view.node_count(),
        last_edges: None,
        caution: 0.0,
        htlc_max_in_all: query.htlc_max_in_all,
    };
    field.payee = intern(&mut field, &query.payee);
    let mut hints = Vec::with_capacity(overlay.hints.len());
    for (place, hint) in overlay.hints.iter().enumerate() {
        // What gossip or the payer's own channels say, a hint need not.
        let again =
            |h: &crate::HintChannel| (h.scid, h.from, h.to) == (hint.scid, hint.from, hint.to);
        let first = overlay.hints.iter().position(again) == Some(place);
        let announced = view.channel(hint.scid).is_some();
        if first && !announced && hint.from != query.payer && hint.from != hint.to {
            hints.push((intern(&mut field, &hint.from), intern(&mut field, &hint.to), hint));
        }
    }
    let peers: Vec<u32> = overlay.own.iter().map(|own| intern(&mut field, &own.peer)).collect();
    field.payer = (view.node_count() + field.keys.len()) as u32;
    field.keys.push(query.payer);
    field.nodes = view.node_count() + field.keys.len();
    field.scratch.flags.resize(field.nodes, 0);
    let extras = overlay.own.len() + hints.len() + view.degree_of(field.payer_in_view);
    field.scratch.known_at.resize(view.slots.len() + extras, 0);

    for (source, target, hint) in hints {
        let policy = &hint.policy;
        push(
            &mut field,
            Edge {
                source,
                target,
                base_msat: policy.base_msat,
                ppm: policy.ppm,
                cltv_delta: u32::from(policy.cltv_delta),
                htlc_min_msat: policy.htlc_min_msat,
                htlc_max_msat: policy.htlc_max_msat.min(MAX_MSAT),
                capacity_msat: MAX_MSAT,
                link: 0,
                scid: hint.scid,
            },
        );
    }
    lay_first_hops(&mut field, overlay, &peers, query);
    lay_beliefs(&mut field, beliefs, now);
    lay_balances(&mut field, overlay);
    lay_reservations(&mut field, overlay);
    lay_restrictions(&mut field, query);
    let slots = view.slots.len() as u32;
    let Scratch { extra, extra_at, extra_from, flags, .. } = &mut field.scratch;
    for (edge, place) in extra.iter().zip(slots..) {
        extra_at.push((edge.target, place));
        extra_from.push((edge.source, place));
        flags[edge.target as usize] |= EXTRAS;
        flags[edge.source as usize] |= EXTRAS;
    }
    extra_at.sort_unstable();
    extra_from.sort_unstable();
    field
}

fn intern(field: &mut Field<'_>, key: &NodeKey) -> u32 {
    if let Some(node) = field.view.node(key) {
        return node;
    }
    let beyond = field.view.node_count();
    match field.keys.iter().position(|k| k == key) {
        Some(place) => (beyond + place) as u32,
        None => {
            field.keys.push(*key);
            (beyond + field.keys.len() - 1) as u32
        }
    }
}

/// Adds an extra edge with a link of its own and returns that link.
fn push(field: &mut Field<'_>, edge: Edge) -> u32 {
    let link = (field.view.slots.len() + field.scratch.extra.len()) as u32;
    field.scratch.extra.push(Edge { link, ..edge });
    link
}

fn lay_first_hops(field: &mut Field<'_>, overlay: &Overlay, peers: &[u32], query: &Query) {
    let allowed = |scid: u64| {
        (query.out_through.is_empty() || query.out_through.contains(&scid))
            && !query.avoid_channels.contains(&scid)
    };
    let mut seen = HashSet::new();
    for (own, &target) in overlay.own.iter().zip(peers) {
        if !seen.insert(own.scid) || !allowed(own.scid) || own.peer == query.payer {
            continue;
        }
        let spendable = own.spendable_msat.min(MAX_MSAT);
        let edge = Edge {
            source: field.payer,
            target,
            base_msat: 0,
            ppm: 0,
            cltv_delta: 0,
            htlc_min_msat: own.htlc_min_msat,
            htlc_max_msat: own.htlc_max_msat.min(spendable),
            capacity_msat: spendable,
            link: 0,
            scid: own.scid,
        };
        let link = push(field, edge);
        field.know(link, spendable).cases = exactly(spendable);
    }
    if !overlay.own.is_empty() || field.payer_in_view == NOWHERE {
        return;
    }
    for slot in field.view.row(field.payer_in_view) {
        let twin = field.view.twin(slot);
        let edge = field.edge(twin);
        if edge.htlc_max_msat > 0 && allowed(edge.scid) {
            let free = Edge { source: field.payer, base_msat: 0, ppm: 0, cltv_delta: 0, ..edge };
            field.scratch.extra.push(free);
        }
    }
}

fn lay_beliefs<'a>(field: &mut Field<'a>, beliefs: &'a Beliefs, now: u64) {
    let mut evidence = beliefs.family.weigh();
    let scids = &field.view.scids;
    let mut from = 0;
    for (&scid, both) in &beliefs.channels {
        // Both sides rise: look only where the last one was found or beyond.
        let rest = &scids[from..];
        let bound = rest.len().min(1024);
        let near = rest.get(bound.saturating_sub(1)).is_some_and(|&last| last >= scid);
        let place = if near {
            rest[..bound].partition_point(|&s| s < scid)
        } else {
            rest.partition_point(|&s| s < scid)
        };
        from += place;
        if scids.get(from) != Some(&scid) {
            continue;
        }
        let capacity = field.view.capacity_msat(from as u32);
        let Some([cases, other]) = beliefs.cases_of_both(both, capacity, now) else { continue };
        evidence.hear(&cases, capacity);
        let link = (from * 2) as u32;
        field.know(link, capacity).cases = cases;
        field.know(link + 1, capacity).cases = other;
    }
    field.prior = evidence.verdict();
    for place in 0..field.scratch.extra.len() {
        let edge = field.scratch.extra[place];
        let is_hint = edge.source != field.payer;
        if let (true, Some(both)) = (is_hint, beliefs.channels.get(&edge.scid)) {
            // A hint has no known end order and no capacity: what was learnt of it stands as direction 0.
            let both = [both[0], crate::liquidity::Bounds::UNKNOWN];
            if let Some(cases) = beliefs.cases_of(&both, 0, edge.capacity_msat, now) {
                field.know(edge.link, edge.capacity_msat).cases = cases;
            }
        }
    }
}

/// What is known to the msat.
fn exactly(msat: u64) -> Cases {
    Cases::sure(Range { least_msat: msat, most_msat: msat })
}

fn lay_balances(field: &mut Field<'_>, overlay: &Overlay) {
    for &(scid, direction, balance_msat) in &overlay.balances {
        if let Some(channel) = field.view.channel_index(scid) {
            let capacity = field.view.capacity_msat(channel);
            let cases = exactly(balance_msat.min(capacity));
            field.know(channel * 2 + u32::from(direction), capacity).cases = cases;
        }
    }
}

fn lay_reservations(field: &mut Field<'_>, overlay: &Overlay) {
    for &(scid, direction, amount_msat) in &overlay.reserved {
        if let Some(channel) = field.view.channel_index(scid) {
            let capacity = field.view.capacity_msat(channel);
            let known = field.know(channel * 2 + u32::from(direction), capacity);
            known.used_msat = known.used_msat.saturating_add(amount_msat);
        }
    }
}

fn lay_restrictions(field: &mut Field<'_>, query: &Query) {
    for key in &query.avoid_nodes {
        // A node may be known by a hint or as our peer alone; the last of these is the payer itself.
        let beyond = || {
            let others = &field.keys[..field.keys.len().saturating_sub(1)];
            let place = others.iter().position(|other| other == key)?;
            Some((field.view.node_count() + place) as u32)
        };
        let node = field.view.node(key).or_else(beyond);
        if let Some(node) = node.filter(|&node| node != field.payee) {
            field.scratch.flags[node as usize] |= CLOSED;
        }
    }
    for &scid in &query.avoid_channels {
        if let Some(channel) = field.view.channel_index(scid) {
            let capacity = field.view.capacity_msat(channel);
            for link in [channel * 2, channel * 2 + 1] {
                field.know(link, capacity).cases = exactly(0);
            }
        }
        for place in 0..field.scratch.extra.len() {
            let edge = field.scratch.extra[place];
            if edge.scid == scid {
                field.know(edge.link, edge.capacity_msat).cases = exactly(0);
            }
        }
    }
    if query.in_through.is_empty() && query.last_hop.is_none() {
        return;
    }
    let slots = field.view.slots.len() as u32;
    let in_view = if (field.payee as usize) < field.view.node_count() {
        field.view.row(field.payee)
    } else {
        0..0
    };
    let extras = (0..field.scratch.extra.len() as u32).map(|i| slots + i);
    let allowed = |&edge: &u32| {
        let edge = field.edge(edge);
        edge.target == field.payee
            && (query.in_through.is_empty() || query.in_through.contains(&edge.scid))
            && query.last_hop.is_none_or(|key| *field.key(edge.source) == key)
    };
    let edges = in_view.chain(extras).filter(allowed).collect();
    field.last_edges = Some(edges);
}
