//! Everything the node owns: on chain, in channels, and on its way back from closed ones.

use super::closing::{Closing, closing_balances};
use crate::channels::{Channels, balance};
use crate::node::Node;
use crate::node::ldk::limits;
use crate::wallet::Balance;

/// What the node owns, and what its channels can carry.
#[derive(Debug)]
pub struct Balances {
    /// The wallet's balance.
    pub onchain: Balance,
    /// What would be ours if every open channel closed now, before fees.
    pub channels_local_msat: u64,
    /// The same for the peers.
    pub channels_remote_msat: u64,
    /// What usable channels can send now.
    pub outbound_capacity_msat: u64,
    /// What usable channels can receive now.
    pub inbound_capacity_msat: u64,
    /// Balances of closed channels.
    pub closing: Closing,
}

/// Adds up what wallet, channel manager, monitors and sweeper hold.
pub fn balances(node: &Node, channels: &Channels) -> Balances {
    let onchain = node.wallet.balance();
    let open = channels.list(None);
    let closing = closing_balances(node, &open, |id| channels.closed_in_agreement(&id));
    let mut balances = Balances {
        onchain,
        channels_local_msat: 0,
        channels_remote_msat: 0,
        outbound_capacity_msat: 0,
        inbound_capacity_msat: 0,
        closing,
    };
    // A channel that is not funded yet has no money of ours: it is still in the wallet.
    for channel in open.iter().filter(|channel| channel.funding_txo.is_some()) {
        let split = balance::split(channel);
        balances.channels_local_msat += split.local_msat;
        balances.channels_remote_msat += split.remote_msat;
        if channel.is_usable {
            balances.outbound_capacity_msat += limits::sendable_msat(channel);
            balances.inbound_capacity_msat += limits::receivable_msat(channel);
        }
    }
    balances
}
