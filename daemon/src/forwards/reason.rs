//! Why a forward did not go through, in stable words.

use lightning::events::HTLCHandlingFailureReason;
use lightning::ln::LocalHTLCFailureReason as Local;

/// Returns the word for a reason.
pub fn word(reason: Option<&HTLCHandlingFailureReason>) -> String {
    match reason {
        None => "unknown".to_owned(),
        Some(HTLCHandlingFailureReason::Downstream) => "failed_downstream".to_owned(),
        Some(HTLCHandlingFailureReason::Local { reason }) => local(reason),
    }
}

fn local(reason: &Local) -> String {
    let word = match reason {
        Local::TemporaryNodeFailure => "temporary_node_failure",
        Local::PermanentNodeFailure => "permanent_node_failure",
        Local::RequiredNodeFeature => "required_node_feature",
        Local::InvalidOnionVersion => "invalid_onion_version",
        Local::InvalidOnionHMAC => "invalid_onion_hmac",
        Local::InvalidOnionKey => "invalid_onion_key",
        Local::TemporaryChannelFailure => "temporary_channel_failure",
        Local::PermanentChannelFailure => "permanent_channel_failure",
        Local::RequiredChannelFeature => "required_channel_feature",
        Local::UnknownNextPeer => "unknown_next_peer",
        Local::AmountBelowMinimum => "amount_below_minimum",
        Local::FeeInsufficient => "fee_insufficient",
        Local::IncorrectCLTVExpiry => "incorrect_cltv_expiry",
        Local::CLTVExpiryTooSoon => "cltv_expiry_too_soon",
        Local::IncorrectPaymentDetails => "incorrect_payment_details",
        Local::FinalIncorrectCLTVExpiry => "final_incorrect_cltv_expiry",
        Local::FinalIncorrectHTLCAmount => "final_incorrect_htlc_amount",
        Local::ChannelDisabled => "channel_disabled",
        Local::CLTVExpiryTooFar => "cltv_expiry_too_far",
        Local::InvalidOnionPayload => "invalid_onion_payload",
        Local::MPPTimeout => "mpp_timeout",
        Local::InvalidOnionBlinding => "invalid_onion_blinding",
        Local::UnknownFailureCode { code } => return format!("unknown_failure_code_{code}"),
        Local::ForwardExpiryBuffer => "forward_expiry_buffer",
        Local::InvalidTrampolineForward => "invalid_trampoline_forward",
        Local::PaymentClaimBuffer => "payment_claim_buffer",
        Local::DustLimitHolder => "dust_limit_holder",
        Local::DustLimitCounterparty => "dust_limit_counterparty",
        Local::FeeSpikeBuffer => "fee_spike_buffer",
        Local::PrivateChannelForward => "private_channel_forward",
        Local::RealSCIDForward => "real_scid_forward",
        Local::ChannelNotReady => "channel_not_ready",
        Local::InvalidKeysendPreimage => "invalid_keysend_preimage",
        Local::InvalidTrampolinePayload => "invalid_trampoline_payload",
        Local::PaymentSecretRequired => "payment_secret_required",
        Local::OutgoingCLTVTooSoon => "outgoing_cltv_too_soon",
        Local::ChannelClosed => "channel_closed",
        Local::OnChainTimeout => "onchain_timeout",
        Local::ZeroAmount => "zero_amount",
        Local::HTLCMinimum => "htlc_minimum",
        Local::HTLCMaximum => "htlc_maximum",
        Local::PeerOffline => "peer_offline",
        Local::ChannelBalanceOverdrawn => "channel_balance_overdrawn",
    };
    word.to_owned()
}
