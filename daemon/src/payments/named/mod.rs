//! Routes that the caller names: built over given nodes, or given hop by hop and checked before anything is recorded.

mod build;
mod edges;
mod fault;
mod verify;

use fulmen_routing::{Hop, NodeKey, Part, Plan, Policy};

pub use build::{BuildRoute, build};
pub use fault::Fault;
pub use verify::{Bounds, verify};

/// The most hops of a path: an onion has room for 20 of the usual size (BOLT 4).
pub const MAX_HOPS: usize = 20;

/// One hop of a route that the caller names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedHop {
    /// The node that the channel leads to.
    pub node: NodeKey,
    /// The channel's short id or alias.
    pub scid: u64,
    /// What the HTLC on this channel carries, msat.
    pub amount_msat: u64,
    /// Time lock of the HTLC on this channel, blocks from now.
    pub cltv: u32,
}

/// A channel in one direction, with what it asks of an HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The name by which a route calls it.
    pub scid: u64,
    /// Other names of a channel of ours.
    pub aliases: [Option<u64>; 2],
    /// What the node that it leaves asks for; of a channel of ours only the bounds of an HTLC.
    pub policy: Policy,
    /// Whether HTLCs may leave by it now.
    pub enabled: bool,
}

impl Edge {
    /// Whether this is one of the channel's names.
    pub fn is_called(&self, scid: u64) -> bool {
        self.scid == scid || self.aliases.contains(&Some(scid))
    }
}

/// Returns the paths as a plan.
///
/// # Errors
/// [`Fault`]: no hops or too many, a channel twice on one path, ourselves on the way, an amount or a time lock that
/// grows.
pub fn plan(us: NodeKey, paths: &[Vec<NamedHop>]) -> Result<Plan, Fault> {
    if paths.is_empty() {
        return Err(Fault::Empty);
    }
    let parts = paths.iter().map(|path| part(us, path)).collect::<Result<Vec<Part>, Fault>>()?;
    let sum = |of: fn(&Part) -> u64| {
        parts.iter().try_fold(0u64, |sum, part| sum.checked_add(of(part))).ok_or(Fault::Absurd)
    };
    Ok(Plan {
        amount_msat: sum(|part| part.amount_msat)?,
        fee_msat: sum(|part| part.fee_msat)?,
        parts,
        chance: 0.0,
    })
}

fn part(us: NodeKey, path: &[NamedHop]) -> Result<Part, Fault> {
    let (Some(first), Some(last)) = (path.first(), path.last()) else { return Err(Fault::Empty) };
    if path.len() > MAX_HOPS {
        return Err(Fault::TooManyHops(path.len()));
    }
    let mut hops: Vec<Hop> = Vec::with_capacity(path.len());
    let mut from = us;
    for (number, hop) in (1..).zip(path) {
        if hop.node == us {
            return Err(Fault::ThroughUs(number));
        }
        if hops.iter().any(|before| before.scid == hop.scid) {
            return Err(Fault::Twice(hop.scid));
        }
        if let Some(before) = hops.last() {
            if before.amount_msat < hop.amount_msat {
                return Err(Fault::AmountGrows(number));
            }
            if before.cltv < hop.cltv {
                return Err(Fault::TimeLockGrows(number));
            }
        }
        hops.push(hop_of(from, hop));
        from = hop.node;
    }
    Ok(Part {
        amount_msat: last.amount_msat,
        fee_msat: first.amount_msat - last.amount_msat,
        chance: 0.0,
        hops,
    })
}

fn hop_of(from: NodeKey, hop: &NamedHop) -> Hop {
    let NamedHop { node, scid, amount_msat, cltv } = *hop;
    Hop { scid, node, direction: u8::from(from > node), amount_msat, cltv }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: NodeKey = [9; 33];

    fn hop(node: u8, scid: u64, amount_msat: u64, cltv: u32) -> NamedHop {
        NamedHop { node: [node; 33], scid, amount_msat, cltv }
    }

    #[test]
    fn a_route_must_hang_together() {
        let good = vec![hop(2, 7, 1_010, 100), hop(3, 8, 1_000, 40)];
        let whole = plan(US, &[good.clone(), good.clone()]).expect("it hangs together");
        assert_eq!((whole.amount_msat, whole.fee_msat), (2_000, 20));
        assert_eq!(whole.parts[0].hops[0].direction, 1, "from 9 to 2");
        let refused = |path: Vec<NamedHop>| plan(US, &[path]).expect_err("it is refused");
        assert_eq!(plan(US, &[]), Err(Fault::Empty));
        assert_eq!(refused(vec![]), Fault::Empty);
        assert_eq!(refused(vec![hop(9, 7, 1, 1)]), Fault::ThroughUs(1));
        assert_eq!(refused(vec![hop(2, 7, 1, 1), hop(3, 7, 1, 1)]), Fault::Twice(7));
        assert_eq!(refused(vec![hop(2, 7, 1, 9), hop(3, 8, 2, 9)]), Fault::AmountGrows(2));
        assert_eq!(refused(vec![hop(2, 7, 1, 8), hop(3, 8, 1, 9)]), Fault::TimeLockGrows(2));
        let long: Vec<_> = (0..21).map(|n| hop(n, n.into(), 1, 1)).collect();
        let without_us = long.into_iter().map(|it| NamedHop { node: [1; 33], ..it }).collect();
        assert_eq!(refused(without_us), Fault::TooManyHops(21));
        let absurd = vec![hop(2, 7, u64::MAX, 1)];
        assert_eq!(plan(US, &[absurd.clone(), absurd]), Err(Fault::Absurd));
    }
}
