//! Transactions that no block holds yet: seen, replaced, forgotten, broadcast again.

use std::collections::BTreeSet;

use bdk_wallet::Update;
use bdk_wallet::chain::{CanonicalizationParams, ChainPosition, TxUpdate};
use bitcoin::{Block, Transaction, Txid};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::storage::Batch;
use crate::tasks::Outcome;
use crate::wallet::error::Error;
use crate::wallet::ledger::Ledger;
use crate::wallet::{Wallet, coins};

/// A payment by others, a bump or a sweep that has not been seen for so long counts as gone: nodes drop
/// what has waited for two weeks (bitcoind's `-mempoolexpiry`).
const FORGOTTEN_AFTER_S: u64 = 14 * 24 * 60 * 60;

impl Wallet {
    /// Broadcasts again what only we have signed and no block holds, parents first; call it after the start
    /// and on each new tip. What others signed with us, LDK or they broadcast.
    pub fn rebroadcast(&self) -> Result<(), Error> {
        let waiting = {
            let mut ledger = self.ledger();
            let (waiting, forgotten) = ledger.waiting(self.now());
            if !forgotten.is_empty() {
                ledger.evict(forgotten, self.now());
                drop(self.keep(&mut ledger, Batch::new(), &[])?);
            }
            waiting
        };
        if !waiting.is_empty() {
            tracing::debug!(count = waiting.len(), "broadcasting unconfirmed transactions again");
            self.broadcast(&waiting);
        }
        Ok(())
    }

    /// Broadcasts again now and whenever a new tip is published, until `stopping`.
    pub async fn keep_broadcasting<T>(
        self,
        mut tips: watch::Receiver<T>,
        stopping: CancellationToken,
    ) -> Outcome {
        while !stopping.is_cancelled() {
            if let Err(error) = self.rebroadcast() {
                tracing::warn!(%error, "could not broadcast unconfirmed transactions again");
            }
            match stopping.run_until_cancelled(tips.changed()).await {
                Some(Ok(())) => (),
                // Nobody publishes tips any more: the daemon is on its way down.
                Some(Err(_)) => stopping.cancelled().await,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes in what LDK is about to broadcast together: fundings, bumps, sweeps.
    ///
    /// Of a package all is taken in if some of it is ours, so that a bump goes when the commitment that it
    /// bumps is displaced by the peer's.
    pub(in crate::wallet) fn announce(&self, package: &[&Transaction]) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        if !package.iter().any(|tx| ledger.may_concern_us(tx)) {
            return Ok(());
        }
        let now = self.now();
        let mut update = Update::default();
        for tx in package {
            let txid = tx.compute_txid();
            if ledger.is_settled_knowledge(txid, tx, now) {
                continue;
            }
            let evicted_at = ledger.bdk.tx_graph().get_last_evicted(txid);
            let seen_at = evicted_at.map_or(now, |evicted_at| now.max(evicted_at + 1));
            update.tx_update.txs.push((*tx).clone().into());
            update.tx_update.seen_ats.insert((txid, seen_at));
        }
        if update.tx_update.txs.is_empty() {
            return Ok(());
        }
        ledger.take_in(update);
        drop(self.keep(ledger, Batch::new(), &[])?);
        Ok(())
    }
}

impl Ledger {
    /// Adds transactions without a change of the chain.
    pub(in crate::wallet) fn take_in(&mut self, update: Update) {
        debug_assert!(update.chain.is_none());
        self.bdk.apply_update(update).expect("only a change of the chain can fail to connect");
    }

    /// Marks unconfirmed transactions as gone.
    pub(in crate::wallet) fn evict(&mut self, txids: BTreeSet<Txid>, now: u64) {
        if txids.is_empty() {
            return;
        }
        let mut tx_update = TxUpdate::default();
        for txid in txids {
            let last_seen = self.bdk.tx_graph().get_tx_node(txid).and_then(|tx| tx.last_seen);
            tx_update.evicted_ats.insert((txid, now.max(last_seen.unwrap_or(0))));
        }
        self.take_in(Update { tx_update, ..Update::default() });
    }

    /// Known transactions, with all that spends from them, of which the block spends an input otherwise.
    pub(in crate::wallet) fn displaced_by(&self, block: &Block) -> BTreeSet<Txid> {
        let graph = self.bdk.tx_graph();
        let mut displaced = BTreeSet::new();
        for tx in &block.txdata {
            let mut own_txid = None;
            for input in &tx.input {
                for spender in graph.outspends(input.previous_output) {
                    let own_txid = *own_txid.get_or_insert_with(|| tx.compute_txid());
                    if *spender != own_txid {
                        displaced.insert(*spender);
                        displaced.extend(graph.walk_descendants(*spender, |_, txid| Some(txid)));
                    }
                }
            }
        }
        displaced
    }

    /// What to broadcast again, parents before children, and what to forget.
    fn waiting(&self, now: u64) -> (Vec<Transaction>, BTreeSet<Txid>) {
        let (mut ours, mut forgotten) = (Vec::new(), BTreeSet::new());
        let (chain, tip) = (self.bdk.local_chain(), self.bdk.latest_checkpoint().block_id());
        let graph = self.bdk.tx_graph();
        for tx in graph.list_ordered_canonical_txs(chain, tip, CanonicalizationParams::default()) {
            let ChainPosition::Unconfirmed { last_seen, .. } = tx.chain_position else { continue };
            if coins::is_by_us_alone(&self.bdk, &tx.tx_node.tx) {
                ours.push(tx.tx_node.tx.as_ref().clone());
            } else if is_forgotten(last_seen, now) {
                forgotten.insert(tx.tx_node.txid);
            }
        }
        (ours, forgotten)
    }

    /// Whether a transaction that is not known yet would pay us or spend from us.
    fn may_concern_us(&self, tx: &Transaction) -> bool {
        let index = self.bdk.spk_index();
        tx.input.iter().any(|input| coins::is_ours(&self.bdk, input.previous_output))
            || tx
                .output
                .iter()
                .any(|output| index.index_of_spk(output.script_pubkey.clone()).is_some())
    }

    /// Whether seeing it once more would tell nothing: it is in a block, or waits unrivalled and was seen
    /// within the hour.
    fn is_settled_knowledge(&self, txid: Txid, tx: &Transaction, now: u64) -> bool {
        let graph = self.bdk.tx_graph();
        let Some(node) = graph.get_tx_node(txid) else { return false };
        let waits = || {
            node.last_seen.is_some_and(|seen| {
                seen.saturating_add(3_600) > now && graph.get_last_evicted(txid) < Some(seen)
            }) && graph.direct_conflicts(tx).next().is_none()
        };
        coins::is_confirmed(&self.bdk, txid) || waits()
    }
}

/// One that was in a block of a stale branch, and in no mempool that we saw, is not forgotten.
fn is_forgotten(last_seen: Option<u64>, now: u64) -> bool {
    last_seen.is_some_and(|seen| seen.saturating_add(FORGOTTEN_AFTER_S) < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_for_two_weeks_is_forgotten() {
        let day = 24 * 60 * 60;
        assert!(!is_forgotten(None, 100 * day));
        assert!(!is_forgotten(Some(86 * day), 100 * day));
        assert!(is_forgotten(Some(86 * day - 1), 100 * day));
        assert!(!is_forgotten(Some(101 * day), 100 * day));
    }
}
