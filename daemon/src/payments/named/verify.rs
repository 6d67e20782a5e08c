//! Whether each node of a given route would forward what the route has it forward: pure.

use fulmen_routing::amount::fee_msat;
use fulmen_routing::{Hop, NodeKey, Part, Plan};

use super::{Edge, Fault};

/// What the payment as a whole must keep.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Who is paid.
    pub payee: NodeKey,
    /// What arrives in all.
    pub amount_msat: u64,
    /// Blocks that the payee asks for on the last hop.
    pub final_cltv_delta: u32,
    /// The most that forwarding nodes may get.
    pub max_fee_msat: u64,
    /// The most blocks for which the money may be locked.
    pub max_total_cltv_delta: u32,
    /// The most parts.
    pub max_parts: u8,
}

/// Checks a plan against what the channels on the way ask for; `edges` tells the channels from one node to another.
///
/// # Errors
/// The first [`Fault`] on the way.
pub fn verify(
    us: NodeKey,
    plan: &Plan,
    bounds: &Bounds,
    edges: impl Fn(NodeKey, NodeKey) -> Vec<Edge>,
) -> Result<(), Fault> {
    if plan.parts.len() > usize::from(bounds.max_parts) {
        return Err(Fault::TooManyParts { given: plan.parts.len(), max: bounds.max_parts });
    }
    for part in &plan.parts {
        verify_part(us, part, bounds, &edges)?;
    }
    if plan.amount_msat != bounds.amount_msat {
        let (asked_msat, given_msat) = (bounds.amount_msat, plan.amount_msat);
        return Err(Fault::OtherAmount { asked_msat, given_msat });
    }
    if plan.fee_msat > bounds.max_fee_msat {
        let (fee_msat, max_fee_msat) = (plan.fee_msat, bounds.max_fee_msat);
        return Err(Fault::AboveFeeLimit { fee_msat, max_fee_msat });
    }
    Ok(())
}

fn verify_part(
    us: NodeKey,
    part: &Part,
    bounds: &Bounds,
    edges: &impl Fn(NodeKey, NodeKey) -> Vec<Edge>,
) -> Result<(), Fault> {
    let mut from = us;
    let mut before: Option<&Hop> = None;
    for (number, hop) in (1..).zip(&part.hops) {
        let known = edges(from, hop.node).into_iter().find(|edge| edge.is_called(hop.scid));
        let Some(edge) = known else {
            return Err(Fault::NoSuchChannel { hop: number, scid: hop.scid, to: hop.node });
        };
        carries(&edge, number, hop.amount_msat)?;
        if let Some(before) = before {
            pays(&edge, number, before, hop)?;
        }
        (from, before) = (hop.node, Some(hop));
    }
    let (Some(first), Some(last)) = (part.hops.first(), part.hops.last()) else {
        return Err(Fault::Empty);
    };
    if last.node != bounds.payee {
        return Err(Fault::OtherPayee(last.node));
    }
    if last.cltv < bounds.final_cltv_delta {
        let (asked, given) = (bounds.final_cltv_delta, last.cltv);
        return Err(Fault::FinalDeltaTooSmall { asked, given });
    }
    if first.cltv > bounds.max_total_cltv_delta {
        let (cltv, max_cltv) = (first.cltv, bounds.max_total_cltv_delta);
        return Err(Fault::AboveTimeLimit { cltv, max_cltv });
    }
    Ok(())
}

/// Checks whether a channel takes an HTLC of this amount.
pub(super) fn carries(edge: &Edge, hop: u32, msat: u64) -> Result<(), Fault> {
    let (scid, policy) = (edge.scid, edge.policy);
    if !edge.enabled {
        return Err(Fault::Disabled { hop, scid });
    }
    if msat < policy.htlc_min_msat {
        return Err(Fault::BelowMinimum { hop, scid, msat, min_msat: policy.htlc_min_msat });
    }
    if msat > policy.htlc_max_msat {
        return Err(Fault::AboveMaximum { hop, scid, msat, max_msat: policy.htlc_max_msat });
    }
    Ok(())
}

