//! What is wrong with a route that the caller names.

use bitcoin::hex::DisplayHex as _;
use fulmen_routing::NodeKey;

/// A short channel id as people write it (BOLT 7).
fn short(scid: u64) -> String {
    format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
}

fn hex(node: &NodeKey) -> String {
    node.to_lower_hex_string()
}

/// Why a route is refused before anything is recorded. Hops are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No part, or a part without hops.
    #[error("a part without hops leads nowhere")]
    Empty,
    /// More than an onion carries.
    #[error("{0} hops are more than the {max} that a path can have", max = super::MAX_HOPS)]
    TooManyHops(usize),
    /// This node would forward its own payment.
    #[error("hop {0} leads to this node itself")]
    ThroughUs(u32),
    /// One path uses a channel twice.
    #[error("a path uses channel {} twice", short(*.0))]
    Twice(u64),
    /// A hop carries more than the one before it.
    #[error("hop {0} carries more than the hop before it")]
    AmountGrows(u32),
    /// A hop is locked for longer than the one before it.
    #[error("hop {0} is locked for longer than the hop before it")]
    TimeLockGrows(u32),
    /// The amounts do not fit into 64 bits.
    #[error("the amounts of the parts come to more than all bitcoin")]
    Absurd,
    /// Two nodes that no known channel connects.
    #[error("no known channel leads from {from} to {to}", from = hex(.from), to = hex(.to))]
    NotConnected {
        /// The sender.
        from: NodeKey,
        /// The receiver.
        to: NodeKey,
    },
    /// A channel that is not known, or that connects other nodes.
    #[error(
        "hop {hop}: no channel {scid} is known that leads to {to}",
        scid = short(*.scid),
        to = hex(.to)
    )]
    NoSuchChannel {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
        /// Where it would have to lead.
        to: NodeKey,
    },
    /// The channel carries nothing in this direction now.
    #[error("hop {hop}: channel {scid} is disabled", scid = short(*.scid))]
    Disabled {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
    },
    /// Less than the channel's least HTLC.
    #[error(
        "hop {hop}: channel {scid} carries no less than {min_msat} msat, and {msat} msat are given",
        scid = short(*.scid)
    )]
    BelowMinimum {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
        /// What it would carry.
        msat: u64,
        /// What it carries at least.
        min_msat: u64,
    },
    /// More than the channel's greatest HTLC.
    #[error(
        "hop {hop}: channel {scid} carries no more than {max_msat} msat, and {msat} msat are given",
        scid = short(*.scid)
    )]
    AboveMaximum {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
        /// What it would carry.
        msat: u64,
        /// What it carries at most.
        max_msat: u64,
    },
    /// A forwarding node would get too little.
    #[error(
        "hop {hop}: {asked_msat} msat are the fee for channel {scid}, and {given_msat} msat are given",
        scid = short(*.scid)
    )]
    FeeTooSmall {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
        /// What its node asks for.
        asked_msat: u64,
        /// What it would get.
        given_msat: u64,
    },
    /// A forwarding node would have too few blocks.
    #[error(
        "hop {hop}: channel {scid} needs {asked} blocks more than the hop after it, and {given} are given",
        scid = short(*.scid)
    )]
    DeltaTooSmall {
        /// Which hop.
        hop: u32,
        /// The channel.
        scid: u64,
        /// What its node asks for.
        asked: u32,
        /// What it would get.
        given: u32,
    },
    /// The last hop leads to somebody else.
    #[error("the last hop leads to {}, who is not the payee", hex(.0))]
    OtherPayee(NodeKey),
    /// The parts deliver something else than what is to be paid.
    #[error("the parts deliver {given_msat} msat, and {asked_msat} msat are to be paid")]
    OtherAmount {
        /// What is to be paid.
        asked_msat: u64,
        /// What would arrive.
        given_msat: u64,
    },
    /// The payee would have too few blocks.
    #[error("the payee asks for {asked} blocks on the last hop, and {given} are given")]
    FinalDeltaTooSmall {
        /// What the payee asks for.
        asked: u32,
        /// What it would get.
        given: u32,
    },
    /// More parts than the payee or the caller allows.
    #[error("{given} parts are more than the {max} that this payment may have")]
    TooManyParts {
        /// How many there are.
        given: usize,
        /// How many there may be.
        max: u8,
    },
    /// More than the caller's limit.
    #[error("the route costs {fee_msat} msat, and the limit is {max_fee_msat} msat")]
    AboveFeeLimit {
        /// What it costs.
        fee_msat: u64,
        /// What it may cost.
        max_fee_msat: u64,
    },
    /// More than the caller's limit.
    #[error("the route locks the money for {cltv} blocks, and the limit is {max_cltv}")]
    AboveTimeLimit {
        /// For how many blocks.
        cltv: u32,
        /// For how many it may.
        max_cltv: u32,
    },
}

impl Fault {
    /// Whether the request itself makes no sense, whatever the network is like.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Fault::Empty
                | Fault::TooManyHops(_)
                | Fault::ThroughUs(_)
                | Fault::Twice(_)
                | Fault::AmountGrows(_)
                | Fault::TimeLockGrows(_)
                | Fault::Absurd
                | Fault::OtherPayee(_)
                | Fault::OtherAmount { .. }
        )
    }
}
