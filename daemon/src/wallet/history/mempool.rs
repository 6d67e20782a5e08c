//! Watches the mempool: a payment shows before a block holds it, and goes when the mempool drops it.
//!
//! A mempool may hold hundreds of thousands of transactions, and only one that was read tells whom it pays.
//! So ids are listed every few seconds, and only what is new is read, a bounded number after each listing:
//! what has just come in first, then bit by bit what was there when the watch began.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bdk_wallet::KeychainKind;
use bdk_wallet::chain::{CanonicalizationParams, ChainPosition};
use bitcoin::{Transaction, Txid};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain::{self, ChainSource};
use crate::storage::Batch;
use crate::tasks::Outcome;
use crate::wallet::Wallet;
use crate::wallet::error::Error;
use crate::wallet::ldk::TransactionObserver;
use crate::wallet::ledger::Ledger;

/// Most transactions that are read after one listing; the whole network makes a tenth of that meanwhile.
pub(in crate::wallet) const READ_AT_MOST: usize = 1_000;
/// How many are asked for together: answers stay below some twenty megabytes, mostly far below.
const READ_TOGETHER: usize = 25;
/// A look that took long is followed by a rest so many times as long, whatever the interval.
const REST: u32 = 20;

impl Wallet {
    /// Looks every `interval`, or more seldom where the mempool is large, until `stopping`; never if it is
    /// zero. `observer` sees all that is read.
    pub async fn keep_watching_mempool(
        self,
        source: impl ChainSource,
        interval: Duration,
        observer: TransactionObserver,
        stopping: CancellationToken,
    ) -> Outcome {
        let mut seen = Seen::default();
        let mut told = false;
        while !interval.is_zero() {
            let began = Instant::now();
            let looked =
                stopping.run_until_cancelled(self.look(&source, &observer, &mut seen)).await;
            match looked {
                Some(Ok(())) => told = false,
                // The RPC client has logged that bitcoind is away.
                Some(Err(Failure::Chain(error))) if told || error.is_away() => (),
                Some(Err(error)) => {
                    tracing::warn!(%error, "could not look at the mempool; payments show in blocks");
                    told = true;
                }
                None => return Ok(()),
            }
            let pause = interval.max(began.elapsed().saturating_mul(REST));
            if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
        stopping.cancelled().await;
        Ok(())
    }

    /// One look at the mempool.
    pub(in crate::wallet) async fn look(
        &self,
        source: &impl ChainSource,
        observer: &TransactionObserver,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let listed: HashSet<Txid> = source.mempool().await?.into_iter().collect();
        let tip = source.tip().await?;
        if tip.initial_download {
            return Ok(());
        }
        // Only who has all blocks up to the listing knows that an absent payment is not in one of them.
        if self.best_block().block_hash == tip.hash {
            self.forget_dropped(&listed)?;
        }
        seen.update(&listed);
        let mut unread = seen.next(READ_AT_MOST);
        while !unread.is_empty() {
            let together = unread.split_off(unread.len().saturating_sub(READ_TOGETHER));
            let transactions = match source.mempool_transactions(&together).await {
                Ok(transactions) => transactions,
                Err(error) => {
                    unread.extend(together);
                    seen.put_back(unread);
                    return Err(error.into());
                }
            };
            transactions.iter().for_each(|tx| observer(tx));
            self.apply_mempool(transactions)?;
        }
        Ok(())
    }

    /// Takes in what waits in the mempool now; what is not ours is passed over.
    pub(in crate::wallet) fn apply_mempool(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let now = self.now();
        let graph = ledger.bdk.tx_graph();
        let seen: Vec<(Transaction, u64)> = transactions
            .into_iter()
            .map(|tx| {
                // Newer than an eviction in the same second.
                let evicted_at = graph.get_last_evicted(tx.compute_txid());
                (tx, evicted_at.map_or(now, |evicted_at| now.max(evicted_at + 1)))
            })
            .collect();
        ledger.bdk.apply_unconfirmed_txs(seen);
        if ledger.bdk.staged().is_some() {
            drop(self.keep(&mut ledger, Batch::new(), &[])?);
        }
        Ok(())
    }

    fn forget_dropped(&self, listed: &HashSet<Txid>) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let dropped = ledger.dropped(listed);
        if dropped.is_empty() {
            return Ok(());
        }
        tracing::info!(
            count = dropped.len(),
            "payments to us have left the mempool without a block"
        );
        let with_descendants = ledger.with_descendants(dropped);
        ledger.evict(with_descendants, self.now());
        drop(self.keep(&mut ledger, Batch::new(), &[])?);
        Ok(())
    }
}