/// Checks whether the node between two hops gets its fee and its blocks (BOLT 7, HTLC fees).
fn pays(edge: &Edge, number: u32, before: &Hop, hop: &Hop) -> Result<(), Fault> {
    let policy = edge.policy;
    let asked_msat =
        fee_msat(hop.amount_msat, policy.base_msat, policy.ppm).ok_or(Fault::Absurd)?;
    let given_msat = before.amount_msat.saturating_sub(hop.amount_msat);
    if given_msat < asked_msat {
        return Err(Fault::FeeTooSmall { hop: number, scid: hop.scid, asked_msat, given_msat });
    }
    let asked = u32::from(policy.cltv_delta);
    let given = before.cltv.saturating_sub(hop.cltv);
    if given < asked {
        return Err(Fault::DeltaTooSmall { hop: number, scid: hop.scid, asked, given });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fulmen_routing::Policy;

    use super::*;
    use crate::payments::named::{NamedHop, plan};

    const US: NodeKey = [9; 33];
    const POLICY: Policy = Policy {
        base_msat: 10,
        ppm: 1_000,
        cltv_delta: 60,
        htlc_min_msat: 100,
        htlc_max_msat: 5_000,
    };
    const BOUNDS: Bounds = Bounds {
        payee: [3; 33],
        amount_msat: 1_000,
        final_cltv_delta: 40,
        max_fee_msat: 20,
        max_total_cltv_delta: 120,
        max_parts: 2,
    };

    fn network(from: NodeKey, to: NodeKey) -> Vec<Edge> {
        let edge = |scid, enabled| Edge { scid, aliases: [None, None], policy: POLICY, enabled };
        match (from[0], to[0]) {
            (9, 2) => vec![Edge { aliases: [Some(70), None], ..edge(7, true) }],
            (2, 3) => vec![edge(8, true), edge(6, false)],
            _ => Vec::new(),
        }
    }

    fn verdict(hops: [(u8, u64, u64, u32); 2], bounds: Bounds) -> Result<(), Fault> {
        let hops = hops.map(|(node, scid, amount_msat, cltv)| NamedHop {
            node: [node; 33],
            scid,
            amount_msat,
            cltv,
        });
        verify(US, &plan(US, &[hops.to_vec()])?, &bounds, network)
    }

    #[test]
    fn each_hop_gets_what_it_asks_for() {
        let good = [(2, 7, 1_011, 100), (3, 8, 1_000, 40)];
        assert_eq!(verdict(good, BOUNDS), Ok(()));
        assert_eq!(verdict([(2, 70, 1_011, 100), good[1]], BOUNDS), Ok(()), "by its alias");
        assert_eq!(verdict([(2, 7, 1_020, 120), good[1]], BOUNDS), Ok(()), "more is fine");
        let bounds = BOUNDS;
        for (hops, bounds, expected) in [
            (
                [good[0], (3, 5, 1_000, 40)],
                bounds,
                Fault::NoSuchChannel { hop: 2, scid: 5, to: [3; 33] },
            ),
            ([good[0], (3, 6, 1_000, 40)], bounds, Fault::Disabled { hop: 2, scid: 6 }),
            (
                [(2, 7, 1_010, 100), good[1]],
                bounds,
                Fault::FeeTooSmall { hop: 2, scid: 8, asked_msat: 11, given_msat: 10 },
            ),
            (
                [(2, 7, 1_011, 99), good[1]],
                bounds,
                Fault::DeltaTooSmall { hop: 2, scid: 8, asked: 60, given: 59 },
            ),
            (
                [(2, 7, 200, 100), (3, 8, 99, 40)],
                bounds,
                Fault::BelowMinimum { hop: 2, scid: 8, msat: 99, min_msat: 100 },
            ),
            (
                [(2, 7, 5_001, 100), (3, 8, 1_000, 40)],
                bounds,
                Fault::AboveMaximum { hop: 1, scid: 7, msat: 5_001, max_msat: 5_000 },
            ),
            (
                good,
                Bounds { amount_msat: 999, ..bounds },
                Fault::OtherAmount { asked_msat: 999, given_msat: 1_000 },
            ),
            (good, Bounds { payee: [4; 33], ..bounds }, Fault::OtherPayee([3; 33])),
            (
                good,
                Bounds { final_cltv_delta: 41, ..bounds },
                Fault::FinalDeltaTooSmall { asked: 41, given: 40 },
            ),
            (
                good,
                Bounds { max_fee_msat: 10, ..bounds },
                Fault::AboveFeeLimit { fee_msat: 11, max_fee_msat: 10 },
            ),
            (
                good,
                Bounds { max_total_cltv_delta: 99, ..bounds },
                Fault::AboveTimeLimit { cltv: 100, max_cltv: 99 },
            ),
            (good, Bounds { max_parts: 0, ..bounds }, Fault::TooManyParts { given: 1, max: 0 }),
        ] {
            assert_eq!(verdict(hops, bounds), Err(expected));
        }
    }
}
