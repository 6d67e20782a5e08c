//! Names of transactions and outputs on the wire.

use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Txid};
use fulmen_proto::v1;

/// Writes a transaction id in the order of the wire.
pub fn txid_bytes(txid: &Txid) -> Vec<u8> {
    txid.to_byte_array().to_vec()
}

/// Writes an output's name.
pub fn outpoint(outpoint: &OutPoint) -> v1::OutPoint {
    v1::OutPoint { txid: txid_bytes(&outpoint.txid), vout: outpoint.vout }
}
