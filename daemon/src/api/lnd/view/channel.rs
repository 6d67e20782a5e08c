//! Open and opening channels.

use bitcoin::OutPoint;
use bitcoin::hashes::Hash as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::channel_point::FundingTxid;
use fulmen_lnd_proto::lnrpc::pending_channels_response::PendingChannel;
use lightning::ln::channel_state::ChannelDetails;

use crate::channels::balance;

/// Weight of a commitment with anchors and no HTLCs, and of each HTLC (BOLT 3).
const COMMITMENT_WEIGHT: u64 = 1_124;
const HTLC_WEIGHT: u64 = 172;
/// Two anchors of 330 satoshis, which the opener pays for (BOLT 3); lnd counts them as commitment fee.
const ANCHORS_SAT: u64 = 660;
/// The least output of a commitment that is relayed, in satoshis (BOLT 3).
const DUST_LIMIT_SAT: u64 = 354;
/// What LDK and most peers agree on (BOLT 2).
const MAX_HTLCS: u32 = 483;

/// A number in lnd's signed fields; what does not fit is cut to the largest.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What of a channel is whose, as lnd counts it: the opener's balance is less the commitment's fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitmentSplit {
    /// Ours, in millisatoshis.
    pub local_msat: u64,
    /// The peer's, in millisatoshis.
    pub remote_msat: u64,
    /// In HTLCs that peers offered, in millisatoshis.
    pub incoming_msat: u64,
    /// In HTLCs that we offered, in millisatoshis.
    pub outgoing_msat: u64,
    /// With anchors, in satoshis.
    pub commit_fee_sat: u64,
    /// Of the commitment.
    pub weight: u64,
}

/// Splits a channel.
pub fn split(details: &ChannelDetails) -> CommitmentSplit {
    let ours = balance::split(details);
    let htlcs = details.pending_inbound_htlcs.iter().map(|htlc| htlc.is_dust);
    let htlcs = htlcs.chain(details.pending_outbound_htlcs.iter().map(|htlc| htlc.is_dust));
    let weight = COMMITMENT_WEIGHT + HTLC_WEIGHT * htlcs.filter(|dust| !dust).count() as u64;
    let rate = u64::from(details.feerate_sat_per_1000_weight.unwrap_or(0));
    let commit_fee_sat = rate * weight / 1_000 + ANCHORS_SAT;
    let less =
        |msat: u64, pays: bool| msat.saturating_sub(if pays { commit_fee_sat * 1_000 } else { 0 });
    CommitmentSplit {
        local_msat: less(ours.local_msat, details.is_outbound),
        remote_msat: less(ours.remote_msat, !details.is_outbound),
        incoming_msat: ours.in_flight_inbound_msat,
        outgoing_msat: ours.in_flight_outbound_msat,
        commit_fee_sat,
        weight,
    }
}

/// Writes an open channel.
pub fn channel(details: &ChannelDetails, peer_alias: String) -> lnrpc::Channel {
    let split = split(details);
    let peer = &details.counterparty;
    let funding = details.funding_txo.map(|txo| txo.into_bitcoin_outpoint());
    let aliases = [details.outbound_scid_alias, details.inbound_scid_alias];
    let local_reserve_sat = details.unspendable_punishment_reserve.unwrap_or(0);
    let delay = u32::from(details.force_close_spend_delay.unwrap_or(0));
    let constraints = |csv_delay, chan_reserve_sat, min_htlc_msat| lnrpc::ChannelConstraints {
        csv_delay,
        chan_reserve_sat,
        dust_limit_sat: DUST_LIMIT_SAT,
        max_pending_amt_msat: details.channel_value_satoshis.saturating_mul(1_000),
        min_htlc_msat,
        max_accepted_htlcs: MAX_HTLCS,
    };
    lnrpc::Channel {
        active: details.is_usable,
        remote_pubkey: peer.node_id.to_string(),
        channel_point: funding.map(|funding| funding.to_string()).unwrap_or_default(),
        // The alias of a channel that is not confirmed or not announced is what both sides know.
        chan_id: details.short_channel_id.or(details.outbound_scid_alias).unwrap_or(0),
        capacity: signed(details.channel_value_satoshis),
        local_balance: signed(split.local_msat / 1_000),
        remote_balance: signed(split.remote_msat / 1_000),
        commit_fee: signed(split.commit_fee_sat),
        commit_weight: signed(split.weight),
        fee_per_kw: details.feerate_sat_per_1000_weight.unwrap_or(0).into(),
        unsettled_balance: signed((split.incoming_msat + split.outgoing_msat) / 1_000),
        pending_htlcs: htlcs(details),
        csv_delay: delay,
        private: !details.is_announced,
        initiator: details.is_outbound,
        chan_status_flags: "ChanStatusDefault".to_owned(),
        local_chan_reserve_sat: signed(local_reserve_sat),
        remote_chan_reserve_sat: signed(peer.unspendable_punishment_reserve),
        static_remote_key: true,
        commitment_type: commitment_type(details).into(),
        local_constraints: Some(constraints(
            delay,
            local_reserve_sat,
            details.inbound_htlc_minimum_msat.unwrap_or(0),
        )),
        remote_constraints: Some(constraints(
            0,
            peer.unspendable_punishment_reserve,
            peer.outbound_htlc_minimum_msat.unwrap_or(0),
        )),
        alias_scids: aliases.into_iter().flatten().collect(),
        peer_scid_alias: details.inbound_scid_alias.unwrap_or(0),
        zero_conf: details.confirmations_required == Some(0),
        peer_alias,
        ..Default::default()
    }
}

