//! The cheapest route over nodes that the caller names, from the payee back to us: pure.

use fulmen_routing::amount::fee_msat;
use fulmen_routing::{NodeKey, Plan};

use super::verify::carries;
use super::{Edge, Fault, MAX_HOPS, NamedHop, plan};

/// A route to build.
#[derive(Clone, Debug)]
pub struct BuildRoute {
    /// The nodes from our peer to the payee.
    pub nodes: Vec<NodeKey>,
    /// What arrives; may be left to the invoice.
    pub amount_msat: Option<u64>,
    /// Blocks on the last hop; none for what the invoice asks for, or a payment without invoice needs.
    pub final_cltv_delta: Option<u32>,
    /// The channel of ours that it leaves by.
    pub out_through: Option<u64>,
    /// Tells the amount, the blocks, and the channels to a payee that is not announced.
    pub bolt11: Option<String>,
}

/// Builds a route in one part, with exact fees and time locks; `edges` tells the channels from one node to another.
///
/// # Errors
/// [`Fault::NotConnected`], or why the channels between two of the nodes do not carry the amount.
pub fn build(
    us: NodeKey,
    nodes: &[NodeKey],
    amount_msat: u64,
    final_cltv_delta: u32,
    out_through: Option<u64>,
    edges: impl Fn(NodeKey, NodeKey) -> Vec<Edge>,
) -> Result<Plan, Fault> {
    if nodes.len() > MAX_HOPS {
        return Err(Fault::TooManyHops(nodes.len()));
    }
    let (mut carried_msat, mut cltv) = (amount_msat, final_cltv_delta);
    let mut hops = Vec::with_capacity(nodes.len());
    let froms = std::iter::once(us).chain(nodes.iter().copied());
    let pairs = (1..).zip(froms.zip(nodes.iter().copied()));
    let pairs: Vec<(u32, (NodeKey, NodeKey))> = pairs.collect();
    for (number, (from, to)) in pairs.into_iter().rev() {
        let mut known = edges(from, to);
        if let (Some(scid), true) = (out_through, number == 1) {
            known.retain(|edge| edge.is_called(scid));
            if known.is_empty() {
                return Err(Fault::NoSuchChannel { hop: number, scid, to });
            }
        }
        let edge = cheapest(known, number, carried_msat, Fault::NotConnected { from, to })?;
        hops.push(NamedHop { node: to, scid: edge.scid, amount_msat: carried_msat, cltv });
        if number > 1 {
            let fee = fee_msat(carried_msat, edge.policy.base_msat, edge.policy.ppm);
            carried_msat =
                fee.and_then(|fee| carried_msat.checked_add(fee)).ok_or(Fault::Absurd)?;
            cltv = cltv.checked_add(edge.policy.cltv_delta.into()).ok_or(Fault::Absurd)?;
        }
    }
    hops.reverse();
    plan(us, &[hops])
}

/// Returns the cheapest channel that carries the amount; of equally cheap ones, the one that carries most.
fn cheapest(edges: Vec<Edge>, hop: u32, msat: u64, none: Fault) -> Result<Edge, Fault> {
    let mut why = none;
    let mut best: Option<(u64, u64, Edge)> = None;
    for edge in edges {
        if let Err(fault) = carries(&edge, hop, msat) {
            why = fault;
            continue;
        }
        let Some(fee) = fee_msat(msat, edge.policy.base_msat, edge.policy.ppm) else { continue };
        let rank = (fee, u64::MAX - edge.policy.htlc_max_msat);
        if best.is_none_or(|(fee, room, _)| rank < (fee, room)) {
            best = Some((rank.0, rank.1, edge));
        }
    }
    best.map(|(_, _, edge)| edge).ok_or(why)
}

#[cfg(test)]
mod tests {
    use fulmen_routing::Policy;

    use super::*;

    const US: NodeKey = [9; 33];

    fn edge(scid: u64, base_msat: u32, htlc_max_msat: u64) -> Edge {
        let policy =
            Policy { base_msat, ppm: 10_000, cltv_delta: 60, htlc_min_msat: 1, htlc_max_msat };
        Edge { scid, aliases: [None, None], policy, enabled: true }
    }

    fn network(from: NodeKey, to: NodeKey) -> Vec<Edge> {
        match (from[0], to[0]) {
            (9, 2) => vec![edge(10, 0, 2_000), edge(11, 0, 9_000)],
            (2, 3) => vec![edge(20, 7, 9_000), edge(21, 5, 9_000), edge(22, 1, 100)],
            (3, 4) => vec![Edge { enabled: false, ..edge(30, 0, 9_000) }, edge(31, 2, 1_500)],
            (4, 5) => vec![Edge { enabled: false, ..edge(40, 0, 9_000) }],
            _ => Vec::new(),
        }
    }

    fn built(nodes: &[u8], msat: u64, out: Option<u64>) -> Result<Vec<(u64, u64, u32)>, Fault> {
        let nodes: Vec<NodeKey> = nodes.iter().map(|node| [*node; 33]).collect();
        let plan = build(US, &nodes, msat, 42, out, network)?;
        Ok(plan.parts[0].hops.iter().map(|hop| (hop.scid, hop.amount_msat, hop.cltv)).collect())
    }

    #[test]
    fn fees_and_time_locks_add_up_from_the_payee_back() {
        assert_eq!(
            built(&[2, 3, 4], 1_000, None),
            Ok(vec![(11, 1_027, 162), (21, 1_012, 102), (31, 1_000, 42)]),
            "1,000 and 2 + 10; 1,012 and 5 + 10"
        );
        assert_eq!(built(&[2], 50, Some(10)), Ok(vec![(10, 50, 42)]));
        assert_eq!(built(&[2, 3], 50, None).map(|hops| hops[1].0), Ok(22), "small is cheap");
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let (from, to) = ([2; 33], [4; 33]);
        assert_eq!(built(&[2, 4], 1, None), Err(Fault::NotConnected { from, to }));
        assert_eq!(
            built(&[2], 1, Some(12)),
            Err(Fault::NoSuchChannel { hop: 1, scid: 12, to: [2; 33] })
        );
        assert_eq!(built(&[2, 3, 4, 5], 1, None), Err(Fault::Disabled { hop: 4, scid: 40 }));
        assert_eq!(
            built(&[2, 3, 4], 1_501, None),
            Err(Fault::AboveMaximum { hop: 3, scid: 31, msat: 1_501, max_msat: 1_500 })
        );
        assert_eq!(built(&[], 1, None), Err(Fault::Empty));
        assert_eq!(built(&[2; 21], 1, None), Err(Fault::TooManyHops(21)));
    }
}
