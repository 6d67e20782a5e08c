//! A chain in memory for tests: mines, reorganises, goes away, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, Work,
};
use lightning::chain::BestBlock;
use tokio::sync::watch;

use super::{ChainSource, Error, EstimateMode, Health, KnownBlock, SourceTip, UtxoState, Verdict};

/// A chain in memory; clones are the same chain.
#[derive(Clone)]
pub(crate) struct FakeChain {
    state: Arc<Mutex<State>>,
    hints: watch::Sender<Option<BlockHash>>,
    health: watch::Sender<Health>,
    failed: watch::Sender<u32>,
}

type Deed = Box<dyn FnOnce(&FakeChain) + Send>;

struct State {
    blocks: HashMap<BlockHash, (Block, u32, u32)>,
    active: Vec<BlockHash>,
    nonce: u32,
    away: bool,
    submitted: Vec<Txid>,
    packages: Vec<Vec<Txid>>,
    verdicts: HashMap<Txid, Verdict>,
    estimates: HashMap<u16, u32>,
    mempool_minimum: u32,
    pruned_below: Option<u32>,
    mempool: Vec<Transaction>,
    mempool_reads: Vec<Vec<Txid>>,
    txid_calls: u32,
    block_calls: Vec<BlockHash>,
    on_block: Option<Deed>,
}

