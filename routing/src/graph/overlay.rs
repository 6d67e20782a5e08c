//! What a query lays over the public graph: our own channels, route hints, and HTLCs in flight.

use super::{NodeKey, Policy};

/// A channel of the payer, with the balance it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnChannel {
    /// Short channel id or alias, unique among the payer's channels.
    pub scid: u64,
    /// The node at the other end.
    pub peer: NodeKey,
    /// Least HTLC that can be sent now, msat.
    pub htlc_min_msat: u64,
    /// Greatest single HTLC that can be sent now, msat.
    pub htlc_max_msat: u64,
    /// All that can be sent now over the channel, msat; what is in flight is already taken off.
    pub spendable_msat: u64,
}

/// A channel that gossip does not show: a route hint of an invoice, or a blinded path as one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintChannel {
    /// Short channel id, alias, or a number the caller chose for a blinded path.
    pub scid: u64,
    /// The node that forwards over the channel.
    pub from: NodeKey,
    /// The node it forwards to.
    pub to: NodeKey,
    /// What `from` asks for it.
    pub policy: Policy,
}

/// What is laid over the graph for a query.
///
/// With own channels given, the payer's channels in the graph are not used; without any, the payer's
/// announced channels are, with unknown balances.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    pub(crate) own: Vec<OwnChannel>,
    pub(crate) hints: Vec<HintChannel>,
    pub(crate) reserved: Vec<(u64, u8, u64)>,
    pub(crate) balances: Vec<(u64, u8, u64)>,
}

impl Overlay {
    /// Starts with nothing laid over.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a channel of the payer.
    pub fn own_channel(&mut self, channel: OwnChannel) -> &mut Self {
        self.own.push(channel);
        self
    }

    /// Adds a channel that gossip does not show.
    pub fn hint(&mut self, channel: HintChannel) -> &mut Self {
        self.hints.push(channel);
        self
    }

    /// Says that `amount_msat` of ours is in flight over a channel of the graph in a direction (0 is from
    /// the lesser key). Amounts for the same channel and direction add up.
    pub fn reserve(&mut self, scid: u64, direction: u8, amount_msat: u64) -> &mut Self {
        self.reserved.push((scid, direction & 1, amount_msat));
        self
    }

    /// Says that a direction (0 is from the lesser key) of a channel of the graph holds exactly
    /// `balance_msat`, as the payer knows of the last hop of a payment to itself.
    pub fn balance(&mut self, scid: u64, direction: u8, balance_msat: u64) -> &mut Self {
        self.balances.push((scid, direction & 1, balance_msat));
        self
    }

    /// Returns the payer's channels.
    pub fn own_channels(&self) -> &[OwnChannel] {
        &self.own
    }

    /// Returns the channels that gossip does not show.
    pub fn hints(&self) -> &[HintChannel] {
        &self.hints
    }

    /// Returns what is in flight: short channel id, direction, msat.
    pub fn reservations(&self) -> &[(u64, u8, u64)] {
        &self.reserved
    }

    /// Returns what is known exactly: short channel id, direction, msat.
    pub fn balances(&self) -> &[(u64, u8, u64)] {
        &self.balances
    }
}