/// Writes a channel that is opening or closing.
pub fn pending(details: &ChannelDetails) -> PendingChannel {
    let split = split(details);
    let funding = details.funding_txo.map(|txo| txo.into_bitcoin_outpoint());
    PendingChannel {
        remote_node_pub: details.counterparty.node_id.to_string(),
        channel_point: funding.map(|funding| funding.to_string()).unwrap_or_default(),
        capacity: signed(details.channel_value_satoshis),
        local_balance: signed(split.local_msat / 1_000),
        remote_balance: signed(split.remote_msat / 1_000),
        local_chan_reserve_sat: signed(details.unspendable_punishment_reserve.unwrap_or(0)),
        remote_chan_reserve_sat: signed(details.counterparty.unspendable_punishment_reserve),
        initiator: initiator(details.is_outbound).into(),
        commitment_type: commitment_type(details).into(),
        chan_status_flags: "ChanStatusDefault".to_owned(),
        private: !details.is_announced,
        ..Default::default()
    }
}

/// Writes who opened or closed.
pub fn initiator(ours: bool) -> lnrpc::Initiator {
    if ours { lnrpc::Initiator::Local } else { lnrpc::Initiator::Remote }
}

/// Writes a funding output.
pub fn channel_point(funding: &OutPoint) -> lnrpc::ChannelPoint {
    lnrpc::ChannelPoint {
        funding_txid: Some(FundingTxid::FundingTxidBytes(funding.txid.to_byte_array().to_vec())),
        output_index: funding.vout,
    }
}

/// Writes any output.
pub fn outpoint(outpoint: &OutPoint) -> lnrpc::OutPoint {
    lnrpc::OutPoint {
        txid_bytes: outpoint.txid.to_byte_array().to_vec(),
        txid_str: outpoint.txid.to_string(),
        output_index: outpoint.vout,
    }
}

fn commitment_type(details: &ChannelDetails) -> lnrpc::CommitmentType {
    match &details.channel_type {
        Some(kind) if kind.supports_anchors_zero_fee_htlc_tx() => lnrpc::CommitmentType::Anchors,
        Some(kind) if kind.supports_static_remote_key() => lnrpc::CommitmentType::StaticRemoteKey,
        Some(_) | None => lnrpc::CommitmentType::UnknownCommitmentType,
    }
}

fn htlcs(details: &ChannelDetails) -> Vec<lnrpc::Htlc> {
    let incoming = details.pending_inbound_htlcs.iter().map(|htlc| lnrpc::Htlc {
        incoming: true,
        amount: signed(htlc.amount_msat / 1_000),
        hash_lock: htlc.payment_hash.0.to_vec(),
        expiration_height: htlc.cltv_expiry,
        htlc_index: htlc.htlc_id,
        locked_in: true,
        ..Default::default()
    });
    let outgoing = details.pending_outbound_htlcs.iter().map(|htlc| lnrpc::Htlc {
        incoming: false,
        amount: signed(htlc.amount_msat / 1_000),
        hash_lock: htlc.payment_hash.0.to_vec(),
        expiration_height: htlc.cltv_expiry,
        htlc_index: htlc.htlc_id.unwrap_or(0),
        locked_in: htlc.htlc_id.is_some(),
        ..Default::default()
    });
    incoming.chain(outgoing).collect()
}
