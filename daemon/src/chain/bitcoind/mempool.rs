//! What waits in bitcoind's mempool.

use std::sync::Arc;

use bitcoin::{Transaction, Txid};
use serde_json::json;

use super::rpc::Rpc;
use crate::chain::Error;

pub(super) async fn txids(rpc: &Arc<Rpc>) -> Result<Vec<Txid>, Error> {
    rpc.call("getrawmempool", vec![json!(false)]).await
}

pub(super) async fn transactions(
    rpc: &Arc<Rpc>,
    txids: &[Txid],
) -> Result<Vec<Transaction>, Error> {
    if txids.is_empty() {
        return Ok(Vec::new());
    }
    let params = txids.iter().map(|txid| vec![json!(txid)]).collect();
    rpc.call_each_then(READ, params, |answers| {
        answers.into_iter().filter_map(|answer| read(answer).transpose()).collect()
    })
    .await
}

const READ: &str = "getrawtransaction";

/// None for one that has left the mempool meanwhile.
fn read(answer: Result<String, Error>) -> Result<Option<Transaction>, Error> {
    let hex = match answer {
        Err(Error::Refused { code: NOT_FOUND, .. }) => return Ok(None),
        answer => answer?,
    };
    bitcoin::consensus::encode::deserialize_hex(&hex)
        .map(Some)
        .map_err(|error| Error::Garbled { method: READ, reason: error.to_string() })
}

/// `RPC_INVALID_ADDRESS_OR_KEY`: no such transaction in the mempool.
const NOT_FOUND: i32 = -5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::fake;

    #[test]
    fn what_has_left_meanwhile_is_passed_over_and_nonsense_is_told() {
        let tx = fake::transaction(7, &[]);
        let hex = bitcoin::consensus::encode::serialize_hex(&tx);
        let refused = |code| Error::Refused { method: READ, code, message: String::new() };
        assert_eq!(read(Ok(hex)), Ok(Some(tx)));
        assert_eq!(read(Err(refused(-5))), Ok(None));
        assert_eq!(read(Err(refused(-1))), Err(refused(-1)));
        assert!(matches!(read(Ok("zz".to_owned())), Err(Error::Garbled { .. })));
    }
}
