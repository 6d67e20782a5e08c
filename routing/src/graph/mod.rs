//! The channel graph: an immutable view of what gossip says, and what a query lays over it.

pub mod build;
pub mod overlay;
pub mod view;

/// A node's public key as it stands in gossip: 33 bytes, compressed.
pub type NodeKey = [u8; 33];

/// What a node asks for forwarding over one direction of a channel (BOLT 7, `channel_update`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Flat part of the fee, msat per HTLC.
    pub base_msat: u32,
    /// Proportional part of the fee, millionths of the forwarded amount.
    pub ppm: u32,
    /// Blocks between the incoming and the outgoing HTLC.
    pub cltv_delta: u16,
    /// Least HTLC that is forwarded, msat.
    pub htlc_min_msat: u64,
    /// Greatest HTLC that is forwarded, msat.
    pub htlc_max_msat: u64,
}
