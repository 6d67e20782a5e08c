//! bitcoind as a [`ChainSource`]: connects, checks that it is the right one, and answers.

mod answers;
mod blocks;
mod fees;
mod mempool;
mod rpc;
mod submit;
mod tip;
mod utxos;

use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Block, BlockHash, Network, OutPoint, Transaction, Txid};
use tokio::sync::watch;

use self::rpc::{Login, Rpc};
use super::{
    Backoff, ChainSource, Config, Error, EstimateMode, Health, KnownBlock, SourceTip, UtxoState,
    Verdict,
};

/// The oldest version with `submitpackage` on every network, which anchor channels need.
const LEAST_VERSION: u64 = 260_000;

/// One bitcoind, reached over RPC.
#[derive(Clone)]
pub struct Source {
    rpc: Arc<Rpc>,
    hints: watch::Receiver<Option<BlockHash>>,
}

impl Source {
    /// Connects to bitcoind and makes sure that it is the right one.
    ///
    /// Waits, logging it once, while bitcoind is not running or is still starting; `away` is called after each attempt
    /// that failed. Fails at once on wrong credentials, another network, or a version that is too old.
    pub async fn connect(
        config: &Config,
        network: Network,
        away: &(dyn Fn(&Error) + Send + Sync),
    ) -> Result<Source, Error> {
        let login = match (&config.rpc_user, &config.rpc_password) {
            (Some(name), Some(password)) => {
                Login::User { name: name.clone(), password: password.0.clone() }
            }
            _ => Login::Cookie(config.cookie_file(network)),
        };
        let rpc = Rpc::new(config.url(network), login, config.rpc_connections);
        let version = greet_patiently(&rpc, network, away).await?;
        rpc.set_greeted();
        tracing::info!(url = rpc.url(), version, %network, "connected to bitcoind");
        let hints = tip::watch(&rpc, version);
        Ok(Source { rpc, hints })
    }
}

async fn greet_patiently(
    rpc: &Arc<Rpc>,
    network: Network,
    away: &(dyn Fn(&Error) + Send + Sync),
) -> Result<u64, Error> {
    /// A cookie that is refused may be left over from the last run of a bitcoind that is about
    /// to write a new one; the delays of so many attempts add up to some six seconds.
    const STALE_COOKIE_ATTEMPTS: u32 = 6;
    let mut backoff = Backoff::new(rpc.health());
    let mut stale_cookies = 0;
    loop {
        let error = match greet(rpc, network).await {
            Ok(version) => return Ok(version),
            Err(error) => error,
        };
        let cookie = matches!(rpc.login(), Login::Cookie(_));
        if matches!(error, Error::WrongCredentials { .. }) && cookie {
            stale_cookies += 1;
        }
        let may_be_stale = (1..=STALE_COOKIE_ATTEMPTS).contains(&stale_cookies)
            && matches!(error, Error::WrongCredentials { .. });
        if !error.heals_at_start() && !may_be_stale {
            return Err(error);
        }
        away(&error);
        backoff.wait("connecting to bitcoind", &error).await;
    }
}

/// Returns bitcoind's version after making sure that it is on our network.
async fn greet(rpc: &Arc<Rpc>, network: Network) -> Result<u64, Error> {
    let url = rpc.url().to_owned();
    let chain = rpc.call::<answers::Blockchain>("getblockchaininfo", vec![]).await?.chain;
    let genesis = rpc.call::<BlockHash>("getblockhash", vec![0.into()]).await?;
    if chain != network.to_core_arg() || genesis != genesis_block(network).block_hash() {
        return Err(Error::OtherNetwork { url, theirs: chain, ours: network });
    }
    let version = rpc.call::<answers::Node>("getnetworkinfo", vec![]).await?.version;
    if version < LEAST_VERSION {
        return Err(Error::TooOld { url, theirs: version, least: LEAST_VERSION });
    }
    Ok(version)
}

impl ChainSource for Source {
    async fn tip(&self) -> Result<SourceTip, Error> {
        blocks::tip(&self.rpc).await
    }

    async fn known_block(&self, hash: BlockHash) -> Result<KnownBlock, Error> {
        blocks::known_block(&self.rpc, hash).await
    }

    async fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, Error> {
        blocks::block_hash(&self.rpc, height).await
    }

    async fn block(&self, hash: BlockHash) -> Result<Block, Error> {
        blocks::block(&self.rpc, hash).await
    }

    async fn pruned_below(&self) -> Result<Option<u32>, Error> {
        blocks::pruned_below(&self.rpc).await
    }

    async fn block_txids(&self, hash: BlockHash) -> Result<Vec<Txid>, Error> {
        utxos::block_txids(&self.rpc, hash).await
    }

    async fn unspent(&self, outpoint: OutPoint) -> Result<Option<UtxoState>, Error> {
        utxos::unspent(&self.rpc, outpoint).await
    }

    async fn estimate_sat_per_kw(
        &self,
        blocks: u16,
        mode: EstimateMode,
    ) -> Result<Option<u32>, Error> {
        fees::estimate_sat_per_kw(&self.rpc, blocks, mode).await
    }

    async fn mempool_minimum_sat_per_kw(&self) -> Result<u32, Error> {
        fees::mempool_minimum_sat_per_kw(&self.rpc).await
    }

    async fn mempool(&self) -> Result<Vec<Txid>, Error> {
        mempool::txids(&self.rpc).await
    }

    async fn mempool_transactions(&self, txids: &[Txid]) -> Result<Vec<Transaction>, Error> {
        mempool::transactions(&self.rpc, txids).await
    }

    async fn submit(&self, transaction: &Transaction) -> Result<Verdict, Error> {
        submit::submit(&self.rpc, transaction).await
    }

    async fn submit_package(
        &self,
        transactions: &[Transaction],
    ) -> Result<Vec<(Txid, Verdict)>, Error> {
        submit::submit_package(&self.rpc, transactions).await
    }

    fn tip_hints(&self) -> watch::Receiver<Option<BlockHash>> {
        self.hints.clone()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.rpc.health()
    }
}
