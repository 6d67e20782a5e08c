//! Channels on the wire.

use std::collections::HashSet;

use bitcoin::secp256k1::PublicKey;
use fulmen_proto::v1;
use fulmen_proto::v1::htlc::State as Htlc;
use lightning::ln::channel_state::{
    ChannelDetails, InboundHTLCStateDetails, OutboundHTLCStateDetails,
};
use lightning::types::features::ChannelTypeFeatures;

use super::ids;
use crate::channels::{CloseQuote, ClosedChannel, ClosingTx, balance};
use crate::node::ldk::limits;
use crate::node::negotiation::closes::{FeeOffer, Negotiation};
use crate::usecases::channel_state::ChannelState;

/// Writes an open or pending channel.
pub fn open(
    details: &ChannelDetails,
    connected: &HashSet<PublicKey>,
    closing: Option<ClosingTx>,
    offers: Option<Negotiation>,
) -> v1::Channel {
    let split = balance::split(details);
    let counterparty = &details.counterparty;
    v1::Channel {
        channel_id: details.channel_id.0.to_vec(),
        short_channel_id: details.short_channel_id.unwrap_or(0),
        outbound_scid_alias: details.outbound_scid_alias.unwrap_or(0),
        inbound_scid_alias: details.inbound_scid_alias.unwrap_or(0),
        node_id: counterparty.node_id.serialize().to_vec(),
        funding: details.funding_txo.map(|txo| ids::outpoint(&txo.into_bitcoin_outpoint())),
        capacity_sat: details.channel_value_satoshis,
        local_msat: split.local_msat,
        remote_msat: split.remote_msat,
        in_flight_outbound_msat: split.in_flight_outbound_msat,
        in_flight_inbound_msat: split.in_flight_inbound_msat,
        outbound_capacity_msat: limits::sendable_msat(details),
        inbound_capacity_msat: limits::receivable_msat(details),
        next_outbound_htlc_limit_msat: details.next_outbound_htlc_limit_msat,
        local_reserve_sat: details.unspendable_punishment_reserve.unwrap_or(0),
        remote_reserve_sat: counterparty.unspendable_punishment_reserve,
        outbound: details.is_outbound,
        announced: details.is_announced,
        state: state(ChannelState::of(details)).into(),
        usable: details.is_usable,
        confirmations: details.confirmations.unwrap_or(0),
        confirmations_required: details.confirmations_required.unwrap_or(0),
        force_close_spend_delay_blocks: details.force_close_spend_delay.unwrap_or(0).into(),
        policy: details.config.map(|config| v1::ForwardPolicy {
            base_fee_msat: config.forwarding_fee_base_msat,
            proportional_millionths: config.forwarding_fee_proportional_millionths,
            cltv_expiry_delta: config.cltv_expiry_delta.into(),
        }),
        counterparty_policy: counterparty.forwarding_info.as_ref().map(|info| v1::ForwardPolicy {
            base_fee_msat: info.fee_base_msat,
            proportional_millionths: info.fee_proportional_millionths,
            cltv_expiry_delta: info.cltv_expiry_delta.into(),
        }),
        htlcs: htlcs(details),
        channel_type: details.channel_type.as_ref().map(channel_type).unwrap_or_default(),
        feerate_sat_per_1000_weight: details.feerate_sat_per_1000_weight.unwrap_or(0),
        peer_connected: connected.contains(&counterparty.node_id),
        closing_txid: closing_txid(closing),
        close_negotiation: offers.map(close_negotiation),
    }
}

fn close_negotiation(negotiation: Negotiation) -> v1::CloseNegotiation {
    let offer = |offer: Option<FeeOffer>| {
        offer.map(|offer| v1::CloseOffer {
            fee_sat: offer.fee_sat,
            min_fee_sat: offer.range_sat.map_or(offer.fee_sat, |range| range.0),
            max_fee_sat: offer.range_sat.map_or(offer.fee_sat, |range| range.1),
        })
    };
    v1::CloseNegotiation {
        ours: offer(negotiation.ours),
        theirs: offer(negotiation.theirs),
        stuck: negotiation.stuck.unwrap_or_default(),
    }
}

/// Writes what a close would cost.
pub fn close_quote(quote: CloseQuote) -> v1::CloseChannelUpdate {
    v1::CloseChannelUpdate {
        state: v1::close_channel_update::State::Quoted.into(),
        fee_sat: if quote.we_pay { quote.fees.offer_sat } else { 0 },
        max_fee_sat: if quote.we_pay { quote.fees.most_sat } else { 0 },
        forced_fee_sat: quote.forced_sat,
        forced_lock_blocks: quote.locked_blocks.into(),
        ..Default::default()
    }
}

