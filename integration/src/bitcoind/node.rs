//! One bitcoind on regtest: started, asked, reorganised, stopped, killed, started again.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bitcoincore_rpc::bitcoin::{Address, BlockHash, Transaction, Txid};
use bitcoincore_rpc::{Auth, Client, RpcApi as _};

use super::provision;
use crate::poll::{self, Look};
use crate::ports::Port;
use crate::process::Process;

/// Blocks that are mined by one call.
const PORTION_BLOCKS: usize = 50;

/// What one wants different from the ordinary.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keep only the newest blocks: `-prune=1`, pruned by `pruneblockchain`.
    pub pruned: bool,
    /// Which chain, as bitcoind names it.
    pub chain: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { pruned: false, chain: "regtest" }
    }
}

/// A bitcoind with its directory and its ports, which it keeps over restarts.
#[derive(Debug)]
pub struct Bitcoind {
    dir: PathBuf,
    rpc: Port,
    options: Options,
    process: Option<Process>,
    /// The best chain as it was last read, from height 1: long chains are not read twice.
    read: Mutex<Vec<(BlockHash, Vec<Transaction>)>>,
}

impl Bitcoind {
    /// Starts one in `dir` and waits until it answers.
    pub async fn start(dir: &Path, options: Options) -> Result<Self> {
        let mut bitcoind = Self {
            dir: dir.to_owned(),
            rpc: Port::reserve()?,
            options,
            process: None,
            read: Mutex::default(),
        };
        bitcoind.launch().await?;
        Ok(bitcoind)
    }

    /// Starts it (again) in the same directory and on the same port.
    pub async fn launch(&mut self) -> Result<()> {
        // Small memory, no connections: one machine may run many.
        let mut arguments = vec![
            format!("-chain={}", self.options.chain),
            format!("-datadir={}", self.dir.display()),
            format!("-rpcport={}", self.rpc.number()),
            "-rpcbind=127.0.0.1".to_owned(),
            "-rpcallowip=127.0.0.1".to_owned(),
            "-server=1".to_owned(),
            "-listen=0".to_owned(),
            "-connect=0".to_owned(),
            "-dnsseed=0".to_owned(),
            "-rpcthreads=16".to_owned(),
            "-rpcworkqueue=256".to_owned(),
            "-par=1".to_owned(),
            "-dbcache=4".to_owned(),
            "-printtoconsole=0".to_owned(),
        ];
        if self.options.pruned {
            arguments.extend(["-prune=1".to_owned(), "-fastprune=1".to_owned()]);
        }
        let log = self.dir.join("bitcoind.log");
        let process = Process::spawn("bitcoind", provision::bitcoind()?, arguments, &log)?;
        poll::eventually("bitcoind answers", async || {
            process.must_run()?;
            self.client()?.get_block_count()?;
            Ok(Look::Done(()))
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// What counts from the next launch on.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Stops it gracefully.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.stop().await?;
        }
        Ok(())
    }

    /// Kills it, as a power failure would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.kill())
    }

