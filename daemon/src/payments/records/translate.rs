//! Translates LDK's outcomes of payments and their parts into the words of our records.

use lightning::events::{PathFailure, PaymentFailureReason};
use lightning::routing::gossip::NetworkUpdate;
use lightning::routing::router::Path;

use super::record::{FailureReason, Hop, Part, PartEnd};

/// Translates LDK's reason.
pub fn failure_reason(reason: Option<PaymentFailureReason>) -> FailureReason {
    match reason {
        Some(PaymentFailureReason::RecipientRejected) => FailureReason::RecipientRejected,
        Some(PaymentFailureReason::UserAbandoned) => FailureReason::Cancelled,
        Some(PaymentFailureReason::RetriesExhausted) => FailureReason::RetriesExhausted,
        Some(PaymentFailureReason::PaymentExpired) => FailureReason::PaymentExpired,
        Some(PaymentFailureReason::InvoiceRequestExpired) => FailureReason::InvoiceRequestExpired,
        Some(PaymentFailureReason::InvoiceRequestRejected) => FailureReason::InvoiceRequestRejected,
        Some(
            PaymentFailureReason::RouteNotFound | PaymentFailureReason::BlindedPathCreationFailed,
        ) => FailureReason::RouteNotFound,
        Some(PaymentFailureReason::UnknownRequiredFeatures) => {
            FailureReason::UnknownRequiredFeatures
        }
        Some(PaymentFailureReason::UnexpectedError) | None => FailureReason::Unexpected,
    }
}

/// The part that went along `path`.
pub fn part(path: &Path, end: PartEnd) -> Part {
    let last = path.hops.len().saturating_sub(1);
    let hops = path.hops.iter().enumerate().map(|(index, hop)| Hop {
        node_id: hop.pubkey,
        short_channel_id: hop.short_channel_id,
        fee_msat: if index == last && path.blinded_tail.is_none() { 0 } else { hop.fee_msat },
        cltv_expiry_delta: hop.cltv_expiry_delta,
    });
    Part {
        end,
        amount_msat: path.final_value_msat(),
        fee_msat: path.fee_msat(),
        hops: hops.collect(),
        began_at_ms: None,
        ended_at_ms: None,
        hold_times_ms: Vec::new(),
    }
}

/// Hold times as LDK tells them, in tenths of a second, as milliseconds; empty where all come to 0, so that a payment
/// that nobody held up costs no second write.
pub fn hold_times_ms(tenths: &[u32]) -> Vec<u32> {
    if tenths.iter().all(|time| *time == 0) {
        return Vec::new();
    }
    tenths.iter().map(|time| time.saturating_mul(100)).collect()
}

/// Why a part came back, in words.
pub fn why_part_failed(permanently: bool, failure: &PathFailure) -> String {
    match failure {
        PathFailure::InitialSend { err } => format!("not sent: {err:?}"),
        PathFailure::OnPath { .. } if permanently => "rejected by the recipient".to_owned(),
        PathFailure::OnPath { network_update: None } => "a node on the way failed it".to_owned(),
        PathFailure::OnPath {
            network_update: Some(NetworkUpdate::ChannelFailure { is_permanent: true, .. }),
        } => "a channel on the way is closed".to_owned(),
        PathFailure::OnPath {
            network_update: Some(NetworkUpdate::ChannelFailure { is_permanent: false, .. }),
        } => "a channel on the way could not carry it".to_owned(),
        PathFailure::OnPath {
            network_update: Some(NetworkUpdate::NodeFailure { is_permanent: true, .. }),
        } => "a node on the way refuses".to_owned(),
        PathFailure::OnPath {
            network_update: Some(NetworkUpdate::NodeFailure { is_permanent: false, .. }),
        } => "a node on the way is in trouble".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_times_are_told_where_somebody_held_the_htlc() {
        assert_eq!(hold_times_ms(&[]), [0; 0]);
        assert_eq!(hold_times_ms(&[0, 0]), [0; 0]);
        assert_eq!(hold_times_ms(&[2, 0, u32::MAX]), [200, 0, u32::MAX]);
    }
}
