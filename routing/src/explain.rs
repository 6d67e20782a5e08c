//! Why there is no route, in terms a payer can act on.

use crate::flow::draft::Draft;
use crate::path::field::{Field, NOWHERE};
use crate::path::terms::Edge;
use crate::path::walk::Limits;
use crate::query::Query;

/// Why no plan could be made. Amounts are in msat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The query contradicts itself.
    #[error("the query cannot be met: {0}")]
    Malformed(&'static str),
    /// The payee has no channel that is known here.
    #[error("the payee is not in the graph and the invoice has no usable route hint")]
    UnknownPayee,
    /// The payer has no channel that the query allows.
    #[error("no channel of our own can be used for this payment")]
    NoOwnChannel,
    /// The payer's channels together hold too little.
    #[error("our own channels can send {spendable_msat} msat, {amount_msat} msat are needed")]
    OwnBalance {
        /// What all allowed channels can send.
        spendable_msat: u64,
        /// What was asked for.
        amount_msat: u64,
    },
    /// The channels towards the payee cannot carry so much, whatever their balances.
    #[error(
        "the payee's channels can receive at most {receivable_msat} msat as far as is known, {amount_msat} msat are needed"
    )]
    PayeeInbound {
        /// What all channels towards the payee can carry as far as is known.
        receivable_msat: u64,
        /// What was asked for.
        amount_msat: u64,
    },
    /// Nothing connects payer and payee under the restrictions.
    #[error("no path leads to the payee under the given restrictions")]
    NoPath,
    /// There is a way, but it costs too much.
    #[error("the cheapest way costs {fee_msat} msat, the limit is {max_fee_msat} msat")]
    FeeLimit {
        /// Fee of the cheapest plan found.
        fee_msat: u64,
        /// The limit.
        max_fee_msat: u64,
    },
    /// There is a way, but it locks money for too long.
    #[error("the shortest time lock is {cltv} blocks, the limit is {max_cltv} blocks")]
    CltvLimit {
        /// The least time lock of a path.
        cltv: u32,
        /// The limit.
        max_cltv: u32,
    },
    /// There is a way, but it takes too many parts.
    #[error("{max_parts} parts can deliver {deliverable_msat} of {amount_msat} msat")]
    Parts {
        /// The limit.
        max_parts: usize,
        /// What could be delivered with so many.
        deliverable_msat: u64,
        /// What was asked for.
        amount_msat: u64,
    },
    /// Channels on the way are known or sized too small for the whole amount.
    #[error(
        "the network can deliver about {deliverable_msat} of {amount_msat} msat as far as is known"
    )]
    Liquidity {
        /// What could be delivered.
        deliverable_msat: u64,
        /// What was asked for.
        amount_msat: u64,
    },
    /// A channel that the query must avoid is the only one that leads to the payee: it failed for good. Only callers say so.
    #[error("channel {scid}, which leads to the payee, failed for good")]
    Broken {
        /// The channel.
        scid: u64,
    },
    /// The search was ended by its cap on node visits.
    #[error("the search was given up after {visits} node visits")]
    Effort {
        /// Nodes visited.
        visits: u64,
    },
    /// The plan that was found did not pass the independent check: a fault of this crate, never sent.
    #[error("the plan found did not pass its check: {0}")]
    Unsound(#[source] crate::check::Fault),
}

/// How far planning came, as material for the explanation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// The most that any attempt delivered.
    pub deliverable_msat: u64,
    /// The most that any attempt delivered within the number of parts.
    pub within_parts_msat: u64,
    /// Fee of the cheapest complete plan that was over the limit.
    pub cheapest_msat: Option<u64>,
    pub visits: u64,
}

impl Progress {
    /// Takes note of what a draft reached.
    pub(crate) fn hear(&mut self, draft: &Draft, query: &Query) {
        let delivered = draft.delivered();
        self.deliverable_msat = self.deliverable_msat.max(delivered);
        if draft.routes.len() <= query.max_parts {
            self.within_parts_msat = self.within_parts_msat.max(delivered);
            let fee = draft.fee();
            if delivered >= query.amount_msat && fee > query.max_fee_msat {
                self.cheapest_msat = Some(self.cheapest_msat.map_or(fee, |least| least.min(fee)));
            }
        }
    }
}

