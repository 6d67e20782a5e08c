//! What can be sent at the moment, and by which of our channels.

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;

use super::check::{self, PaymentFacts, Purse, Splitting};
use super::{Error, Payments};
use crate::node::ldk::limits;
use crate::node::planner::{Constraints, is_named};

impl Payments {
    /// Refuses constraints that contradict themselves or name channels that this node does not have.
    pub(super) fn check_constraints(
        &self,
        constraints: &Constraints,
        payee: &PublicKey,
    ) -> Result<(), Error> {
        if let Some((argument, why)) = constraints.fault(&self.0.node.id(), payee) {
            return Err(Error::BadConstraint(argument, why));
        }
        if constraints.out_through.is_empty() {
            return Ok(());
        }
        let channels = self.0.node.channel_manager.list_channels();
        match constraints.unknown_out(&channels) {
            Some(scid) => Err(Error::NotOurChannel("out_through", scid)),
            None => Ok(()),
        }
    }

    /// The channels that can be used now, out of those that a payment may leave by.
    pub(super) fn channels_out(&self, out_through: &[u64]) -> Vec<ChannelDetails> {
        let mut channels = self.0.node.channel_manager.list_usable_channels();
        if !out_through.is_empty() {
            channels.retain(|channel| out_through.iter().any(|scid| is_named(channel, *scid)));
        }
        channels
    }

    /// Refuses what the channels cannot send even when nothing else is in flight.
    pub(super) fn check_sendable(
        &self,
        amount_msat: u64,
        constraints: &Constraints,
        splitting: Splitting,
    ) -> Result<(), Error> {
        (self.0.admission)()?;
        let channels = self.channels_out(&constraints.out_through);
        let balances = channels.iter().map(|channel| {
            channel.outbound_capacity_msat.saturating_add(limits::settling_msat(channel))
        });
        let at_once: Vec<u64> = channels.iter().map(limits::sendable_alone_msat).collect();
        check::affordable(
            amount_msat,
            Purse {
                channels: channels.len(),
                balance_msat: balances.fold(0, u64::saturating_add),
                at_once_msat: at_once.iter().copied().fold(0, u64::saturating_add),
                largest_msat: at_once.into_iter().max().unwrap_or(0),
            },
            splitting,
        )
    }

    pub(super) fn facts(&self) -> PaymentFacts {
        PaymentFacts { network: self.0.node.network, node_id: self.0.node.id() }
    }
}
