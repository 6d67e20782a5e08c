//! UtxoState outputs from bitcoind.

use std::sync::Arc;

use bitcoin::{Amount, BlockHash, OutPoint, ScriptBuf, TxOut, Txid};
use serde_json::json;

use super::answers;
use super::blocks::about_block;
use super::rpc::Rpc;
use crate::chain::{Error, UtxoState};

/// A pruned block is not fetched back: anybody may ask for this, with an announcement of a few hundred bytes.
pub(super) async fn block_txids(rpc: &Arc<Rpc>, hash: BlockHash) -> Result<Vec<Txid>, Error> {
    let txids = |answer: answers::BlockTxids| Ok(answer.tx);
    let answer = rpc.call_then("getblock", vec![json!(hash), json!(1)], txids).await;
    answer.map_err(|error| about_block(hash, error))
}

pub(super) async fn unspent(
    rpc: &Arc<Rpc>,
    outpoint: OutPoint,
) -> Result<Option<UtxoState>, Error> {
    let method = "gettxout";
    let params = vec![json!(outpoint.txid), json!(outpoint.vout), json!(false)];
    let answer = rpc.call::<Option<answers::TxOut>>(method, params).await?;
    let Some(answer) = answer else { return Ok(None) };
    let garbled = |reason: String| Error::Garbled { method, reason };
    let value = Amount::from_btc(answer.value).map_err(|error| garbled(error.to_string()))?;
    let script_pubkey = ScriptBuf::from_hex(&answer.script_pubkey.hex)
        .map_err(|error| garbled(error.to_string()))?;
    Ok(Some(UtxoState {
        output: TxOut { value, script_pubkey },
        confirmations: answer.confirmations,
    }))
}
