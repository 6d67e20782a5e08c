//! The wallet's transactions as people list them: newest first, with what the chain does not know.

mod conflicts;
pub(super) mod labels;
pub(super) mod mempool;
mod unconfirmed;

use std::collections::HashMap;

use bdk_wallet::ChangeSet;
use bdk_wallet::chain::{ChainPosition, ConfirmationBlockTime};
use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Txid};
use lightning::impl_writeable_tlv_based;

use super::error::Error;
use super::ledger::Ledger;
use super::{Wallet, coins};
use crate::journal::Entry;
use crate::listing::{Ask, Filter, Listed};
use crate::storage::{self, Batch, History, record};

const TRANSACTIONS: History<TransactionRecord> = History::new("wallet-transactions");

/// What is kept of a transaction besides bdk's graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransactionRecord {
    txid: Txid,
    label: String,
    /// Seconds since 1970.
    seen_at: u64,
    /// Whether its first confirmation is in the journal; a reorganisation adds no second entry.
    confirmed_before: bool,
}

impl_writeable_tlv_based!(TransactionRecord, {
    (0, txid, required),
    (2, label, required),
    (4, seen_at, required),
    (6, confirmed_before, required),
});
record!(TransactionRecord, kind = 71, version = 1);

/// A transaction of the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletTransaction {
    /// Its id.
    pub txid: Txid,
    /// What it changed in the wallet, in satoshis; positive when it brought money.
    pub net_sat: i64,
    /// Known where all inputs are.
    pub fee_sat: Option<u64>,
    /// Virtual bytes.
    pub vsize: u64,
    /// None while unconfirmed.
    pub block_height: Option<u32>,
    /// 0 while unconfirmed.
    pub confirmations: u32,
    /// Seconds since 1970.
    pub seen_at: u64,
    /// What the user, or the daemon, called it.
    pub label: String,
}

impl Listed for WalletTransaction {
    const ASKS: &'static [Ask] = &[Ask::Time, Ask::Amount, Ask::Words];

    fn at(&self) -> u64 {
        self.seen_at
    }

    fn amount_msat(&self) -> u64 {
        self.net_sat.unsigned_abs().saturating_mul(1_000)
    }

    fn texts(&self) -> Vec<&str> {
        vec![&self.label]
    }
}

/// Of a record only the time is asked; the rest is asked of the transaction that it stands for.
impl Listed for TransactionRecord {
    const ASKS: &'static [Ask] = &[Ask::Time];

    fn at(&self) -> u64 {
        self.seen_at
    }
}

/// One page of transactions, newest first.
#[derive(Clone, Debug)]
pub struct TransactionPage {
    /// The transactions.
    pub transactions: Vec<WalletTransaction>,
    /// Asks for the page after; empty at the end.
    pub next_token: Vec<u8>,
}

impl Wallet {
    /// Lists the transactions that are wanted and that pass `also`, newest first; those that were replaced by others are
    /// left out.
    pub fn transactions(
        &self,
        token: &[u8],
        limit: usize,
        wanted: &Filter,
        also: impl Fn(&WalletTransaction) -> bool,
    ) -> Result<TransactionPage, Error> {
        let ledger = self.ledger();
        let bdk = &ledger.bdk;
        let positions: HashMap<Txid, ChainPosition<ConfirmationBlockTime>> =
            bdk.transactions().map(|tx| (tx.tx_node.txid, tx.chain_position)).collect();
        let tip = bdk.latest_checkpoint().height();
        let view = |record: &TransactionRecord| {
            let tx = bdk.tx_graph().get_tx(record.txid)?;
            let (sent, received) = bdk.sent_and_received(&tx);
            let block_height = match positions.get(&record.txid)? {
                ChainPosition::Confirmed { anchor, .. } => Some(anchor.block_id.height),
                ChainPosition::Unconfirmed { .. } => None,
            };
            Some(WalletTransaction {
                txid: record.txid,
                net_sat: received.to_sat() as i64 - sent.to_sat() as i64,
                fee_sat: bdk.calculate_fee(&tx).ok().map(|fee| fee.to_sat()),
                vsize: tx.vsize() as u64,
                block_height,
                confirmations: block_height.map_or(0, |height| (tip + 1).saturating_sub(height)),
                seen_at: record.seen_at,
                label: record.label.clone(),
            })
        };
        let in_time = Filter { time: wanted.time, ..Filter::default() };
        let is_wanted = |record: &TransactionRecord| {
            view(record)
                .is_some_and(|transaction| wanted.passes(&transaction) && also(&transaction))
        };
        let page = TRANSACTIONS.list(self.store(), token, limit, &in_time, is_wanted)?;
        Ok(TransactionPage {
            transactions: page.items.iter().filter_map(|(_, record)| view(record)).collect(),
            next_token: page.next_token,
        })
    }

