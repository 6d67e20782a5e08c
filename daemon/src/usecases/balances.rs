//! Everything the node owns: on chain, in channels, and on its way back from closed ones.

use lightning::ln::channel_state::{
    ChannelDetails, InboundHTLCStateDetails, OutboundHTLCStateDetails,
};

use super::closing::{ClosingBalances, ClosingKind, closing_balances};
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
    /// In HTLCs that we offered, in channels and in closed ones on chain.
    pub in_flight_outbound_msat: u64,
    /// In HTLCs that peers offered; not ours yet.
    pub in_flight_inbound_msat: u64,
    /// What is ours: on chain, in channels, coming back from closed ones, and in our HTLCs until a preimage is shown.
    /// It changes by fees and by payments that succeed, not by opening, closing, or an HTLC on its way.
    pub total_msat: u64,
    /// What usable channels can send now.
    pub outbound_capacity_msat: u64,
    /// What usable channels can receive now.
    pub inbound_capacity_msat: u64,
    /// Balances of closed channels.
    pub closing: ClosingBalances,
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
        in_flight_outbound_msat: 0,
        in_flight_inbound_msat: 0,
        total_msat: 0,
        outbound_capacity_msat: 0,
        inbound_capacity_msat: 0,
        closing,
    };
    // A channel that is not funded yet has no money of ours: it is still in the wallet.
    for channel in open.iter().filter(|channel| channel.funding_txo.is_some()) {
        let split = balance::split(channel);
        balances.channels_local_msat += split.local_msat;
        balances.channels_remote_msat += split.remote_msat;
        balances.in_flight_outbound_msat += split.in_flight_outbound_msat;
        balances.in_flight_inbound_msat += split.in_flight_inbound_msat;
        balances.total_msat += ours_in_flight_msat(channel);
        if channel.is_usable {
            balances.outbound_capacity_msat += limits::sendable_msat(channel);
            balances.inbound_capacity_msat += limits::receivable_msat(channel);
        }
    }
    let on_chain_msat = in_flight_on_chain_sat(&balances.closing) * 1_000;
    balances.in_flight_outbound_msat += on_chain_msat;
    let onchain_sat = onchain.confirmed_sat + onchain.unconfirmed_sat;
    balances.total_msat += balances.channels_local_msat
        + on_chain_msat
        + (onchain_sat + balances.closing.sure_sat) * 1_000;
    balances
}

/// What of a channel's HTLCs is ours: those that we offered until the peer has shown the preimage, and those of the peer
/// once we have.
fn ours_in_flight_msat(channel: &ChannelDetails) -> u64 {
    let offered = channel.pending_outbound_htlcs.iter().filter(|htlc| {
        htlc.state != Some(OutboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveSuccess)
    });
    let claimed = channel.pending_inbound_htlcs.iter().filter(|htlc| {
        htlc.state == Some(InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFulfill)
    });
    offered.map(|htlc| htlc.amount_msat).sum::<u64>()
        + claimed.map(|htlc| htlc.amount_msat).sum::<u64>()
}

/// HTLCs that we offered in closed channels, and that LDK does not count as surely ours.
fn in_flight_on_chain_sat(closing: &ClosingBalances) -> u64 {
    let unsure = closing.balances.iter().filter(|balance| !balance.is_sure);
    let offered = unsure.filter(|balance| balance.kind == ClosingKind::MaybeTimeoutHtlc);
    offered.map(|balance| balance.amount_sat).sum()
}