/// Writes a closed channel.
pub fn closed(closed: ClosedChannel, closing: Option<ClosingTx>) -> v1::ClosedChannel {
    v1::ClosedChannel {
        channel_id: closed.channel_id.0.to_vec(),
        short_channel_id: closed.short_channel_id.unwrap_or(0),
        node_id: closed.node_id.map(|id| id.serialize().to_vec()).unwrap_or_default(),
        funding: closed.funding.as_ref().map(ids::outpoint),
        capacity_sat: closed.capacity_sat,
        local_msat: closed.local_msat,
        closed_at: closed.closed_at,
        kind: kind(&closed.kind).into(),
        reason: closed.reason,
        closing_txid: closing_txid(closing),
        closing_height: closing.and_then(|closing| closing.height).unwrap_or(0),
        outbound: closed.outbound,
        closing_fee_sat: closing.and_then(|closing| closing.fee_sat),
    }
}

/// Writes how a channel closed; `stored` is the word in its record.
pub fn kind(stored: &str) -> v1::closed_channel::Kind {
    let name = stored.to_ascii_uppercase();
    v1::closed_channel::Kind::from_str_name(&name).unwrap_or_default()
}

/// The state on the wire.
pub fn state(state: ChannelState) -> v1::channel::State {
    match state {
        ChannelState::PendingOpen => v1::channel::State::PendingOpen,
        ChannelState::PendingConfirmation => v1::channel::State::PendingConfirmation,
        ChannelState::Ready => v1::channel::State::Ready,
        ChannelState::ShuttingDown => v1::channel::State::ShuttingDown,
    }
}

fn closing_txid(closing: Option<ClosingTx>) -> Vec<u8> {
    closing.map(|closing| ids::txid_bytes(&closing.txid)).unwrap_or_default()
}

fn channel_type(features: &ChannelTypeFeatures) -> String {
    let table = [
        (features.supports_static_remote_key(), "static_remote_key"),
        (features.supports_anchors_zero_fee_htlc_tx(), "anchors"),
        (features.supports_anchors_nonzero_fee_htlc_tx(), "anchors_nonzero_fee"),
        (features.supports_anchor_zero_fee_commitments(), "zero_fee_commitments"),
        (features.supports_scid_privacy(), "scid_alias"),
        (features.supports_zero_conf(), "zero_conf"),
    ];
    let names: Vec<&str> =
        table.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    names.join(", ")
}

fn htlcs(details: &ChannelDetails) -> Vec<v1::Htlc> {
    let inbound = details.pending_inbound_htlcs.iter().map(|htlc| v1::Htlc {
        inbound: true,
        amount_msat: htlc.amount_msat,
        cltv_expiry: htlc.cltv_expiry,
        payment_hash: htlc.payment_hash.0.to_vec(),
        state: htlc.state.as_ref().map_or(Htlc::Unspecified, inbound_state).into(),
        dust: htlc.is_dust,
    });
    let outbound = details.pending_outbound_htlcs.iter().map(|htlc| v1::Htlc {
        inbound: false,
        amount_msat: htlc.amount_msat,
        cltv_expiry: htlc.cltv_expiry,
        payment_hash: htlc.payment_hash.0.to_vec(),
        state: htlc.state.as_ref().map_or(Htlc::Unspecified, outbound_state).into(),
        dust: htlc.is_dust,
    });
    inbound.chain(outbound).collect()
}

fn inbound_state(state: &InboundHTLCStateDetails) -> Htlc {
    match state {
        InboundHTLCStateDetails::AwaitingRemoteRevokeToAdd => Htlc::Adding,
        InboundHTLCStateDetails::Committed => Htlc::Committed,
        InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFulfill => Htlc::Fulfilling,
        InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFail => Htlc::Failing,
    }
}

fn outbound_state(state: &OutboundHTLCStateDetails) -> Htlc {
    match state {
        OutboundHTLCStateDetails::AwaitingRemoteRevokeToAdd => Htlc::Adding,
        OutboundHTLCStateDetails::Committed => Htlc::Committed,
        OutboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveSuccess => Htlc::Fulfilling,
        OutboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFailure => Htlc::Failing,
    }
}

#[cfg(test)]
mod tests {
    use v1::closed_channel::Kind;

    use super::*;

    #[test]
    fn every_stored_word_has_its_kind() {
        let stored = [
            ("cooperative", Kind::Cooperative),
            ("holder_force_closed", Kind::HolderForceClosed),
            ("counterparty_force_closed", Kind::CounterpartyForceClosed),
            ("commitment_confirmed", Kind::CommitmentConfirmed),
            ("funding_timed_out", Kind::FundingTimedOut),
            ("protocol_error", Kind::ProtocolError),
            ("disconnected", Kind::Disconnected),
            ("outdated_manager", Kind::OutdatedManager),
            ("unfunded", Kind::Unfunded),
            ("funding_batch", Kind::FundingBatch),
            ("htlc_timed_out", Kind::HtlcTimedOut),
            ("peer_feerate_too_low", Kind::PeerFeerateTooLow),
            ("a word of a later release", Kind::Unspecified),
        ];
        for (word, expected) in stored {
            assert_eq!(kind(word), expected, "{word}");
        }
    }
}
