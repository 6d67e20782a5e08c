//! Closed channels.

use bitcoin::Network;
use bitcoin::blockdata::constants::ChainHash;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::channel_close_summary::ClosureType;
use fulmen_lnd_proto::lnrpc::pending_channels_response::PendingChannel;

use super::channel::{initiator, signed};
use crate::channels::{ClosedChannel, ClosingTx};

/// Writes a closed channel.
pub fn summary(
    closed: &ClosedChannel,
    closing: Option<ClosingTx>,
    network: Network,
) -> lnrpc::ChannelCloseSummary {
    let kind = kind(&closed.kind);
    let closer = match kind {
        ClosureType::LocalForceClose => lnrpc::Initiator::Local,
        ClosureType::RemoteForceClose | ClosureType::BreachClose => lnrpc::Initiator::Remote,
        ClosureType::CooperativeClose | ClosureType::FundingCanceled | ClosureType::Abandoned => {
            lnrpc::Initiator::Unknown
        }
    };
    lnrpc::ChannelCloseSummary {
        channel_point: closed.funding.map(|funding| funding.to_string()).unwrap_or_default(),
        chan_id: closed.short_channel_id.unwrap_or(0),
        chain_hash: ChainHash::using_genesis_block(network).to_string(),
        closing_tx_hash: closing.map(|closing| closing.txid.to_string()).unwrap_or_default(),
        remote_pubkey: closed.node_id.map(|node_id| node_id.to_string()).unwrap_or_default(),
        capacity: signed(closed.capacity_sat),
        close_height: closing.and_then(|closing| closing.height).unwrap_or(0),
        settled_balance: signed(closed.local_msat / 1_000),
        close_type: kind.into(),
        open_initiator: initiator(closed.outbound).into(),
        close_initiator: closer.into(),
        ..Default::default()
    }
}

/// Writes a closed channel whose money has not come back yet.
pub fn pending(closed: &ClosedChannel) -> PendingChannel {
    PendingChannel {
        remote_node_pub: closed.node_id.map(|node_id| node_id.to_string()).unwrap_or_default(),
        channel_point: closed.funding.map(|funding| funding.to_string()).unwrap_or_default(),
        capacity: signed(closed.capacity_sat),
        local_balance: signed(closed.local_msat / 1_000),
        remote_balance: signed(closed.capacity_sat.saturating_sub(closed.local_msat / 1_000)),
        initiator: initiator(closed.outbound).into(),
        commitment_type: lnrpc::CommitmentType::Anchors.into(),
        chan_status_flags: "ChanStatusDefault".to_owned(),
        ..Default::default()
    }
}

/// Returns lnd's word for the stable word in a closed channel's record.
pub fn kind(stored: &str) -> ClosureType {
    match stored {
        "cooperative" => ClosureType::CooperativeClose,
        "counterparty_force_closed" | "commitment_confirmed" => ClosureType::RemoteForceClose,
        "funding_timed_out" | "disconnected" | "unfunded" | "funding_batch" => {
            ClosureType::FundingCanceled
        }
        // The node published its own commitment: asked to, or for the reason that the record gives.
        _ => ClosureType::LocalForceClose,
    }
}