    /// SIGSTOP: it takes connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.process.as_ref().context("bitcoind does not run")?.pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().context("bitcoind does not run")?.resume()
    }

    /// A fresh client: bitcoincore-rpc is blocking, every call of ours takes milliseconds.
    pub fn client(&self) -> Result<Client> {
        let url = format!("http://127.0.0.1:{}", self.rpc.number());
        Client::new(&url, Auth::CookieFile(self.cookie_file())).context("making an RPC client")
    }

    /// Of its process, where it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The RPC port.
    pub fn rpc_port(&self) -> u16 {
        self.rpc.number()
    }

    /// Where it writes its cookie.
    pub fn cookie_file(&self) -> PathBuf {
        self.dir.join(self.options.chain).join(".cookie")
    }

    /// Its data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Height and hash of the tip.
    pub fn tip(&self) -> Result<(u64, BlockHash)> {
        let info = self.client()?.get_blockchain_info().context("asking bitcoind for its tip")?;
        Ok((info.blocks, info.best_block_hash))
    }

    /// Mines blocks with what the mempool holds.
    pub fn mine_to(&self, blocks: u64, address: &Address) -> Result<Vec<BlockHash>> {
        let client = self.client()?;
        let mut mined = Vec::new();
        // In portions: one call has 15 s, which hundreds of blocks can take on a loaded machine.
        for first in (0..blocks).step_by(PORTION_BLOCKS) {
            let portion = (blocks - first).min(PORTION_BLOCKS as u64);
            mined.extend(client.generate_to_address(portion, address).context("mining")?);
        }
        Ok(mined)
    }

    /// Mines blocks that leave the mempool where it is.
    pub fn mine_empty_to(&self, blocks: u64, address: &Address) -> Result<()> {
        let client = self.client()?;
        for _ in 0..blocks {
            let none: [String; 0] = [];
            client
                .call::<serde_json::Value>(
                    "generateblock",
                    &[address.to_string().into(), serde_json::json!(none)],
                )
                .context("mining an empty block")?;
        }
        Ok(())
    }

    /// Takes the newest `depth` blocks out of the best chain; their transactions return to the mempool.
    pub fn disconnect(&self, depth: u64) -> Result<()> {
        let client = self.client()?;
        let first = client.get_block_count()? + 1 - depth;
        let hash = client.get_block_hash(first)?;
        client.invalidate_block(&hash).context("invalidating a block")
    }

    /// Throws away blocks up to a height, as far as a pruned one may; the first that is left.
    pub fn prune(&self, height: u64) -> Result<u64> {
        let client = self.client()?;
        client.call::<u64>("pruneblockchain", &[height.into()]).context("pruning")?;
        let info = client.get_blockchain_info()?;
        info.prune_height.context("a pruned bitcoind reports its lowest block")
    }

    /// Transactions that wait for a block.
    pub fn mempool(&self) -> Result<Vec<Txid>> {
        self.client()?.get_raw_mempool().context("reading the mempool")
    }

    /// Hands in a transaction.
    pub fn broadcast(&self, transaction: &Transaction) -> Result<Txid> {
        self.client()?.send_raw_transaction(transaction).context("broadcasting")
    }

    /// All transactions of the best chain, block by block from height 1, and then of the mempool.
    pub fn transactions(&self) -> Result<Vec<Mined>> {
        let client = self.client()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.truncate(usize::try_from(client.get_block_count()?)?);
        while let Some((hash, _)) = read.last() {
            if client.get_block_hash(u64::try_from(read.len())?)? == *hash {
                break;
            }
            read.pop();
        }
        for height in u64::try_from(read.len())? + 1..=client.get_block_count()? {
            let hash = client.get_block_hash(height)?;
            read.push((hash, client.get_block(&hash)?.txdata));
        }
        let mut all = Vec::new();
        for (height, (_, transactions)) in (1..).zip(read.iter()) {
            let mined = |transaction: &Transaction| Mined {
                height: Some(height),
                transaction: transaction.clone(),
            };
            all.extend(transactions.iter().map(mined));
        }
        // Parents before children, by the entries' ancestor counts.
        // bitcoincore-rpc wants a field that newer releases of Bitcoin Core leave out.
        let entries: HashMap<Txid, serde_json::Value> =
            client.call("getrawmempool", &[true.into()])?;
        let mut waiting: Vec<_> = entries.into_iter().collect();
        waiting.sort_by_key(|(_, entry)| entry["ancestorcount"].as_u64());
        for (txid, _) in waiting {
            let transaction = client.get_raw_transaction(&txid, None)?;
            all.push(Mined { height: None, transaction });
        }
        Ok(all)
    }
}

/// A transaction and the block that has it, if one has.
#[derive(Debug)]
pub struct Mined {
    /// None while it waits in the mempool.
    pub height: Option<u64>,
    /// The transaction.
    pub transaction: Transaction,
}
