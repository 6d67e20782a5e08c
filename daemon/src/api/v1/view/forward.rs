//! Settled forwards on the wire.

use fulmen_proto::v1;

use crate::forwards::{FailureCount, ForwardRecord};

/// Writes a settled forward.
pub fn forward(record: ForwardRecord) -> v1::Forward {
    let ForwardRecord { settled_at, settled, .. } = record;
    let bytes = |id: Option<[u8; 32]>| id.map(Vec::from).unwrap_or_default();
    v1::Forward {
        settled_at,
        inbound_channel_id: bytes(settled.inbound_channel_id),
        outbound_channel_id: bytes(settled.outbound_channel_id),
        inbound_node_id: settled
            .inbound_node_id
            .map(|id| id.serialize().to_vec())
            .unwrap_or_default(),
        outbound_node_id: settled
            .outbound_node_id
            .map(|id| id.serialize().to_vec())
            .unwrap_or_default(),
        inbound_msat: settled.inbound_msat(),
        outbound_msat: settled.outbound_msat.unwrap_or(0),
        fee_msat: settled.fee_msat.unwrap_or(0),
        claimed_onchain: settled.claimed_onchain,
        inbound_short_channel_id: 0,
        outbound_short_channel_id: 0,
    }
}

/// Writes forwards of one hour that failed for the same reason.
pub fn failed(failed: FailureCount) -> v1::FailedForwards {
    v1::FailedForwards {
        hour: failed.hour,
        inbound_channel_id: failed.inbound_channel_id.to_vec(),
        inbound_short_channel_id: 0,
        outbound_short_channel_id: failed.outbound_short_channel_id.unwrap_or(0),
        reason: failed.reason.to_ascii_uppercase(),
        count: failed.count,
    }
}
