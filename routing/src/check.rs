//! The independent check: every plan is held against the graph and the query before it leaves.
//!
//! Written from the specification alone, sharing nothing with the searches: it looks every channel up
//! anew and adds everything up again. What it lets through can be sent; what it stops is our fault.

use std::collections::{HashMap, HashSet};

use crate::graph::NodeKey;
use crate::graph::overlay::Overlay;
use crate::graph::view::View;
use crate::plan::{Hop, Part, Plan};
use crate::query::{MAX_HOPS, Query};

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no part, or a part has no hop, or more than allowed.
    #[error("the plan has {0} parts or hops where more or fewer are asked for")]
    Size(usize),
    /// The parts do not add up to the amount, or their fees are more than the limit.
    #[error("the plan delivers {delivered_msat} msat for {fee_msat} msat")]
    Sum {
        /// What arrives in all.
        delivered_msat: u64,
        /// What it costs in all.
        fee_msat: u64,
    },
    /// The channel does not exist, is disabled, or does not connect these nodes.
    #[error("channel {0} cannot be used there")]
    Channel(u64),
    /// The amount is outside of what the channel takes in one HTLC.
    #[error("channel {0} does not take this amount")]
    Htlc(u64),
    /// All parts together put more on the channel than it holds.
    #[error("channel {0} is overfilled")]
    Capacity(u64),
    /// A node is paid less than it asks, in fee or in time.
    #[error("the node before channel {0} is not paid what it asks")]
    Underpaid(u64),
    /// The time lock is more than allowed, or less than the payee asks.
    #[error("the time lock of {0} blocks is not allowed")]
    Cltv(u32),
    /// A part meets a node twice, or uses a channel twice.
    #[error("a part meets itself at channel {0}")]
    Loop(u64),
    /// A part goes where the query forbids.
    #[error("channel {0} is not allowed by the query")]
    Forbidden(u64),
}

/// What is on a channel towards a node; the payer's own channels are apart from those of the graph.
type Load = HashMap<(u64, NodeKey, bool), u128>;

/// What a channel allows, looked up for one hop.
struct Terms {
    base_msat: u64,
    ppm: u64,
    cltv_delta: u32,
    min_msat: u64,
    max_msat: u64,
    total_msat: u64,
}

/// Checks a plan against graph, overlay and query.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check(view: &View, overlay: &Overlay, query: &Query, plan: &Plan) -> Result<(), Fault> {
    if plan.parts.is_empty() || plan.parts.len() > query.max_parts {
        return Err(Fault::Size(plan.parts.len()));
    }
    let mut load = Load::new();
    for &(scid, direction, amount) in overlay.reservations() {
        if let Some(channel) = view.channel(scid) {
            *load
                .entry((scid, channel.nodes[1 - usize::from(direction & 1)], false))
                .or_default() += u128::from(amount);
        }
    }
    let (mut delivered, mut fees) = (0u128, 0u128);
    for part in &plan.parts {
        check_part(view, overlay, query, part, &mut load)?;
        let last = part.hops.last().map_or(0, |hop| hop.amount_msat);
        let first = part.hops.first().map_or(0, |hop| hop.amount_msat);
        if last != part.amount_msat || first.checked_sub(last) != Some(part.fee_msat) {
            return Err(Fault::Sum { delivered_msat: last, fee_msat: part.fee_msat });
        }
        delivered += u128::from(last);
        fees += u128::from(first - last);
    }
    let exact =
        delivered == u128::from(query.amount_msat) && delivered == u128::from(plan.amount_msat);
    if !exact || fees > u128::from(query.max_fee_msat) || fees != u128::from(plan.fee_msat) {
        let narrow = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        return Err(Fault::Sum { delivered_msat: narrow(delivered), fee_msat: narrow(fees) });
    }
    Ok(())
}