    /// Records what a change of the wallet brought: transactions seen for the first time, and first
    /// confirmations. `labels` are for transactions that are ours.
    pub(super) fn note(
        &self,
        ledger: &Ledger,
        changes: &ChangeSet,
        labels: &[(Txid, String)],
        now: u64,
        batch: &mut Batch,
    ) -> Result<(), storage::Error> {
        let mut noted = HashMap::new();
        for tx in &changes.tx_graph.txs {
            if coins::concerns_us(&ledger.bdk, tx) {
                noted.insert(tx.compute_txid(), now);
            }
        }
        for (anchor, txid) in &changes.tx_graph.anchors {
            // bdk keeps what takes the place of a payment to us as well, also if it pays others.
            let tx = ledger.bdk.tx_graph().get_tx(*txid);
            if !tx.is_some_and(|tx| coins::concerns_us(&ledger.bdk, &tx)) {
                continue;
            }
            let seen_at = noted.entry(*txid).or_insert(now);
            *seen_at = now.min(anchor.confirmation_time);
        }
        for (txid, seen_at) in noted {
            let confirmed = coins::is_confirmed(&ledger.bdk, txid);
            let id = txid.to_byte_array();
            let stored = TRANSACTIONS.get(self.store(), &id)?;
            let before = stored.as_ref().is_some_and(|record| record.confirmed_before);
            match stored {
                None => {
                    let given = labels.iter().find(|(of, _)| *of == txid);
                    let label = match given {
                        Some((_, label)) => label.clone(),
                        None => self.funding_label(txid)?.unwrap_or_default(),
                    };
                    let record =
                        TransactionRecord { txid, label, seen_at, confirmed_before: confirmed };
                    TRANSACTIONS.insert(self.store(), batch, &id, &record)?;
                }
                Some(record) if confirmed && !before => {
                    let record = TransactionRecord { confirmed_before: true, ..record };
                    TRANSACTIONS.update(batch, &id, &record);
                }
                Some(_) => (),
            }
            if confirmed && !before {
                self.tell_receipt(ledger, txid, batch);
            }
        }
        Ok(())
    }

    /// A payment by others gets its entry at its first confirmation; change of our own gets none.
    fn tell_receipt(&self, ledger: &Ledger, txid: Txid, batch: &mut Batch) {
        let Some(tx) = ledger.bdk.tx_graph().get_tx(txid) else { return };
        let spends_ours = |outpoint: OutPoint| coins::is_ours(&ledger.bdk, outpoint);
        if tx.input.iter().any(|input| spends_ours(input.previous_output)) {
            return;
        }
        let (_, received) = ledger.bdk.sent_and_received(&tx);
        let amount_sat = received.to_sat();
        self.journal().append(batch, Entry::WalletReceived { txid, amount_sat });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_is_read_for_ever() {
        let txid = [&[0, 32][..], &[7; 32]].concat();
        let rest =
            [&[2, 6, 0, 4][..], b"rent", &[4, 8, 0, 0, 0, 0, 0, 0, 1, 0], &[6, 1, 1]].concat();
        let length = (txid.len() + rest.len()) as u8;
        let stored = [vec![length], txid, rest].concat();
        let record = TransactionRecord {
            txid: Txid::from_byte_array([7; 32]),
            label: "rent".to_owned(),
            seen_at: 256,
            confirmed_before: true,
        };
        assert_eq!(TransactionRecord::decode(1, &stored).expect("reads"), record);
        assert_eq!(record.encode(), stored);
    }
}
