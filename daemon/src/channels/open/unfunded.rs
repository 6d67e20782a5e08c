//! A channel that a peer has accepted and that is not funded yet.

use bitcoin::ScriptBuf;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::types::ChannelId;

/// A channel that waits for its funding (`Event::FundingGenerationReady`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfunded {
    /// LDK's name for it.
    pub temporary_channel_id: ChannelId,
    /// The peer.
    pub node_id: PublicKey,
    /// What its output holds, to the satoshi.
    pub capacity_sat: u64,
    /// The script of its output.
    pub script: ScriptBuf,
    /// Our own name for it.
    pub user_channel_id: u128,
}