impl FakeChain {
    pub(crate) fn new() -> Self {
        let genesis = genesis_block(Network::Regtest);
        let hash = genesis.block_hash();
        let state = State {
            blocks: HashMap::from([(hash, (genesis, 0, 1))]),
            active: vec![hash],
            nonce: 0,
            away: false,
            submitted: Vec::new(),
            packages: Vec::new(),
            verdicts: HashMap::new(),
            estimates: HashMap::new(),
            mempool_minimum: 250,
            pruned_below: None,
            mempool: Vec::new(),
            mempool_reads: Vec::new(),
            txid_calls: 0,
            block_calls: Vec::new(),
            on_block: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            hints: watch::Sender::new(None),
            health: watch::Sender::new(Health::Well),
            failed: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    pub(crate) fn mine(&self, count: u32) {
        (0..count).for_each(|_| self.mine_with(Vec::new()));
    }

    pub(crate) fn mine_with(&self, transactions: Vec<Transaction>) {
        let mut state = self.state();
        state.nonce += 1;
        let parent = *state.active.last().expect("there is a genesis block");
        let (_, height, work) = state.blocks[&parent];
        let coinbase = transaction(1_000_000 + state.nonce, &[]);
        let txdata = std::iter::once(coinbase).chain(transactions).collect();
        let header = Header {
            version: Version::TWO,
            prev_blockhash: parent,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 1_700_000_000 + height,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: state.nonce,
        };
        let block = Block { header, txdata };
        let hash = block.block_hash();
        state.blocks.insert(hash, (block, height + 1, work + 1));
        state.active.push(hash);
        drop(state);
        self.hints.send_replace(Some(hash));
    }

    /// Replaces the last `depth` blocks by `count` others.
    pub(crate) fn reorganise(&self, depth: usize, count: u32) {
        let mut state = self.state();
        let kept = state.active.len() - depth;
        state.active.truncate(kept);
        drop(state);
        self.mine(count);
    }

    /// Loses all knowledge of the last `depth` blocks, as a crash before a flush does.
    pub(crate) fn lose(&self, depth: usize) {
        let mut state = self.state();
        let kept = state.active.len() - depth;
        for hash in state.active.split_off(kept) {
            state.blocks.remove(&hash);
        }
    }

    pub(crate) fn best(&self) -> BestBlock {
        let height = self.state().active.len() as u32 - 1;
        self.best_at(height)
    }

    pub(crate) fn best_at(&self, height: u32) -> BestBlock {
        BestBlock::new(self.state().active[height as usize], height)
    }

    pub(crate) fn go_away(&self) {
        self.state().away = true;
        let health = Health::Away { since: SystemTime::UNIX_EPOCH, why: away() };
        self.health.send_replace(health);
    }

    pub(crate) fn come_back(&self) {
        self.state().away = false;
        self.health.send_replace(Health::Well);
    }

    pub(crate) fn judge(&self, txid: Txid, verdict: Verdict) {
        self.state().verdicts.insert(txid, verdict);
    }

    pub(crate) fn set_estimates(&self, sat_per_kw: &[(u16, u32)], mempool_minimum: u32) {
        let mut state = self.state();
        state.estimates = sat_per_kw.iter().copied().collect();
        state.mempool_minimum = mempool_minimum;
    }

    pub(crate) fn prune_below(&self, height: u32) {
        self.state().pruned_below = Some(height);
    }

    pub(crate) fn set_mempool(&self, transactions: Vec<Transaction>) {
        self.state().mempool = transactions;
    }

    /// Which transactions were asked for together.
    pub(crate) fn mempool_reads(&self) -> Vec<Vec<Txid>> {
        self.state().mempool_reads.clone()
    }

    /// Does something when the next block is fetched.
    pub(crate) fn on_next_block(&self, deed: impl FnOnce(&FakeChain) + Send + 'static) {
        self.state().on_block = Some(Box::new(deed));
    }

    /// Completes when that many calls have failed since the chain was made.
    pub(crate) async fn failed_calls(&self, count: u32) {
        let mut failed = self.failed.subscribe();
        failed.wait_for(|failed| *failed >= count).await.expect("this chain is its sender");
    }

    pub(crate) fn submitted(&self) -> Vec<Txid> {
        self.state().submitted.clone()
    }

    pub(crate) fn packages(&self) -> Vec<Vec<Txid>> {
        self.state().packages.clone()
    }

    pub(crate) fn txid_calls(&self) -> u32 {
        self.state().txid_calls
    }

    pub(crate) fn block_calls(&self) -> Vec<BlockHash> {
        self.state().block_calls.clone()
    }

    fn asked(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.away {
            drop(state);
            self.failed.send_modify(|failed| *failed += 1);
            return Err(away());
        }
        Ok(state)
    }
}

fn away() -> Error {
    Error::Unreachable { url: "fake".to_owned(), reason: "away".to_owned() }
}

/// Returns a transaction that is unlike those of other numbers, spending first outputs.
pub(crate) fn transaction(number: u32, parents: &[&Transaction]) -> Transaction {
    let spend = |txid| TxIn {
        previous_output: OutPoint::new(txid, 0),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let elsewhere = Txid::from_byte_array([number.to_le_bytes()[0]; 32]);
    let mut input: Vec<TxIn> = parents.iter().map(|tx| spend(tx.compute_txid())).collect();
    if input.is_empty() {
        input.push(spend(elsewhere));
    }
    let value = Amount::from_sat(u64::from(number));
    let output = vec![TxOut { value, script_pubkey: ScriptBuf::new() }];
    let version = bitcoin::transaction::Version::TWO;
    Transaction { version, lock_time: LockTime::ZERO, input, output }
}

fn work(amount: u32) -> Work {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&amount.to_be_bytes());
    Work::from_be_bytes(bytes)
}

impl ChainSource for FakeChain {
    async fn tip(&self) -> Result<SourceTip, Error> {
        let state = self.asked()?;
        let hash = *state.active.last().expect("there is a genesis block");
        let (block, height, chainwork) = &state.blocks[&hash];
        Ok(SourceTip {
            hash,
            height: *height,
            time: block.header.time,
            work: work(*chainwork),
            initial_download: false,
            peers: 8,
        })
    }

    async fn known_block(&self, hash: BlockHash) -> Result<KnownBlock, Error> {
        let state = self.asked()?;
        let known = state.blocks.get(&hash).ok_or(Error::UnknownBlock { hash })?;
        let (block, height, chainwork) = known;
        let previous = block.header.prev_blockhash;
        let median_time = block.header.time;
        Ok(KnownBlock { previous, height: *height, work: work(*chainwork), median_time })
    }

    async fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, Error> {
        Ok(self.asked()?.active.get(height as usize).copied())
    }

    async fn block(&self, hash: BlockHash) -> Result<Block, Error> {
        let deed = self.asked()?.on_block.take();
        if let Some(deed) = deed {
            deed(self);
        }
        let mut state = self.asked()?;
        state.block_calls.push(hash);
        let known = state.blocks.get(&hash).ok_or(Error::UnknownBlock { hash })?;
        Ok(known.0.clone())
    }

    async fn pruned_below(&self) -> Result<Option<u32>, Error> {
        Ok(self.asked()?.pruned_below)
    }

    async fn block_txids(&self, hash: BlockHash) -> Result<Vec<Txid>, Error> {
        self.state().txid_calls += 1;
        let block = self.block(hash).await?;
        Ok(block.txdata.iter().map(Transaction::compute_txid).collect())
    }

    async fn unspent(&self, outpoint: OutPoint) -> Result<Option<UtxoState>, Error> {
        let state = self.asked()?;
        for (depth, hash) in state.active.iter().rev().enumerate() {
            for transaction in &state.blocks[hash].0.txdata {
                if transaction.compute_txid() == outpoint.txid {
                    let output = transaction.output.get(outpoint.vout as usize).cloned();
                    let confirmations = depth as u32 + 1;
                    return Ok(output.map(|output| UtxoState { output, confirmations }));
                }
            }
        }
        Ok(None)
    }

    async fn estimate_sat_per_kw(
        &self,
        blocks: u16,
        _mode: EstimateMode,
    ) -> Result<Option<u32>, Error> {
        Ok(self.asked()?.estimates.get(&blocks).copied())
    }

    async fn mempool_minimum_sat_per_kw(&self) -> Result<u32, Error> {
        Ok(self.asked()?.mempool_minimum)
    }

    async fn mempool(&self) -> Result<Vec<Txid>, Error> {
        Ok(self.asked()?.mempool.iter().map(Transaction::compute_txid).collect())
    }

    async fn mempool_transactions(&self, txids: &[Txid]) -> Result<Vec<Transaction>, Error> {
        let mut state = self.asked()?;
        state.mempool_reads.push(txids.to_vec());
        let asked_for = |tx: &&Transaction| txids.contains(&tx.compute_txid());
        Ok(state.mempool.iter().filter(asked_for).cloned().collect())
    }

    async fn submit(&self, transaction: &Transaction) -> Result<Verdict, Error> {
        let mut state = self.asked()?;
        let txid = transaction.compute_txid();
        state.submitted.push(txid);
        Ok(state.verdicts.get(&txid).cloned().unwrap_or(Verdict::Accepted))
    }

    async fn submit_package(
        &self,
        transactions: &[Transaction],
    ) -> Result<Vec<(Txid, Verdict)>, Error> {
        let ids: Vec<Txid> = transactions.iter().map(Transaction::compute_txid).collect();
        self.asked()?.packages.push(ids.clone());
        Ok(ids.into_iter().map(|txid| (txid, Verdict::Accepted)).collect())
    }

    fn tip_hints(&self) -> watch::Receiver<Option<BlockHash>> {
        self.hints.subscribe()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }
}
