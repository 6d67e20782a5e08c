//! Splits the coin that holds the whole anchor reserve, so that the rest of it can be spent.

use bitcoin::Transaction;
use tokio_util::sync::CancellationToken;

use super::build::{self, Available};
use super::reserve::PER_CHANNEL_SAT;
use crate::feerates::Feerates;
use crate::storage::Batch;
use crate::tasks::Outcome;
use crate::wallet::Wallet;
use crate::wallet::error::Error;

/// The label of a split in the list of transactions.
const LABEL: &str = "split for the anchor reserve";
/// Blocks in which a split should confirm.
const TARGET_BLOCKS: u16 = 6;

impl Wallet {
    /// Splits a coin whenever a payment was refused for want of it, until `stopping`.
    pub async fn keep_splitting(self, feerates: Feerates, stopping: CancellationToken) -> Outcome {
        while stopping.run_until_cancelled(self.0.split_wanted.notified()).await.is_some() {
            match self.split(&feerates).await {
                Ok(None) => (),
                Ok(Some(split)) => {
                    tracing::info!(txid = %split.compute_txid(), "splitting a coin for the anchor reserve");
                    self.broadcast(&[split]);
                }
                Err(error) => {
                    tracing::warn!(%error, "could not split a coin for the anchor reserve")
                }
            }
        }
        Ok(())
    }

    /// Passes a refusal on; one that a split helps against asks for the split.
    pub(in crate::wallet) fn or_split<T>(&self, built: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::ReserveInOneCoin { .. }) = built {
            self.0.split_wanted.notify_one();
        }
        built
    }

    /// Returns the split, stored; none where the kept coins hold little more than the reserve.
    pub(in crate::wallet) async fn split(
        &self,
        feerates: &Feerates,
    ) -> Result<Option<Transaction>, Error> {
        let reserve = self.reserve()?;
        let (split, commit) = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            let available = Available::of(&ledger.bdk, reserve, &ledger.leased(self.now()));
            let excess_sat = available.kept_sat.saturating_sub(reserve.confirmed_sat);
            let largest = ledger
                .bdk
                .list_unspent()
                .filter(|coin| available.kept.contains(&coin.outpoint))
                .max_by_key(|coin| coin.txout.value);
            let Some(coin) = largest.filter(|_| excess_sat >= 2 * PER_CHANNEL_SAT) else {
                return Ok(None);
            };
            let piece_sat = reserve.total_sat.saturating_mul(2).min(coin.txout.value.to_sat() / 2);
            let feerate = feerates.feerate_for_wallet(TARGET_BLOCKS);
            let built = build::split(&mut ledger.bdk, coin.outpoint, piece_sat, feerate)?;
            build::take_change(&mut ledger.bdk, &built);
            let split = self.sign_whole(&ledger.bdk, built.psbt)?;
            ledger.bdk.apply_unconfirmed_txs([(split.clone(), self.now())]);
            let label = (split.compute_txid(), LABEL.to_owned());
            let commit = self.keep(ledger, Batch::new(), &[label])?;
            (split, commit)
        };
        // After a crash here `rebroadcast` does it at the next start.
        commit.await?;
        Ok(Some(split))
    }

    /// What the wallet lacks in confirmed coins for the anchor reserve, as a sentence for the operator.
    pub fn reserve_warning(&self) -> Option<String> {
        let reserve = (*self.0.reserve.borrow())?;
        let confirmed_sat = self.balance().confirmed_sat;
        (confirmed_sat < reserve.confirmed_sat).then(|| {
            format!(
                "the anchor reserve is short: {confirmed_sat} of {} sat are confirmed on chain, and a channel that \
                 closes by force may not confirm in time; send money to an address of the wallet (`fulmen address`)",
                reserve.confirmed_sat
            )
        })
    }
}