/// Returns the reason, the one nearest to the payer first.
pub(crate) fn explain(
    field: &Field<'_>,
    query: &Query,
    limits: &Limits,
    progress: &Progress,
) -> NoRoute {
    if let Some(reason) = hopeless_ends(field, query) {
        return reason;
    }
    let amount_msat = query.amount_msat;
    if let Some(fee_msat) = progress.cheapest_msat {
        return NoRoute::FeeLimit { fee_msat, max_fee_msat: query.max_fee_msat };
    }
    if progress.visits >= query.max_visits {
        return NoRoute::Effort { visits: progress.visits };
    }
    let deliverable_msat = progress.deliverable_msat;
    if deliverable_msat == 0 {
        return match shortest_lock(field, limits) {
            None => NoRoute::NoPath,
            Some(cltv) if cltv > limits.max_cltv => {
                NoRoute::CltvLimit { cltv, max_cltv: limits.max_cltv }
            }
            Some(_) => NoRoute::Liquidity { deliverable_msat, amount_msat },
        };
    }
    if deliverable_msat >= amount_msat {
        let deliverable_msat = progress.within_parts_msat;
        return NoRoute::Parts { max_parts: query.max_parts, deliverable_msat, amount_msat };
    }
    NoRoute::Liquidity { deliverable_msat, amount_msat }
}

/// Returns what rules a payment out before any search: too little at either end.
pub(crate) fn hopeless_ends(field: &Field<'_>, query: &Query) -> Option<NoRoute> {
    let amount_msat = query.amount_msat;
    let own = field.scratch.extra.iter().filter(|e| e.source == field.payer);
    let spendable: Vec<u64> = own.map(|e| field.bound(e)).filter(|&room| room > 0).collect();
    if spendable.is_empty() {
        return Some(NoRoute::NoOwnChannel);
    }
    let spendable_msat = spendable.iter().fold(0u64, |sum, &room| sum.saturating_add(room));
    if spendable_msat < amount_msat {
        return Some(NoRoute::OwnBalance { spendable_msat, amount_msat });
    }
    let inbound = inbound(field);
    if inbound.is_empty() {
        let known = (field.payee as usize) < field.view.node_count();
        return Some(if known { NoRoute::NoPath } else { NoRoute::UnknownPayee });
    }
    let receivable_msat = inbound.iter().fold(0u64, |sum, &room| sum.saturating_add(room));
    if receivable_msat < amount_msat {
        return Some(NoRoute::PayeeInbound { receivable_msat, amount_msat });
    }
    None
}

/// Returns the room of every usable edge that ends at the payee.
fn inbound(field: &Field<'_>) -> Vec<u64> {
    let in_view = if (field.payee as usize) < field.view.node_count() {
        field.view.row(field.payee)
    } else {
        0..0
    };
    let edges = in_view.chain(field.extras_to(field.payee)).filter(|&edge| field.may_end(edge));
    let usable = edges.map(|edge| field.edge(edge)).filter(|edge| {
        edge.htlc_max_msat > 0 && edge.source != field.payer_in_view && !field.closed(edge.source)
    });
    let room = |edge: Edge| match field.htlc_max_in_all {
        true => field.bound(&edge).min(field.htlc_max(edge.link, edge.htlc_max_msat)),
        false => field.bound(&edge),
    };
    usable.map(room).filter(|&room| room > 0).collect()
}

/// Returns the least time lock of any path, whatever its amount and fee, or `None` where nothing connects.
fn shortest_lock(field: &Field<'_>, limits: &Limits) -> Option<u32> {
    let mut lock = vec![u32::MAX; field.nodes];
    let mut heap = std::collections::BinaryHeap::new();
    lock[field.payee as usize] = limits.final_cltv;
    heap.push((std::cmp::Reverse(limits.final_cltv), field.payee));
    while let Some((std::cmp::Reverse(cltv), node)) = heap.pop() {
        if node == field.payer {
            return Some(cltv);
        }
        if cltv > lock[node as usize] {
            continue;
        }
        let in_view =
            if (node as usize) < field.view.node_count() { field.view.row(node) } else { 0..0 };
        for place in in_view.chain(field.extras_to(node)) {
            let edge = field.edge(place);
            let barred = edge.htlc_max_msat == 0
                || field.bound(&edge) == 0
                || edge.source == field.payer_in_view
                || edge.source == NOWHERE
                || field.closed(edge.source)
                || (node == field.payee && !field.may_end(place));
            let total = cltv.saturating_add(edge.cltv_delta);
            if !barred && total < lock[edge.source as usize] {
                lock[edge.source as usize] = total;
                heap.push((std::cmp::Reverse(total), edge.source));
            }
        }
    }
    None
}
