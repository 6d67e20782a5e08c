//! Forgets unconfirmed transactions whose foreign inputs the chain has given to somebody else.
//!
//! A bump of a commitment that lost against the peer's, or a sweep that lost against a penalty, can never
//! confirm. No transaction of ours tells so: what displaced it concerns only others. So the chain is asked,
//! and what was spent for nothing is ours to spend again.

use std::collections::BTreeSet;

use bdk_wallet::chain::{CanonicalizationParams, ChainPosition};
use bitcoin::{OutPoint, Transaction, Txid};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::chain::{self, ChainSource};
use crate::storage::{self, Batch};
use crate::tasks::Outcome;
use crate::wallet::ledger::Ledger;
use crate::wallet::{Wallet, coins};

impl Wallet {
    /// On each new tip forgets what can no longer confirm, until `stopping`.
    pub async fn keep_forgetting<T>(
        self,
        source: impl ChainSource,
        mut tips: watch::Receiver<T>,
        stopping: CancellationToken,
    ) -> Outcome {
        loop {
            match stopping.run_until_cancelled(tips.changed()).await {
                Some(Ok(())) => (),
                // Nobody publishes tips any more: the daemon is on its way down.
                Some(Err(_)) => stopping.cancelled().await,
                None => return Ok(()),
            }
            match stopping.run_until_cancelled(self.forget_displaced(&source)).await {
                Some(Ok(())) | None => (),
                Some(Err(error)) => {
                    tracing::warn!(%error, "could not look for displaced transactions");
                }
            }
        }
    }

    /// Asks the chain about every foreign output that a waiting transaction leans on.
    ///
    /// One that is not confirmed yet looks like one that is spent: anyone who still wants such a transaction,
    /// LDK or its sweeper, broadcasts it again, and then it is known again.
    async fn forget_displaced(&self, source: &impl ChainSource) -> Result<(), DisplacedError> {
        let leaning = self.ledger().leaning();
        let mut displaced = BTreeSet::new();
        for (txid, outpoints) in leaning {
            for outpoint in outpoints {
                if source.unspent(outpoint).await?.is_none() {
                    displaced.insert(txid);
                    break;
                }
            }
        }
        if displaced.is_empty() {
            return Ok(());
        }
        let mut ledger = self.ledger();
        // While the chain was asked a block may have come.
        displaced.retain(|txid| !coins::is_confirmed(&ledger.bdk, *txid));
        tracing::info!(
            count = displaced.len(),
            "forgetting transactions that can no longer confirm"
        );
        let with_descendants = ledger.with_descendants(displaced);
        ledger.evict(with_descendants, self.now());
        drop(self.keep(&mut ledger, Batch::new(), &[])?);
        Ok(())
    }
}

/// Why displaced transactions could not be looked for.
#[derive(Debug, thiserror::Error)]
enum DisplacedError {
    #[error("bitcoind could not be asked: {0}")]
    Chain(#[from] chain::Error),
    #[error("could not be stored: {0}")]
    Store(#[from] storage::Error),
}

impl Ledger {
    /// Waiting transactions that others signed with us, each with the outputs outside of the wallet that
    /// it and its waiting ancestors spend. Payments to us may wait for a parent that we have not seen,
    /// and the mempool tells when they are gone.
    fn leaning(&self) -> Vec<(Txid, BTreeSet<OutPoint>)> {
        let (chain, tip) = (self.bdk.local_chain(), self.bdk.latest_checkpoint().block_id());
        let graph = self.bdk.tx_graph();
        graph
            .list_ordered_canonical_txs(chain, tip, CanonicalizationParams::default())
            .filter(|tx| matches!(tx.chain_position, ChainPosition::Unconfirmed { .. }))
            .filter(|tx| !coins::is_by_us_alone(&self.bdk, &tx.tx_node.tx))
            .filter(|tx| !self.is_receipt(&tx.tx_node.tx))
            .map(|tx| (tx.tx_node.txid, self.foreign_roots(&tx.tx_node.tx)))
            .filter(|(_, roots)| !roots.is_empty())
            .collect()
    }

    fn foreign_roots(&self, tx: &Transaction) -> BTreeSet<OutPoint> {
        let mut roots = BTreeSet::new();
        let mut unvisited: Vec<OutPoint> =
            tx.input.iter().map(|input| input.previous_output).collect();
        while let Some(outpoint) = unvisited.pop() {
            match self.bdk.tx_graph().get_tx(outpoint.txid) {
                Some(parent) if !coins::is_confirmed(&self.bdk, outpoint.txid) => {
                    unvisited.extend(parent.input.iter().map(|input| input.previous_output));
                }
                Some(_) | None if coins::is_ours(&self.bdk, outpoint) => (),
                Some(_) | None => {
                    roots.insert(outpoint);
                }
            }
        }
        roots
    }

    pub(in crate::wallet) fn with_descendants(&self, txids: BTreeSet<Txid>) -> BTreeSet<Txid> {
        let graph = self.bdk.tx_graph();
        let mut all = txids.clone();
        for txid in txids {
            all.extend(graph.walk_descendants(txid, |_, descendant| Some(descendant)));
        }
        all
    }
}
