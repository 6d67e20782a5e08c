//! How much a channel carries at one moment: its balance, and what each side lets be in flight.
//!
//! BOLT 2's `max_htlc_value_in_flight_msat` bounds all HTLCs of one direction together. Parts of a payment beyond it
//! would be failed while the others wait at the payee, which holds them until its time-out for multi-part payments.

use lightning::ln::channel_state::{ChannelDetails, InboundHTLCStateDetails};

/// Returns what we can send over a channel now, in msat, in any number of HTLCs.
pub fn sendable_msat(channel: &ChannelDetails) -> u64 {
    channel.outbound_capacity_msat.min(channel.next_outbound_htlc_limit_msat)
}

/// Returns what we could send over a channel at once, in msat, when no other HTLC is in flight.
///
/// Received money whose HTLC is only waiting to be removed counts, since it is ours within a round trip; it may be
/// the first that we have, in which case the channel reserve is still to come off.
pub fn sendable_alone_msat(channel: &ChannelDetails) -> u64 {
    let in_flight = channel.counterparty.outbound_htlc_maximum_msat.unwrap_or(u64::MAX);
    channel.outbound_capacity_msat.saturating_add(settling_msat(channel)).min(in_flight)
}

/// Returns what we have claimed and the peer has not yet revoked its old commitment for, in msat.
///
/// The payer knows the preimage by then, but LDK adds the amount to our balance with the peer's `revoke_and_ack`.
pub fn settling_msat(channel: &ChannelDetails) -> u64 {
    let claimed = Some(InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFulfill);
    let settling = channel.pending_inbound_htlcs.iter().filter(|htlc| htlc.state == claimed);
    settling.map(|htlc| htlc.amount_msat).fold(0, u64::saturating_add)
}

/// Returns what we can receive over a channel at once, in msat, when no other HTLC is in flight.
pub fn receivable_msat(channel: &ChannelDetails) -> u64 {
    let in_flight = channel.inbound_htlc_maximum_msat.unwrap_or(u64::MAX);
    channel.inbound_capacity_msat.min(in_flight)
}