fn check_part(
    view: &View,
    overlay: &Overlay,
    query: &Query,
    part: &Part,
    load: &mut Load,
) -> Result<(), Fault> {
    let hops = &part.hops;
    if hops.is_empty() || hops.len() > usize::from(query.max_hops.min(MAX_HOPS)) {
        return Err(Fault::Size(hops.len()));
    }
    let mut nodes: HashSet<NodeKey> = HashSet::new();
    let mut channels: HashSet<u64> = HashSet::new();
    let mut from = query.payer;
    for (place, hop) in hops.iter().enumerate() {
        let first = place == 0;
        let terms =
            terms(view, overlay, query, &from, hop, first).ok_or(Fault::Channel(hop.scid))?;
        allowed(query, &from, hop, first, place + 1 == hops.len())?;
        if hop.amount_msat == 0
            || hop.amount_msat < terms.min_msat
            || hop.amount_msat > terms.max_msat
        {
            return Err(Fault::Htlc(hop.scid));
        }
        let own = first && !overlay.own_channels().is_empty();
        let sum = load.entry((hop.scid, hop.node, own)).or_default();
        *sum += u128::from(hop.amount_msat);
        let in_all = if query.htlc_max_in_all { terms.max_msat } else { u64::MAX };
        if *sum > u128::from(terms.total_msat.min(in_all)) {
            return Err(Fault::Capacity(hop.scid));
        }
        if let Some(before) = place.checked_sub(1).map(|p| &hops[p]) {
            let asked = u128::from(hop.amount_msat) * u128::from(terms.ppm) / 1_000_000
                + u128::from(terms.base_msat);
            let paid = before.amount_msat.checked_sub(hop.amount_msat).map(u128::from);
            let blocks = before.cltv.checked_sub(hop.cltv);
            if paid.is_none_or(|p| p < asked) || blocks.is_none_or(|b| b < terms.cltv_delta) {
                return Err(Fault::Underpaid(hop.scid));
            }
        }
        let begins_here = hop.node == query.payer && query.payee != query.payer;
        if !nodes.insert(hop.node) || !channels.insert(hop.scid) || begins_here {
            return Err(Fault::Loop(hop.scid));
        }
        from = hop.node;
    }
    if from != query.payee {
        return Err(Fault::Channel(hops[hops.len() - 1].scid));
    }
    let (first, last) = (hops[0].cltv, hops[hops.len() - 1].cltv);
    if first > query.max_cltv || last < query.final_cltv {
        return Err(Fault::Cltv(first));
    }
    Ok(())
}

fn allowed(query: &Query, from: &NodeKey, hop: &Hop, first: bool, last: bool) -> Result<(), Fault> {
    let forbidden = query.avoid_channels.contains(&hop.scid)
        || (query.avoid_nodes.contains(&hop.node) && hop.node != query.payee)
        || (first && !query.out_through.is_empty() && !query.out_through.contains(&hop.scid))
        || (last && !query.in_through.is_empty() && !query.in_through.contains(&hop.scid))
        || (last && query.last_hop.is_some_and(|node| node != *from));
    if forbidden { Err(Fault::Forbidden(hop.scid)) } else { Ok(()) }
}

fn terms(
    view: &View,
    overlay: &Overlay,
    query: &Query,
    from: &NodeKey,
    hop: &Hop,
    first: bool,
) -> Option<Terms> {
    if first && !overlay.own_channels().is_empty() {
        let own = overlay
            .own_channels()
            .iter()
            .find(|own| own.scid == hop.scid && own.peer == hop.node)?;
        return Some(Terms {
            base_msat: 0,
            ppm: 0,
            cltv_delta: 0,
            min_msat: own.htlc_min_msat,
            max_msat: own.htlc_max_msat,
            total_msat: own.spendable_msat,
        });
    }
    if !first && *from == query.payer {
        return None;
    }
    let announced = view.channel(hop.scid).and_then(|channel| {
        let direction = channel.nodes.iter().position(|node| node == from)?;
        (channel.nodes[1 - direction] == hop.node).then_some(())?;
        let capacity_msat = u64::from(channel.capacity_sat) * 1_000;
        let exact = overlay
            .balances()
            .iter()
            .filter(|(scid, towards, _)| *scid == hop.scid && usize::from(*towards) == direction);
        let total_msat = exact.map(|(_, _, msat)| *msat).fold(capacity_msat, u64::min);
        Some((channel.policies[direction]?, total_msat))
    });
    let hinted = || {
        let fits =
            |h: &&crate::HintChannel| h.scid == hop.scid && h.from == *from && h.to == hop.node;
        overlay.hints().iter().find(fits).map(|hint| (hint.policy, u64::MAX))
    };
    let (policy, total_msat) = announced.or_else(hinted)?;
    Some(Terms {
        base_msat: u64::from(policy.base_msat),
        ppm: u64::from(policy.ppm),
        cltv_delta: u32::from(policy.cltv_delta),
        min_msat: policy.htlc_min_msat,
        max_msat: policy.htlc_max_msat,
        total_msat,
    })
}
