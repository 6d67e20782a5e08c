//! Opens of ours until the peer accepts them: with anchors or not at all.
//!
//! LDK answers an `error` to its `open_channel` with another one that asks for fewer features, down to a channel type
//! whose commitment cannot be bumped. The peer's first words are lost by that. Here the first refusal is the answer.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{MessageSendEvent, OpenChannel};
use lightning::ln::types::ChannelId;

/// How often LDK tries fewer features before it gives up: without anchors, then without SCID privacy, then bare.
const MOST_DOWNGRADES: usize = 3;

/// The opens that peers have not answered yet.
#[derive(Debug, Default)]
pub struct Opens {
    unanswered: Mutex<HashSet<(PublicKey, ChannelId)>>,
}

impl Opens {
    /// Notes an outgoing message; returns false if it must not be sent.
    pub fn allows(&self, message: &MessageSendEvent) -> bool {
        let MessageSendEvent::SendOpenChannel { node_id, msg } = message else { return true };
        if !has_anchors(msg) {
            return false;
        }
        self.lock().insert((*node_id, msg.common_fields.temporary_channel_id));
        true
    }

    /// Notes that the peer has accepted an open.
    pub fn accepted(&self, peer: PublicKey, temporary_channel_id: ChannelId) {
        self.lock().remove(&(peer, temporary_channel_id));
    }

    /// Returns how often LDK has to hear a peer's `error` until it gives the channel up.
    pub fn hearings(&self, peer: PublicKey, channel_id: ChannelId) -> usize {
        match self.lock().remove(&(peer, channel_id)) {
            true => 1 + MOST_DOWNGRADES,
            false => 1,
        }
    }

    /// Forgets the opens to a peer: LDK gives them up with the connection, or sends them anew on the next.
    pub fn disconnected(&self, peer: PublicKey) {
        self.lock().retain(|(of, _)| *of != peer);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(PublicKey, ChannelId)>> {
        self.unanswered.lock().expect("no panic while held")
    }
}

fn has_anchors(open: &OpenChannel) -> bool {
    let kind = open.common_fields.channel_type.as_ref();
    kind.is_some_and(|kind| kind.supports_anchors_zero_fee_htlc_tx())
}

#[cfg(test)]
mod tests {
    use bitcoin::constants::ChainHash;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use bitcoin::{Network, ScriptBuf};
    use lightning::ln::msgs::CommonOpenChannelFields;
    use lightning::types::features::ChannelTypeFeatures;

    use super::*;

    fn key() -> PublicKey {
        SecretKey::from_slice(&[7; 32]).expect("a key").public_key(&Secp256k1::new())
    }

    fn open(channel_type: Option<ChannelTypeFeatures>) -> MessageSendEvent {
        let key = key();
        let msg = OpenChannel {
            common_fields: CommonOpenChannelFields {
                chain_hash: ChainHash::using_genesis_block(Network::Regtest),
                temporary_channel_id: ChannelId([1; 32]),
                funding_satoshis: 1,
                dust_limit_satoshis: 1,
                max_htlc_value_in_flight_msat: 1,
                htlc_minimum_msat: 1,
                commitment_feerate_sat_per_1000_weight: 1,
                to_self_delay: 1,
                max_accepted_htlcs: 1,
                funding_pubkey: key,
                revocation_basepoint: key,
                payment_basepoint: key,
                delayed_payment_basepoint: key,
                htlc_basepoint: key,
                first_per_commitment_point: key,
                channel_flags: 0,
                shutdown_scriptpubkey: Some(ScriptBuf::new()),
                channel_type,
            },
            push_msat: 0,
            channel_reserve_satoshis: 1,
        };
        MessageSendEvent::SendOpenChannel { node_id: key, msg }
    }

    #[test]
    fn an_open_without_anchors_is_not_sent() {
        let opens = Opens::default();
        let anchors = ChannelTypeFeatures::anchors_zero_htlc_fee_and_dependencies();
        assert!(opens.allows(&open(Some(anchors))));
        assert!(!opens.allows(&open(Some(ChannelTypeFeatures::only_static_remote_key()))));
        assert!(!opens.allows(&open(None)));
    }

    #[test]
    fn the_first_refusal_of_an_open_ends_it_and_other_errors_are_heard_once() {
        let opens = Opens::default();
        let anchors = ChannelTypeFeatures::anchors_zero_htlc_fee_and_dependencies();
        let of = |id| opens.hearings(key(), ChannelId([id; 32]));
        opens.allows(&open(Some(anchors.clone())));
        assert_eq!((of(9), of(1), of(1)), (1, 4, 1));
        opens.allows(&open(Some(anchors.clone())));
        opens.accepted(key(), ChannelId([1; 32]));
        assert_eq!(of(1), 1);
        opens.allows(&open(Some(anchors)));
        opens.disconnected(key());
        assert_eq!(of(1), 1);
    }
}
