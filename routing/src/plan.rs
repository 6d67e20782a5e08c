//! A plan: the parts of a payment, hop by hop, exact to the millisatoshi.

use crate::graph::NodeKey;

/// One hop of a part: a channel and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The channel's short id.
    pub scid: u64,
    /// The node it leads to.
    pub node: NodeKey,
    /// 0 where it is sent by the lesser key of the two.
    pub direction: u8,
    /// What the HTLC on this channel carries, msat.
    pub amount_msat: u64,
    /// Time lock of the HTLC on this channel, blocks from now.
    pub cltv: u32,
}

/// One part of a payment: a path from payer to payee.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The hops, the payer's channel first.
    pub hops: Vec<Hop>,
    /// What arrives, msat.
    pub amount_msat: u64,
    /// What all nodes on the way take, msat.
    pub fee_msat: u64,
    /// The chance that it arrives, given that the parts before it do.
    pub chance: f32,
}

/// A whole payment, exact to the msat.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The parts; together they deliver exactly what was asked for.
    pub parts: Vec<Part>,
    /// What arrives in all, msat.
    pub amount_msat: u64,
    /// All fees, msat.
    pub fee_msat: u64,
    /// The chance that all parts arrive at the first try.
    pub chance: f32,
}
