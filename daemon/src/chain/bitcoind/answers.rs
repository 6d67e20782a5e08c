//! The parts of bitcoind's answers that this daemon reads; nothing else may make them fail.

use std::collections::HashMap;

use bitcoin::{BlockHash, Txid};
use serde::Deserialize;

/// `getblockchaininfo`
#[derive(Deserialize)]
pub(super) struct Blockchain {
    pub(super) chain: String,
    pub(super) blocks: u32,
    pub(super) bestblockhash: BlockHash,
    /// The header's time; versions before 23 tell only the median.
    pub(super) time: Option<u32>,
    #[serde(default)]
    pub(super) mediantime: u32,
    pub(super) chainwork: String,
    #[serde(default)]
    pub(super) initialblockdownload: bool,
    /// Only of a bitcoind that prunes.
    pub(super) pruneheight: Option<u32>,
}

/// `getnetworkinfo`
#[derive(Deserialize)]
pub(super) struct Node {
    pub(super) version: u64,
    #[serde(default)]
    pub(super) connections: u32,
}

/// `getblockheader`
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) height: u32,
    pub(super) mediantime: u32,
    pub(super) chainwork: String,
    /// Absent in the genesis block.
    pub(super) previousblockhash: Option<BlockHash>,
}

/// `getblock` with verbosity 1
#[derive(Deserialize)]
pub(super) struct BlockTxids {
    pub(super) tx: Vec<Txid>,
}

/// `waitfornewblock`
#[derive(Deserialize)]
pub(super) struct NewBlock {
    pub(super) hash: BlockHash,
}

/// `gettxout`
#[derive(Deserialize)]
pub(super) struct TxOut {
    pub(super) confirmations: u32,
    /// In bitcoin.
    pub(super) value: f64,
    #[serde(rename = "scriptPubKey")]
    pub(super) script_pubkey: ScriptPubkey,
}

/// `scriptPubKey` of `gettxout`
#[derive(Deserialize)]
pub(super) struct ScriptPubkey {
    pub(super) hex: String,
}

/// `estimatesmartfee`
#[derive(Deserialize)]
pub(super) struct Estimate {
    /// In bitcoin per 1000 vbytes; absent when there is too little data.
    pub(super) feerate: Option<f64>,
}

/// `getmempoolinfo`; both in bitcoin per 1000 vbytes
#[derive(Deserialize)]
pub(super) struct Mempool {
    pub(super) mempoolminfee: f64,
    pub(super) minrelaytxfee: f64,
}

/// `submitpackage`
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) package_msg: String,
    /// By wtxid.
    #[serde(rename = "tx-results", default)]
    pub(super) tx_results: HashMap<String, PackageTx>,
}

/// One transaction of `submitpackage`
#[derive(Deserialize)]
pub(super) struct PackageTx {
    pub(super) txid: Txid,
    pub(super) error: Option<String>,
}

/// `getpeerinfo`
#[derive(Deserialize)]
pub(super) struct Peer {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) servicesnames: Vec<String>,
}
