//! Blocks and headers from bitcoind; pruned blocks are fetched back from its peers.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Work};
use serde_json::{Value, json};

use super::answers;
use super::rpc::Rpc;
use crate::chain::{Error, KnownBlock, SourceTip};

/// How often to look whether a pruned block has come back, how many times, and after how many
/// looks to ask more peers: a minute in all, because a bitcoind that has just started has no peers.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const LOOKS: u32 = 300;
const LOOKS_PER_REQUEST: u32 = 25;

pub(super) async fn tip(rpc: &Arc<Rpc>) -> Result<SourceTip, Error> {
    let method = "getblockchaininfo";
    let answer = rpc.call::<answers::Blockchain>(method, vec![]).await?;
    Ok(SourceTip {
        hash: answer.bestblockhash,
        height: answer.blocks,
        time: answer.time.unwrap_or(answer.mediantime),
        median_time: answer.mediantime,
        work: work(method, &answer.chainwork)?,
        initial_download: answer.initialblockdownload,
        peers: rpc.call::<answers::Node>("getnetworkinfo", vec![]).await?.connections,
    })
}

pub(super) async fn known_block(rpc: &Arc<Rpc>, hash: BlockHash) -> Result<KnownBlock, Error> {
    let method = "getblockheader";
    let answer = rpc.call::<answers::Header>(method, vec![json!(hash), json!(true)]).await;
    let answer = answer.map_err(|error| about_block(hash, error))?;
    Ok(KnownBlock {
        previous: answer.previousblockhash.unwrap_or(BlockHash::all_zeros()),
        height: answer.height,
        work: work(method, &answer.chainwork)?,
        median_time: answer.mediantime,
    })
}

pub(super) async fn pruned_below(rpc: &Arc<Rpc>) -> Result<Option<u32>, Error> {
    let answer = rpc.call::<answers::Blockchain>("getblockchaininfo", vec![]).await?;
    Ok(answer.pruneheight)
}

pub(super) async fn block_hash(rpc: &Arc<Rpc>, height: u32) -> Result<Option<BlockHash>, Error> {
    match rpc.call("getblockhash", vec![json!(height)]).await {
        Ok(hash) => Ok(Some(hash)),
        Err(Error::Refused { code: INVALID_PARAMETER, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn block(rpc: &Arc<Rpc>, hash: BlockHash) -> Result<Block, Error> {
    let method = "getblock";
    let decode = move |hex: String| {
        let garbled = |reason: String| Error::Garbled { method, reason };
        let block: Block = bitcoin::consensus::encode::deserialize_hex(&hex)
            .map_err(|error| garbled(error.to_string()))?;
        if block.block_hash() != hash {
            return Err(garbled(format!("block {} instead of {hash}", block.block_hash())));
        }
        Ok(block)
    };
    with_pruned(rpc, hash, || rpc.call_then(method, vec![json!(hash), json!(0)], decode)).await
}

/// Asks for something of a block; if bitcoind has pruned it, has it fetched back first.
async fn with_pruned<T, F>(rpc: &Arc<Rpc>, hash: BlockHash, ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for look in 0..LOOKS {
        match ask().await.map_err(|error| about_block(hash, error)) {
            Err(Error::Pruned { .. }) if look % LOOKS_PER_REQUEST == 0 => {
                request_from_peers(rpc, hash).await?;
            }
            Err(Error::Pruned { .. }) => (),
            outcome => return outcome,
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(Error::Pruned { hash })
}

/// Has bitcoind ask a few of its peers for a block (`getblockfrompeer`).
async fn request_from_peers(rpc: &Arc<Rpc>, hash: BlockHash) -> Result<(), Error> {
    const ASKED_AT_MOST: usize = 3;
    tracing::debug!(%hash, "bitcoind has pruned a block that is needed: fetching it from peers");
    let peers = rpc.call::<Vec<answers::Peer>>("getpeerinfo", vec![]).await?;
    let whole = peers.into_iter().filter(|peer| has_all_blocks(&peer.servicesnames));
    for peer in whole.take(ASKED_AT_MOST) {
        let params: Vec<Value> = vec![json!(hash), json!(peer.id)];
        if let Err(error) = rpc.call::<Value>("getblockfrompeer", params).await {
            // It may be under way already, or have come meanwhile: the next look tells.
            tracing::debug!(%error, peer = peer.id, "a peer was not asked for a block");
        }
    }
    Ok(())
}

fn has_all_blocks(services: &[String]) -> bool {
    services.iter().any(|service| service == "NETWORK")
}

/// Gives an error about a block its meaning.
pub(super) fn about_block(hash: BlockHash, error: Error) -> Error {
    match error {
        Error::Refused { code: NOT_FOUND, .. } => Error::UnknownBlock { hash },
        Error::Refused { code: MISC_ERROR, message, .. } if message.contains("pruned data") => {
            Error::Pruned { hash }
        }
        other => other,
    }
}

fn work(method: &'static str, hex: &str) -> Result<Work, Error> {
    Work::from_unprefixed_hex(hex)
        .map_err(|error| Error::Garbled { method, reason: format!("chainwork: {error}") })
}

/// `RPC_INVALID_PARAMETER`: a height above the tip.
const INVALID_PARAMETER: i32 = -8;
/// `RPC_INVALID_ADDRESS_OR_KEY`: no such block.
const NOT_FOUND: i32 = -5;
/// `RPC_MISC_ERROR`
const MISC_ERROR: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_about_blocks_get_their_meaning() {
        let hash = BlockHash::all_zeros();
        let refused = |code, message: &str| Error::Refused {
            method: "getblock",
            code,
            message: message.to_owned(),
        };
        for (error, expected) in [
            (refused(-5, "Block not found"), Error::UnknownBlock { hash }),
            (refused(-1, "Block not available (pruned data)"), Error::Pruned { hash }),
            (refused(-1, "Block not found on disk"), refused(-1, "Block not found on disk")),
        ] {
            assert_eq!(about_block(hash, error), expected);
        }
    }
}
