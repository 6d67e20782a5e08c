//! What this daemon asks of the chain: the trait that bitcoind implements and tests fake.

use std::future::Future;
use std::time::SystemTime;

use bitcoin::{Block, BlockHash, OutPoint, Transaction, TxOut, Txid, Work};
use lightning::chain::BestBlock;
use tokio::sync::watch;

use super::{Error, Verdict};

/// A view of the chain.
///
/// Every call is one attempt: patience is the caller's ([`Backoff`](super::Backoff)).
pub trait ChainSource: Clone + Send + Sync + 'static {
    /// Returns the tip of the best chain that is known and valid.
    fn tip(&self) -> impl Future<Output = Result<SourceTip, Error>> + Send;

    /// Returns what is known of a block, on the best chain or not.
    fn known_block(
        &self,
        hash: BlockHash,
    ) -> impl Future<Output = Result<KnownBlock, Error>> + Send;

    /// Returns the block of the best chain at a height; none above the tip.
    fn block_hash(
        &self,
        height: u32,
    ) -> impl Future<Output = Result<Option<BlockHash>, Error>> + Send;

    /// Returns a whole block.
    fn block(&self, hash: BlockHash) -> impl Future<Output = Result<Block, Error>> + Send;

    /// Returns the lowest block that the source still has; none if it keeps all.
    fn pruned_below(&self) -> impl Future<Output = Result<Option<u32>, Error>> + Send;

    /// Returns the ids of a block's transactions, in order.
    ///
    /// # Errors
    /// [`Error::Pruned`]: the source does not fetch the block back from elsewhere.
    fn block_txids(&self, hash: BlockHash)
    -> impl Future<Output = Result<Vec<Txid>, Error>> + Send;

    /// Returns an output if it is confirmed and no confirmed transaction has spent it.
    fn unspent(
        &self,
        outpoint: OutPoint,
    ) -> impl Future<Output = Result<Option<UtxoState>, Error>> + Send;

    /// Returns the feerate, in sat per 1000 weight, to confirm within `blocks`; none if unknown.
    fn estimate_sat_per_kw(
        &self,
        blocks: u16,
        mode: EstimateMode,
    ) -> impl Future<Output = Result<Option<u32>, Error>> + Send;

    /// Returns the lowest feerate, in sat per 1000 weight, that enters the mempool now.
    fn mempool_minimum_sat_per_kw(&self) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Returns the ids of all transactions in the mempool, in no order.
    fn mempool(&self) -> impl Future<Output = Result<Vec<Txid>, Error>> + Send;

    /// Returns those of these transactions that are still in the mempool.
    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> impl Future<Output = Result<Vec<Transaction>, Error>> + Send;

    /// Offers a transaction to the mempool and, through it, to the network.
    fn submit(
        &self,
        transaction: &Transaction,
    ) -> impl Future<Output = Result<Verdict, Error>> + Send;

    /// Offers a child with its parents, parents first, as one package.
    fn submit_package(
        &self,
        transactions: &[Transaction],
    ) -> impl Future<Output = Result<Vec<(Txid, Verdict)>, Error>> + Send;

    /// Changes whenever the tip may have changed; a hint only, some changes may be missed.
    fn tip_hints(&self) -> watch::Receiver<Option<BlockHash>>;

    /// Tells whether the source answers.
    fn health(&self) -> watch::Receiver<Health>;
}

/// The tip of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// The time in its header, in seconds since 1970.
    pub time: u32,
    /// All the work in the chain up to it.
    pub work: Work,
    /// Whether the source is still downloading old blocks.
    pub initial_download: bool,
    /// How many nodes of the Bitcoin network the source is connected to.
    pub peers: u32,
}

impl SourceTip {
    /// Returns it in LDK's form, as the starting point of a new node or wallet.
    pub fn best_block(&self) -> BestBlock {
        BestBlock::new(self.hash, self.height)
    }
}

/// What is known of a block without its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBlock {
    /// The block it builds on.
    pub previous: BlockHash,
    /// Its height.
    pub height: u32,
    /// All the work in the chain up to it.
    pub work: Work,
    /// The median time of it and the ten before it, in seconds since 1970 (BIP 113).
    pub median_time: u32,
}

/// An output in the set of unspent ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UtxoState {
    /// The output.
    pub output: TxOut,
    /// How deep it is; 1 in the tip's block.
    pub confirmations: u32,
}

/// How bitcoind's estimator weighs the recent past (`estimatesmartfee`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EstimateMode {
    /// Follows the present; lower.
    Economical,
    /// Remembers high fees for longer; higher.
    Conservative,
}

/// Whether the source answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last call was answered.
    Well,
    /// Calls fail.
    Away {
        /// Since when.
        since: SystemTime,
        /// With what.
        why: Error,
    },
}
