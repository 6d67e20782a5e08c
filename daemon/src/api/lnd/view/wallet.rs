//! On-chain money.

use bitcoin::hex::DisplayHex as _;
use fulmen_lnd_proto::lnrpc;

use super::channel::{outpoint, signed};
use crate::wallet::{Unspent, WalletTransaction};

/// Writes an unspent output.
pub fn utxo(coin: Unspent) -> lnrpc::Utxo {
    let script = coin.address.script_pubkey();
    let address_type = match script.is_p2tr() {
        true => lnrpc::AddressType::TaprootPubkey,
        false => lnrpc::AddressType::WitnessPubkeyHash,
    };
    lnrpc::Utxo {
        address_type: address_type.into(),
        address: coin.address.to_string(),
        amount_sat: signed(coin.amount_sat),
        pk_script: script.as_bytes().to_lower_hex_string(),
        outpoint: Some(outpoint(&coin.outpoint)),
        confirmations: coin.confirmations.into(),
    }
}

/// Writes a transaction of the wallet.
pub fn transaction(tx: WalletTransaction) -> lnrpc::Transaction {
    lnrpc::Transaction {
        tx_hash: tx.txid.to_string(),
        amount: tx.net_sat,
        num_confirmations: i32::try_from(tx.confirmations).unwrap_or(i32::MAX),
        block_height: tx.block_height.and_then(|height| i32::try_from(height).ok()).unwrap_or(0),
        time_stamp: signed(tx.seen_at),
        total_fees: signed(tx.fee_sat.unwrap_or(0)),
        label: tx.label,
        ..Default::default()
    }
}
