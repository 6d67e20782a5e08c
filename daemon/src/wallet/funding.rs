//! Funds channels: a signed transaction whose inputs stay locked until it is confirmed or discarded.

use std::collections::{BTreeSet, HashSet};

use bdk_wallet::ChangeSet;
use bitcoin::hashes::Hash as _;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid, WScriptHash};
use lightning::impl_writeable_tlv_based;

use super::Wallet;
use super::coins::build::{self, CoinChoice, Order, Value};
use super::coins::reserve::AnchorReserve;
use super::error::Error;
use super::ledger::Ledger;
use crate::storage::{self, Batch, Table, record};

const FUNDINGS: Table<FundingRecord> = Table::new("wallet-fundings");
/// How transactions that fund channels are called in the list.
const LABEL: &str = "channel funding";

/// A funding that is neither confirmed nor discarded; it stands under its id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FundingRecord {
    transaction: Transaction,
}

impl_writeable_tlv_based!(FundingRecord, {
    (0, transaction, required),
});
record!(FundingRecord, kind = 73, version = 1);

impl Wallet {
    /// Builds and signs a transaction that pays each amount, in satoshis, to a channel's script. Its inputs are locked,
    /// durably, before it is returned; LDK broadcasts it. `reserve` counts the channels.
    ///
    /// # Errors
    /// [`Error::InsufficientFunds`] and its like.
    pub async fn fund(
        &self,
        channels: &[(ScriptBuf, u64)],
        feerate: FeeRate,
        coins: &CoinChoice,
        reserve: AnchorReserve,
    ) -> Result<Transaction, Error> {
        let (tx, commit) = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            let outputs: Vec<_> = channels
                .iter()
                .map(|(script, sat)| (script.clone(), Value::Exactly(*sat)))
                .collect();
            let leased = ledger.leased(self.now());
            let order = Order { outputs: &outputs, feerate, reserve, coins, leased: &leased };
            let built = self.or_split(build::build(&mut ledger.bdk, order))?;
            build::take_change(&mut ledger.bdk, &built);
            let tx = self.sign_whole(&ledger.bdk, built.psbt)?;
            tx.input.iter().for_each(|input| ledger.bdk.lock_outpoint(input.previous_output));
            let record = FundingRecord { transaction: tx.clone() };
            let mut batch = Batch::new();
            FUNDINGS.put(&mut batch, &tx.compute_txid().to_byte_array(), &record);
            (tx, self.keep(ledger, batch, &[])?)
        };
        commit.await?;
        Ok(tx)
    }

    /// The largest amount that [`Wallet::fund`] could fund now, in satoshis; `reserve` counts the channel.
    ///
    /// # Errors
    /// [`Error::InsufficientFunds`] and its like.
    pub fn max_funding_sat(
        &self,
        feerate: FeeRate,
        coins: &CoinChoice,
        reserve: AnchorReserve,
    ) -> Result<u64, Error> {
        let mut ledger = self.ledger();
        let leased = ledger.leased(self.now());
        let mut built = |value: Value| {
            let outputs = [(some_funding_script(0), value)];
            let order = Order { outputs: &outputs, feerate, reserve, coins, leased: &leased };
            build::build(&mut ledger.bdk, order)
        };
        let all = self.or_split(built(Value::All))?;
        // Fees are rounded for each part of a transaction: paying exactly that amount may miss a few
        // satoshis, which the shortage tells.
        let mut amount_sat = all.amount_sat;
        for _ in 0..4 {
            match built(Value::Exactly(amount_sat)) {
                Ok(_) => break,
                Err(Error::InsufficientFunds { needed_sat, spendable_sat, .. }) => {
                    let short_sat = needed_sat.saturating_sub(spendable_sat).max(1);
                    amount_sat = amount_sat.saturating_sub(short_sat);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(amount_sat)
    }

    /// Checks that [`Wallet::fund`] could fund these amounts now; returns the fee, in satoshis.
    ///
    /// # Errors
    /// [`Error::InsufficientFunds`] and its like.
    pub fn check_funding(
        &self,
        amounts_sat: &[u64],
        feerate: FeeRate,
        coins: &CoinChoice,
        reserve: AnchorReserve,
    ) -> Result<u64, Error> {
        let mut ledger = self.ledger();
        let leased = ledger.leased(self.now());
        let amounts = (0u8..).zip(amounts_sat);
        let outputs: Vec<_> =
            amounts.map(|(at, sat)| (some_funding_script(at), Value::Exactly(*sat))).collect();
        let order = Order { outputs: &outputs, feerate, reserve, coins, leased: &leased };
        self.or_split(build::build(&mut ledger.bdk, order)).map(|built| built.fee_sat)
    }

    /// Gives the inputs of a funding free that LDK will never broadcast, or no longer wants.
    ///
    /// Does nothing for a transaction that is not a pending funding.
    pub fn discard_funding(&self, txid: Txid) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let Some(record) = FUNDINGS.get(self.store(), &txid.to_byte_array())? else {
            return Ok(());
        };
        let mut batch = Batch::new();
        FUNDINGS.delete(&mut batch, &txid.to_byte_array());
        let inputs = record.transaction.input.iter();
        inputs.for_each(|input| ledger.bdk.unlock_outpoint(input.previous_output));
        if ledger.bdk.tx_graph().get_tx(txid).is_some() {
            ledger.evict(BTreeSet::from([txid]), self.now());
        }
        // Not waited for: if it is lost in a crash, LDK or `discard_fundings_except` tells it again.
        drop(self.keep(ledger, batch, &[])?);
        tracing::info!(%txid, "funding discarded, its inputs can be spent again");
        Ok(())
    }

    /// Settles fundings after a restart; `known` are those of all of LDK's channels and monitors.
    ///
    /// LDK forgets, without a word, a channel whose funding it had not broadcast yet: its inputs become
    /// free. Where it has a monitor but we saw no broadcast, the funding goes out now: the channel, or the
    /// commitment that closes it, is worth nothing without it, and its inputs would stay locked forever.
    pub fn discard_fundings_except(&self, known: &HashSet<Txid>) -> Result<(), Error> {
        for (_, FundingRecord { transaction }) in FUNDINGS.all(self.store())? {
            let txid = transaction.compute_txid();
            if !known.contains(&txid) {
                self.discard_funding(txid)?;
            } else if self.ledger().bdk.tx_graph().get_tx(txid).is_none() {
                tracing::info!(%txid, "broadcasting the funding of a channel that LDK knows");
                self.announce(&[&transaction])?;
                self.broadcast(&[transaction]);
            }
        }
        Ok(())
    }

    /// Ends what a block has confirmed: locks on spent inputs, and records of fundings.
    pub(super) fn settle_fundings(
        &self,
        ledger: &mut Ledger,
        changes: &ChangeSet,
        batch: &mut Batch,
    ) -> Result<(), storage::Error> {
        for (_, txid) in &changes.tx_graph.anchors {
            let Some(tx) = ledger.bdk.tx_graph().get_tx(*txid) else { continue };
            tx.input.iter().for_each(|input| ledger.bdk.unlock_outpoint(input.previous_output));
            if FUNDINGS.get(self.store(), &txid.to_byte_array())?.is_some() {
                FUNDINGS.delete(batch, &txid.to_byte_array());
            }
        }
        Ok(())
    }

    /// What a transaction is called in the list if it funds a channel.
    pub(super) fn funding_label(&self, txid: Txid) -> Result<Option<String>, storage::Error> {
        let funding = FUNDINGS.get(self.store(), &txid.to_byte_array())?;
        Ok(funding.map(|_| LABEL.to_owned()))
    }
}

/// Pays as many bytes as any channel's funding output (BOLT 3: P2WSH).
fn some_funding_script(number: u8) -> ScriptBuf {
    ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([number; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_is_read_for_ever() {
        let input = [&[8; 32][..], &[0, 1, 0, 0], &[0], &[0xff; 4]].concat();
        let output = [&500u64.to_le_bytes()[..], &[1, 0x51]].concat();
        let body = [&[2, 0, 0, 0, 1][..], &input, &[1], &output, &[0; 4]].concat();
        let stored = [&[body.len() as u8 + 2, 0, body.len() as u8][..], &body].concat();
        let transaction = bitcoin::consensus::deserialize(&body).expect("a transaction");
        let record = FundingRecord { transaction };
        assert_eq!(record.transaction.output[0].value.to_sat(), 500);
        assert_eq!(FundingRecord::decode(1, &stored).expect("reads"), record);
        assert_eq!(record.encode(), stored);
    }
}