/// Why the mempool could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(in crate::wallet) enum Failure {
    #[error("bitcoind could not be asked: {0}")]
    Chain(#[from] chain::Error),
    #[error("could not be taken in: {0}")]
    Wallet(#[from] Error),
}

impl Ledger {
    /// Waiting payments by others to addresses that we gave out, of which none is listed any more.
    ///
    /// Not what we sign or what pays our change addresses: sends, closes, sweeps, and bumps are broadcast
    /// again, by us or by LDK, and their money would be counted nowhere while they are not listed.
    fn dropped(&self, listed: &HashSet<Txid>) -> BTreeSet<Txid> {
        let (chain, tip) = (self.bdk.local_chain(), self.bdk.latest_checkpoint().block_id());
        self.bdk
            .tx_graph()
            .list_ordered_canonical_txs(chain, tip, CanonicalizationParams::default())
            .filter(|tx| matches!(tx.chain_position, ChainPosition::Unconfirmed { .. }))
            .filter(|tx| !listed.contains(&tx.tx_node.txid) && self.is_receipt(&tx.tx_node.tx))
            .map(|tx| tx.tx_node.txid)
            .collect()
    }

    /// Whether others alone signed it, and it pays an address that we gave out.
    pub(in crate::wallet) fn is_receipt(&self, tx: &Transaction) -> bool {
        let index = self.bdk.spk_index();
        let keychain = |output: &bitcoin::TxOut| {
            index.index_of_spk(output.script_pubkey.clone()).map(|(keychain, _)| *keychain)
        };
        tx.input.iter().all(|input| index.txout(input.previous_output).is_none())
            && tx.output.iter().any(|output| keychain(output) == Some(KeychainKind::External))
    }
}

/// What of the mempool was listed so far, and what of it is still to be read.
#[derive(Debug, Default)]
pub(in crate::wallet) struct Seen {
    /// Whether it was handed out for reading.
    read: HashMap<Txid, bool>,
    /// The newest at the end; some may have left the mempool since.
    unread: Vec<Txid>,
}

impl Seen {
    fn update(&mut self, listed: &HashSet<Txid>) {
        self.read.retain(|txid, _| listed.contains(txid));
        for txid in listed {
            if !self.read.contains_key(txid) {
                self.read.insert(*txid, false);
                self.unread.push(*txid);
            }
        }
        if self.unread.len() > 2 * self.read.len() {
            self.unread.retain(|txid| self.read.get(txid) == Some(&false));
        }
    }

    /// Hands out at most so many, the newest at the end.
    fn next(&mut self, at_most: usize) -> Vec<Txid> {
        let mut next = Vec::new();
        while next.len() < at_most
            && let Some(txid) = self.unread.pop()
        {
            // One that left and came back stands here twice.
            if let Some(read) = self.read.get_mut(&txid).filter(|read| !**read) {
                *read = true;
                next.push(txid);
            }
        }
        next.reverse();
        next
    }

    fn put_back(&mut self, txids: Vec<Txid>) {
        for txid in txids {
            if let Some(read) = self.read.get_mut(&txid) {
                *read = false;
                self.unread.push(txid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    fn ids(numbers: &[u8]) -> HashSet<Txid> {
        numbers.iter().map(|number| id(*number)).collect()
    }

    fn id(number: u8) -> Txid {
        Txid::from_byte_array([number; 32])
    }

    #[test]
    fn what_is_new_is_read_first_and_everything_once() {
        let mut seen = Seen::default();
        seen.update(&ids(&[1, 2, 3, 4]));
        let first = seen.next(2);
        assert_eq!(first.len(), 2);
        seen.update(&ids(&[1, 2, 3, 4, 5, 6]));
        let newest: HashSet<Txid> = seen.next(2).into_iter().collect();
        assert_eq!(newest, ids(&[5, 6]));
        let rest = seen.next(100);
        let all: HashSet<Txid> = first.into_iter().chain(rest).collect();
        assert_eq!(all, ids(&[1, 2, 3, 4]));
        seen.update(&ids(&[1, 2, 3, 4, 5, 6]));
        assert_eq!(seen.next(100), []);
    }

    #[test]
    fn what_left_is_not_read_and_what_comes_back_is_read_once_more() {
        let mut seen = Seen::default();
        seen.update(&ids(&[1, 2]));
        seen.update(&ids(&[2]));
        assert_eq!(seen.next(100), [id(2)]);
        seen.update(&ids(&[]));
        seen.update(&ids(&[2]));
        assert_eq!(seen.next(100), [id(2)]);
        assert!(seen.unread.is_empty());
    }

    #[test]
    fn what_could_not_be_read_is_tried_again() {
        let mut seen = Seen::default();
        seen.update(&ids(&[1, 2]));
        let handed_out = seen.next(100);
        seen.put_back(handed_out.clone());
        assert_eq!(seen.next(100), handed_out);
    }

    #[test]
    fn a_mempool_that_comes_and_goes_leaves_nothing_behind() {
        let mut seen = Seen::default();
        for number in 0..200 {
            seen.update(&ids(&[number]));
        }
        assert_eq!(seen.read.len(), 1);
        assert!(seen.unread.len() <= 2, "{}", seen.unread.len());
    }
}
