//! Forwarding policies of our own on the wire.

use fulmen_proto::v1;

use crate::channels::{Changed, Policy, StoredPolicy};

/// Writes what has changed, or would change.
pub fn set(changed: &[Changed], dry_run: bool) -> v1::SetPolicyResponse {
    let count = if dry_run { 0 } else { changed.len() };
    v1::SetPolicyResponse {
        channels_changed: u32::try_from(count).unwrap_or(u32::MAX),
        changes: changed.iter().map(change).collect(),
    }
}

/// Writes what new channels charge.
pub fn new(stored: StoredPolicy) -> v1::NewPolicy {
    v1::NewPolicy {
        node_id: stored.node_id.map(|id| id.serialize().to_vec()).unwrap_or_default(),
        policy: Some(policy(stored.policy)),
        set: stored.is_set,
    }
}

fn change(changed: &Changed) -> v1::PolicyChange {
    v1::PolicyChange {
        channel_id: changed.channel_id.0.to_vec(),
        short_channel_id: changed.short_channel_id.unwrap_or(0),
        node_id: changed.node_id.serialize().to_vec(),
        before: Some(policy(changed.before)),
        after: Some(policy(changed.after)),
    }
}

fn policy(policy: Policy) -> v1::ForwardPolicy {
    v1::ForwardPolicy {
        base_fee_msat: policy.base_fee_msat,
        proportional_millionths: policy.proportional_millionths,
        cltv_expiry_delta: policy.cltv_expiry_delta,
    }
}
