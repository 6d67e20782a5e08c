//! Pays for channels that peers have accepted: from the wallet, several in one transaction, or from outside.

use bitcoin::secp256k1::PublicKey;
use bitcoin::{FeeRate, Transaction};
use lightning::ln::types::ChannelId;

use super::batches::Verdict;
use super::unfunded::Unfunded;
use super::wishes::Money;
use crate::channels::record::{self, CHANNELS, ChannelRecord, ChannelStage};
use crate::channels::{Channels, Error};
use crate::node::run::reserve;
use crate::storage::{self, Batch};
use crate::wallet::{self, CoinChoice};

impl Channels {
    /// Pays for a channel that the peer has accepted (`Event::FundingGenerationReady`).
    ///
    /// # Errors
    /// The store's: LDK is to ask again.
    pub async fn funding_needed(&self, unfunded: Unfunded) -> Result<(), storage::Error> {
        let id = unfunded.user_channel_id;
        let known = CHANNELS.get(&self.0.store, &record::key(id))?;
        let Some(record) = known.filter(|record| record.stage < ChannelStage::Pending) else {
            self.give_up(&unfunded, "this channel is not wanted any more");
            return Ok(());
        };
        if let Some(funding) = record.funding {
            // Asked again because we could not record the first one: LDK never had it.
            self.discard(funding)?;
        }
        let wish = self.0.wishes.of(id);
        if let Some(blocks) = self.waits_for(&unfunded).filter(|_| wish.zero_conf) {
            let why = format!(
                "the peer uses the channel only after {blocks} confirmations of its funding"
            );
            self.fail(id, record, &why).await?;
            self.give_up(&unfunded, "the channel was wanted without confirmations");
            return self.lost_member(id).await;
        }
        match wish.money {
            Money::Wallet(coins) => {
                let asked = record.feerate_sat_per_kwu.map(FeeRate::from_sat_per_kwu);
                let feerate = asked.unwrap_or_else(|| self.funding_feerate());
                self.fund(vec![unfunded], feerate, &coins).await
            }
            Money::Outside => {
                self.0.outside.wait_for(unfunded);
                self.0.spends.changes.notify();
                Ok(())
            }
            Money::Batch => {
                let verdict = self.0.batches.ready(id, unfunded.clone());
                if verdict == Verdict::Unknown {
                    let why = "the batch was given up before the peer accepted";
                    self.fail(id, record, why).await?;
                    self.give_up(&unfunded, "this channel is not wanted any more");
                }
                self.settle_batch(verdict).await
            }
        }
    }

    /// Pays for channels from the wallet, in one transaction.
    pub(super) async fn fund(
        &self,
        channels: Vec<Unfunded>,
        feerate: FeeRate,
        coins: &CoinChoice,
    ) -> Result<(), storage::Error> {
        let outputs: Vec<_> =
            channels.iter().map(|of| (of.script.clone(), of.capacity_sat)).collect();
        // LDK lists these channels already.
        let reserve = reserve::of(&self.0.node, &self.0.feerates);
        match self.0.node.wallet.fund(&outputs, feerate, coins, reserve).await {
            Ok(transaction) => self.hand_over(channels, transaction).await.map(drop),
            Err(wallet::Error::Store(error)) => Err(error),
            Err(error) => {
                let why = format!("the funding could not be paid for: {error}");
                self.fail_unfunded(&channels, &why, "the funding could not be paid for").await
            }
        }
    }

    /// Records the funding of channels, then gives it to LDK, which broadcasts it when all peers have signed; returns
    /// why LDK did not take it, if so.
    ///
    /// A kill before the records are durable leaves locked coins, which `reconcile` frees; a kill after it leaves
    /// records of channels that LDK does not know, which `reconcile` fails.
    pub(super) async fn hand_over(
        &self,
        channels: Vec<Unfunded>,
        transaction: Transaction,
    ) -> Result<Option<Error>, storage::Error> {
        let txid = transaction.compute_txid();
        let is_batch = channels.len() > 1;
        let mut batch = Batch::new();
        let mut funded = Vec::new();
        for channel in &channels {
            let key = record::key(channel.user_channel_id);
            let Some(record) = CHANNELS.get(&self.0.store, &key)? else { continue };
            let vout = transaction.output.iter().position(|output| {
                output.script_pubkey == channel.script
                    && output.value.to_sat() == channel.capacity_sat
            });
            let index = u16::try_from(vout.unwrap_or(0)).unwrap_or(0);
            let ldk_funding = lightning::chain::transaction::OutPoint { txid, index };
            let record = ChannelRecord {
                stage: ChannelStage::Funded,
                funding: Some(record::outpoint(ldk_funding)),
                channel_id: Some(ChannelId::v1_from_funding_outpoint(ldk_funding)),
                in_batch: is_batch.then_some(true),
                ..record
            };
            CHANNELS.put(&mut batch, &key, &record);
            funded.push((channel, record));
        }
        if let Err(error) = self.0.store.commit(batch).await {
            self.discard(bitcoin::OutPoint::new(txid, 0))?;
            return Err(error);
        }
        for (channel, record) in &funded {
            self.0.wishes.forget(channel.user_channel_id);
            if let Some((funding, channel_id)) = record.funding.zip(record.channel_id) {
                self.0.spends.watch(funding, channel_id, channel.capacity_sat);
            }
        }
        let manager = &self.0.node.channel_manager;
        let named: Vec<_> =
            channels.iter().map(|of| (&of.temporary_channel_id, &of.node_id)).collect();
        let taken = manager.batch_funding_transaction_generated(&named, transaction);
        let refused = taken.err().map(Error::from_ldk);
        if let Some(error) = &refused {
            // LDK has not kept the transaction: nobody else can broadcast it.
            self.discard(bitcoin::OutPoint::new(txid, 0))?;
            for (channel, record) in funded {
                self.fail(channel.user_channel_id, record, &error.to_string()).await?;
            }
        }
        self.0.node.wake();
        Ok(refused)
    }

    /// Fails channels that are not funded, and lets go of them.
    pub(super) async fn fail_unfunded(
        &self,
        channels: &[Unfunded],
        why: &str,
        to_peer: &str,
    ) -> Result<(), storage::Error> {
        for channel in channels {
            let key = record::key(channel.user_channel_id);
            if let Some(record) = CHANNELS.get(&self.0.store, &key)? {
                self.fail(channel.user_channel_id, record, why).await?;
            }
            self.give_up(channel, to_peer);
        }
        Ok(())
    }

    /// The confirmations that a channel which is being negotiated waits for, if it waits for any.
    fn waits_for(&self, channel: &Unfunded) -> Option<u32> {
        let details = self.details(&channel.temporary_channel_id, &channel.node_id)?;
        details.confirmations_required.filter(|blocks| *blocks > 0)
    }

    pub(super) fn give_up(&self, channel: &Unfunded, words: &str) {
        self.let_go(&channel.temporary_channel_id, &channel.node_id, words);
    }

    /// Lets go of a channel that is not funded; LDK tells the peer, and then us.
    pub(super) fn let_go(&self, channel_id: &ChannelId, node_id: &PublicKey, words: &str) {
        let manager = &self.0.node.channel_manager;
        let words = words.to_owned();
        let gone = manager.force_close_broadcasting_latest_txn(channel_id, node_id, words);
        if let Err(error) = gone {
            tracing::debug!(?error, "the channel was gone already");
        }
        self.0.node.wake();
    }
}
