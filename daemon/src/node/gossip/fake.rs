//! Gossip messages that tests make up, well signed.

use std::sync::Arc;

use bitcoin::Network;
use bitcoin::constants::ChainHash;
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::secp256k1::{Message, PublicKey, Secp256k1, SecretKey};
use lightning::ln::msgs::{
    ChannelAnnouncement, ChannelUpdate, UnsignedChannelAnnouncement, UnsignedChannelUpdate,
};
use lightning::routing::gossip::NodeId;
use lightning::types::features::ChannelFeatures;
use lightning::util::ser::Writeable;

use crate::node::ldk::logger::Logger;
use crate::node::ldk::types::Graph;

/// An empty graph of regtest.
pub(crate) fn graph() -> Arc<Graph> {
    Arc::new(Graph::new(Network::Regtest, Arc::new(Logger::default())))
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).expect("a valid secret")
}

/// The public key of a number.
pub(crate) fn key(number: u8) -> PublicKey {
    PublicKey::from_secret_key(&Secp256k1::new(), &secret(number))
}

fn sign(contents: &impl Writeable, number: u8) -> Signature {
    let hash = sha256d::Hash::hash(&contents.encode());
    Secp256k1::new().sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &secret(number))
}

/// The two nodes of a channel, the lesser key first, as BOLT 7 orders them.
fn ordered(nodes: [u8; 2]) -> [u8; 2] {
    let mut nodes = nodes;
    nodes.sort_by_key(|number| NodeId::from_pubkey(&key(*number)));
    nodes
}

/// The announcement of a channel between two nodes; the funding key of node `n` has the number `n` + 100.
pub(crate) fn announcement(short_channel_id: u64, nodes: [u8; 2]) -> ChannelAnnouncement {
    let [one, two] = ordered(nodes);
    let id = |number| NodeId::from_pubkey(&key(number));
    let contents = UnsignedChannelAnnouncement {
        features: ChannelFeatures::empty(),
        chain_hash: ChainHash::REGTEST,
        short_channel_id,
        node_id_1: id(one),
        node_id_2: id(two),
        bitcoin_key_1: id(one + 100),
        bitcoin_key_2: id(two + 100),
        excess_data: Vec::new(),
    };
    ChannelAnnouncement {
        node_signature_1: sign(&contents, one),
        node_signature_2: sign(&contents, two),
        bitcoin_signature_1: sign(&contents, one + 100),
        bitcoin_signature_2: sign(&contents, two + 100),
        contents,
    }
}

/// An update of such a channel by its first node.
pub(crate) fn update(short_channel_id: u64, nodes: [u8; 2], timestamp: u32) -> ChannelUpdate {
    let [one, _] = ordered(nodes);
    let contents = UnsignedChannelUpdate {
        chain_hash: ChainHash::REGTEST,
        short_channel_id,
        timestamp,
        message_flags: 1,
        channel_flags: 0,
        cltv_expiry_delta: 40,
        htlc_minimum_msat: 1,
        htlc_maximum_msat: 1_000_000,
        fee_base_msat: 0,
        fee_proportional_millionths: 0,
        excess_data: Vec::new(),
    };
    ChannelUpdate { signature: sign(&contents, one), contents }
}
