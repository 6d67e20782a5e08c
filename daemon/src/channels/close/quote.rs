//! What each way of closing a channel costs and brings, and what is in flight; closes nothing.

use lightning::ln::channel_state::ChannelDetails;

use super::{Close, asked_feerate};
use crate::channels::{Channels, Error, balance};
use crate::node::negotiation::closes::Sides;
use crate::node::negotiation::fees::Fees;

/// What a close would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseQuote {
    /// Whether we opened the channel, so that we pay.
    pub we_pay: bool,
    /// By agreement: what is offered, and the most that is agreed to.
    pub fees: Fees,
    /// By force, in satoshis, without what HTLCs cost.
    pub forced_sat: u64,
    /// Blocks for which a forced close locks our money.
    pub locked_blocks: u16,
    /// What is ours and not in flight, in satoshis, before fees.
    pub local_sat: u64,
    /// What is in flight.
    pub pending: Pending,
    /// Why there can be no agreement now.
    pub obstacle: Option<&'static str>,
}

/// HTLCs that an agreed close waits for, and that a forced one settles on chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many.
    pub htlcs: usize,
    /// How many need a transaction each after a forced close; the others are dust.
    pub claims: usize,
    /// What we offered.
    pub outbound_msat: u64,
    /// What the peer offered.
    pub inbound_msat: u64,
    /// The height by which the last is decided; 0 where there is none.
    pub until_height: u32,
}

impl Pending {
    fn of(details: &ChannelDetails) -> Self {
        let inbound = details.pending_inbound_htlcs.iter();
        let outbound = details.pending_outbound_htlcs.iter();
        let inbound = inbound.map(|of| (true, of.amount_msat, of.cltv_expiry, of.is_dust));
        let outbound = outbound.map(|of| (false, of.amount_msat, of.cltv_expiry, of.is_dust));
        Self::among(&inbound.chain(outbound).collect::<Vec<_>>())
    }

    /// Of HTLCs, each: whether the peer offered it, its amount, the height at which it times out, whether it is dust.
    fn among(htlcs: &[(bool, u64, u32, bool)]) -> Self {
        let sum = |offered_by_peer: bool| {
            let of = htlcs.iter().filter(|(inbound, ..)| *inbound == offered_by_peer);
            of.map(|(_, msat, ..)| msat).sum()
        };
        Self {
            htlcs: htlcs.len(),
            claims: htlcs.iter().filter(|(.., is_dust)| !is_dust).count(),
            outbound_msat: sum(false),
            inbound_msat: sum(true),
            until_height: htlcs.iter().map(|(_, _, height, _)| *height).max().unwrap_or(0),
        }
    }
}

impl Channels {
    /// Returns what a close would cost now, and closes nothing.
    ///
    /// # Errors
    /// As [`Channels::close`], but for the peer's absence.
    pub fn quote_close(&self, request: &Close) -> Result<CloseQuote, Error> {
        let details = self.find(&request.channel)?;
        let closes = &self.0.node.closes;
        let asked = asked_feerate(request.feerate, &details, closes.minimum())?;
        let sides = Sides::of(&details);
        Ok(CloseQuote {
            we_pay: sides.we_opened,
            fees: closes.fees(sides, asked),
            forced_sat: closes.forced_sat(),
            locked_blocks: details.force_close_spend_delay.unwrap_or(0),
            local_sat: balance::split(&details).local_msat / 1_000,
            pending: Pending::of(&details),
            obstacle: obstacle(&details, self.is_connected(&details)),
        })
    }

    fn is_connected(&self, details: &ChannelDetails) -> bool {
        self.0.node.peer_manager.peer_by_node_id(&details.counterparty.node_id).is_some()
    }
}

/// Why a channel cannot be closed in agreement now.
fn obstacle(details: &ChannelDetails, connected: bool) -> Option<&'static str> {
    if !connected {
        return Some("the peer is not connected");
    }
    (!details.is_channel_ready).then_some("the channel is not ready yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_htlcs_has_nothing_pending() {
        assert_eq!(Pending::default(), Pending::among(&[]));
        let pending = Pending::among(&[
            (true, 1_000, 700, false),
            (false, 2_000, 800, true),
            (false, 3_000, 750, false),
        ]);
        let expected = Pending {
            htlcs: 3,
            claims: 2,
            outbound_msat: 5_000,
            inbound_msat: 1_000,
            until_height: 800,
        };
        assert_eq!(pending, expected);
    }
}
