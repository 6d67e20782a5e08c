//! What LDK asks of a wallet: coins for bumps, scripts for change and sweeps, and a look at what it broadcasts.

use std::sync::Arc;

use bdk_wallet::SignOptions;
use bitcoin::{Psbt, ScriptBuf, Transaction};
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::events::bump_transaction::Utxo;
use lightning::events::bump_transaction::sync::WalletSourceSync;
use lightning::sign::ChangeDestinationSourceSync;

use super::error::Error;
use super::ledger::Destination;
use super::{Wallet, coins};
use crate::chain::{Answer, Offer};
use crate::storage::Batch;

/// An empty script signature's length (4 weight units), then the witness of a taproot key spend: the number
/// of items, the length of a signature, and 64 bytes of it (BIP 341, default sighash).
const P2TR_SATISFACTION_WEIGHT: u64 = 4 + 1 + 1 + 64;

/// Tells the wallet what LDK broadcasts before it goes out, so that nothing else spends the same coins and
/// the list shows it at once; and others who want to see it.
pub struct RecordingBroadcaster<B> {
    wallet: Wallet,
    broadcaster: Arc<B>,
    observer: TransactionObserver,
}

/// Who looks at each transaction that is broadcast or found in the mempool; must not block.
pub type TransactionObserver = Arc<dyn Fn(&Transaction) + Send + Sync>;

impl<B> RecordingBroadcaster<B> {
    /// Puts the wallet before a broadcaster.
    pub fn new(wallet: Wallet, broadcaster: Arc<B>, observer: TransactionObserver) -> Self {
        Self { wallet, broadcaster, observer }
    }

    fn announce(&self, txs: &[&Transaction]) {
        if let Err(error) = self.wallet.announce(txs) {
            // A claim with a deadline goes out in any case; the block that confirms it tells the wallet.
            tracing::error!(%error, "could not record what is broadcast");
        }
        txs.iter().for_each(|tx| (self.observer)(tx));
    }
}

impl<B: BroadcasterInterface> BroadcasterInterface for RecordingBroadcaster<B> {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.announce(txs);
        self.broadcaster.broadcast_transactions(txs);
    }
}

impl<B: Offer> Offer for RecordingBroadcaster<B> {
    fn offer(&self, transactions: Vec<Transaction>) -> Answer {
        self.announce(&transactions.iter().collect::<Vec<_>>());
        self.broadcaster.offer(transactions)
    }

    /// Announces only what the wallet has never seen: what it has seen may have been displaced meanwhile, and to
    /// announce that again would lock the coins that it spends.
    fn offer_again(&self, transactions: Vec<Transaction>) -> Answer {
        let unseen = self.wallet.never_seen(&transactions);
        if !unseen.is_empty() {
            self.announce(&unseen);
        }
        self.broadcaster.offer_again(transactions)
    }
}

impl WalletSourceSync for Wallet {
    fn list_confirmed_utxos(&self) -> Result<Vec<Utxo>, ()> {
        let ledger = self.ledger();
        let view = |coin: bdk_wallet::chain::FullTxOut<_>| Utxo {
            outpoint: coin.outpoint,
            output: coin.txout,
            satisfaction_weight: P2TR_SATISFACTION_WEIGHT,
        };
        Ok(coins::for_bumping(&ledger.bdk).into_iter().map(view).collect())
    }

    fn get_change_script(&self) -> Result<ScriptBuf, ()> {
        self.destination(Destination::BumpChange).map_err(said("find a change address for a bump"))
    }

    fn sign_psbt(&self, psbt: Psbt) -> Result<Transaction, ()> {
        self.sign_ours(psbt).map_err(said("sign a bump"))
    }
}

impl ChangeDestinationSourceSync for Wallet {
    fn get_change_destination_script(&self) -> Result<ScriptBuf, ()> {
        self.destination(Destination::Sweep).map_err(said("find an address to sweep to"))
    }
}

impl Wallet {
    /// Returns the transactions of a package that the wallet has never seen; none of a package of which it has forgotten
    /// one, since then no transaction of the package can confirm.
    fn never_seen<'a>(&self, package: &'a [Transaction]) -> Vec<&'a Transaction> {
        let ledger = self.ledger();
        let graph = ledger.bdk.tx_graph();
        let is_forgotten = |tx: &Transaction| {
            let txid = tx.compute_txid();
            let seen_at = graph.get_tx_node(txid).and_then(|node| node.last_seen);
            // BDK counts a transaction as gone from the second in which it was evicted.
            graph.get_last_evicted(txid).is_some_and(|at| seen_at.is_none_or(|seen| seen <= at))
        };
        if package.iter().any(is_forgotten) {
            return Vec::new();
        }
        package.iter().filter(|tx| graph.get_tx(tx.compute_txid()).is_none()).collect()
    }

    /// Waits for the disk: money goes to that script before long.
    fn destination(&self, destination: Destination) -> Result<ScriptBuf, Error> {
        let (script, commit) = {
            let mut ledger = self.ledger();
            let script = ledger.destination(destination);
            if ledger.bdk.staged().is_none() {
                return Ok(script);
            }
            (script, self.keep(&mut ledger, Batch::new(), &[])?)
        };
        commit.wait()?;
        Ok(script)
    }

    /// Signs our inputs and leaves all others without a witness, for LDK to add.
    fn sign_ours(&self, mut psbt: Psbt) -> Result<Transaction, Error> {
        let ledger = self.ledger();
        let index = ledger.bdk.spk_index();
        let mut ours = Vec::new();
        for (position, input) in psbt.unsigned_tx.input.iter().enumerate() {
            if let Some((_, output)) = index.txout(input.previous_output) {
                // A taproot signature commits to what is spent: take our own knowledge of it.
                psbt.inputs[position].witness_utxo = Some(output.clone());
                ours.push(position);
            }
        }
        // LDK gives no whole previous transactions; taproot signatures commit to all spent amounts, so
        // nobody can make us burn money as fees by lying about one (BIP 341, sighash).
        let options = SignOptions { trust_witness_utxo: true, ..SignOptions::default() };
        self.sign(&ledger.bdk, &mut psbt, options)?;
        drop(ledger);
        let Psbt { unsigned_tx: mut tx, inputs, .. } = psbt;
        for position in ours {
            let witness = inputs[position].final_script_witness.clone();
            tx.input[position].witness = witness
                .ok_or_else(|| Error::Sign(format!("input {position} could not be signed")))?;
        }
        Ok(tx)
    }
}

fn said(what: &'static str) -> impl Fn(Error) {
    move |error| tracing::error!(%error, "could not {what}")
}
