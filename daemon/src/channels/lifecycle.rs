//! LDK's events about a channel, from the first request to its end; each may come twice.

use bitcoin::OutPoint;
use bitcoin::secp256k1::PublicKey;
use lightning::events::{ClosureReason, FundingInfo};
use lightning::ln::types::ChannelId;

use super::record::{self, CHANNELS, CLOSED, ChannelRecord, ChannelStage, ClosedChannel};
use super::{Channels, reason};
use crate::journal::Entry;
use crate::storage::{self, Batch};
use crate::wallet;

/// A channel's end (`Event::ChannelClosed`).
#[derive(Clone, Debug)]
pub struct ChannelClosed<'a> {
    /// Its id; a temporary one if it never was funded.
    pub channel_id: ChannelId,
    /// Our own name for it.
    pub user_channel_id: u128,
    /// Why.
    pub reason: &'a ClosureReason,
    /// With whom.
    pub node_id: Option<PublicKey>,
    /// The capacity.
    pub capacity_sat: Option<u64>,
    /// The funding output.
    pub funding: Option<OutPoint>,
    /// What was ours, at most.
    pub local_msat: Option<u64>,
}

impl Channels {
    /// The funding is broadcast (`Event::ChannelPending`).
    ///
    /// # Errors
    /// The store's: LDK is to tell it again.
    pub async fn pending(
        &self,
        channel_id: ChannelId,
        user_channel_id: u128,
        node_id: PublicKey,
        funding: OutPoint,
    ) -> Result<(), storage::Error> {
        self.0.node.channels_changed();
        let key = record::key(user_channel_id);
        let known = CHANNELS.get(&self.0.store, &key)?;
        if known.as_ref().is_some_and(|record| record.stage >= ChannelStage::Pending) {
            return Ok(());
        }
        let record = ChannelRecord {
            stage: ChannelStage::Pending,
            channel_id: Some(channel_id),
            funding: Some(funding),
            ending: None,
            ..known.unwrap_or_else(|| self.inbound_record(&channel_id, node_id))
        };
        self.0.spends.watch(funding, channel_id, record.capacity_sat);
        let mut batch = Batch::new();
        CHANNELS.put(&mut batch, &key, &record);
        let opening = Entry::ChannelOpening {
            channel_id: channel_id.0,
            node_id,
            funding,
            capacity_sat: record.capacity_sat,
            outbound: record.outbound,
        };
        self.0.journal.append(&mut batch, opening);
        self.0.store.commit(batch).await?;
        tracing::info!(%channel_id, peer = %node_id, %funding, "a channel waits for confirmations");
        self.0.spends.changes.notify();
        Ok(())
    }

    /// Both sides say that the channel is ready (`Event::ChannelReady`).
    ///
    /// # Errors
    /// The store's: LDK is to tell it again.
    pub async fn ready(
        &self,
        channel_id: ChannelId,
        user_channel_id: u128,
        node_id: PublicKey,
    ) -> Result<(), storage::Error> {
        self.0.node.channels_changed();
        let key = record::key(user_channel_id);
        let known = CHANNELS.get(&self.0.store, &key)?;
        if known.as_ref().is_some_and(|record| record.stage >= ChannelStage::Ready) {
            return Ok(());
        }
        let details = self.details(&channel_id, &node_id);
        let known = known.unwrap_or_else(|| self.inbound_record(&channel_id, node_id));
        let record = ChannelRecord {
            stage: ChannelStage::Ready,
            channel_id: Some(channel_id),
            short_channel_id: details.and_then(|details| details.short_channel_id),
            ..known
        };
        let mut batch = Batch::new();
        CHANNELS.put(&mut batch, &key, &record);
        let entry = Entry::ChannelReady { channel_id: channel_id.0, node_id };
        self.0.journal.append(&mut batch, entry);
        self.0.store.commit(batch).await?;
        tracing::info!(%channel_id, peer = %node_id, "a channel is ready");
        self.0.spends.changes.notify();
        Ok(())
    }

    /// The channel is no more (`Event::ChannelClosed`).
    ///
    /// # Errors
    /// The store's: LDK is to tell it again.
    pub async fn closed(&self, closing: &ChannelClosed<'_>) -> Result<(), storage::Error> {
        self.0.node.channels_changed();
        let key = record::key(closing.user_channel_id);
        let known = CHANNELS.get(&self.0.store, &key)?;
        let described = reason::describe(closing.reason);
        self.0.node.closes.forget(&closing.channel_id);
        match known {
            Some(record) if record.stage < ChannelStage::Pending => {
                // Never broadcast: LDK tells `ChannelPending` before it tells the end.
                if let Some(funding) = record.funding {
                    self.discard(funding)?;
                }
                let why = reason::of_refusal(closing.reason).unwrap_or(described.words);
                if record.in_batch.is_some() {
                    self.record_never_funded(&record, &why).await?;
                }
                self.fail(closing.user_channel_id, record, &why).await?;
                self.lost_member(closing.user_channel_id).await
            }
            Some(record) if record.stage < ChannelStage::Closed => {
                self.record_closed(closing, record, described).await
            }
            Some(_) => Ok(()),
            None => {
                let peer = closing.node_id.map(|id| id.to_string());
                tracing::info!(?peer, why = %described.words, "an unfunded channel of a peer is gone");
                self.0.spends.changes.notify();
                Ok(())
            }
        }
    }

    /// The wallet's inputs are free again (`Event::DiscardFunding`).
    ///
    /// # Errors
    /// The store's: LDK is to tell it again.
    pub fn discard_funding(&self, funding: &FundingInfo) -> Result<(), storage::Error> {
        self.discard(match funding {
            FundingInfo::Tx { transaction } => OutPoint::new(transaction.compute_txid(), 0),
            FundingInfo::OutPoint { outpoint } => record::outpoint(*outpoint),
        })
    }

    pub(super) fn discard(&self, funding: OutPoint) -> Result<(), storage::Error> {
        match self.0.node.wallet.discard_funding(funding.txid) {
            Ok(()) => Ok(()),
            Err(wallet::Error::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, txid = %funding.txid, "could not free a funding's inputs");
                Ok(())
            }
        }
    }

    async fn record_closed(
        &self,
        closing: &ChannelClosed<'_>,
        record: ChannelRecord,
        described: reason::Reason,
    ) -> Result<(), storage::Error> {
        let channel_id = closing.channel_id;
        let node_id = closing.node_id.unwrap_or(record.node_id);
        let closed = ClosedChannel {
            channel_id,
            short_channel_id: record.short_channel_id,
            node_id: Some(node_id),
            funding: closing.funding.or(record.funding),
            capacity_sat: closing.capacity_sat.unwrap_or(record.capacity_sat),
            local_msat: closing.local_msat.unwrap_or(0),
            closed_at: self.0.clock.unix_secs(),
            kind: described.kind.to_owned(),
            reason: described.words.clone(),
            outbound: record.outbound,
        };
        let mut batch = Batch::new();
        CLOSED.insert(&self.0.store, &mut batch, &channel_id.0, &closed)?;
        let key = record::key(closing.user_channel_id);
        match record.outbound {
            // Kept for its idempotency key and for followers of the open.
            true => {
                let ending = Some(described.words.clone());
                let ended = ChannelRecord { stage: ChannelStage::Closed, ending, ..record };
                CHANNELS.put(&mut batch, &key, &ended);
            }
            false => CHANNELS.delete(&mut batch, &key),
        }
        let entry = Entry::ChannelClosed {
            channel_id: channel_id.0,
            node_id: Some(node_id),
            kind: closed.kind,
            reason: closed.reason,
        };
        self.0.journal.append(&mut batch, entry);
        self.0.store.commit(batch).await?;
        tracing::info!(%channel_id, peer = %node_id, why = %described.words, "a channel is closed");
        self.0.spends.changes.notify();
        Ok(())
    }

    /// Records that a channel of a batch was given up after we had signed: LDK keeps its monitor, which has nothing to
    /// claim since the funding was never broadcast.
    pub(super) async fn record_never_funded(
        &self,
        record: &ChannelRecord,
        why: &str,
    ) -> Result<(), storage::Error> {
        let Some(channel_id) = record.channel_id else { return Ok(()) };
        let closed = ClosedChannel {
            channel_id,
            short_channel_id: None,
            node_id: Some(record.node_id),
            funding: record.funding,
            capacity_sat: record.capacity_sat,
            local_msat: 0,
            closed_at: self.0.clock.unix_secs(),
            kind: reason::FUNDING_BATCH.to_owned(),
            reason: format!("its funding was never broadcast: {why}"),
            outbound: true,
        };
        let mut batch = Batch::new();
        CLOSED.insert(&self.0.store, &mut batch, &channel_id.0, &closed)?;
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// What is known of a channel that another has opened to us, when it is funded.
    fn inbound_record(&self, channel_id: &ChannelId, node_id: PublicKey) -> ChannelRecord {
        let details = self.details(channel_id, &node_id);
        ChannelRecord {
            outbound: false,
            node_id,
            capacity_sat: details.as_ref().map_or(0, |details| details.channel_value_satoshis),
            push_msat: 0,
            announced: details.as_ref().is_some_and(|details| details.is_announced),
            feerate_sat_per_kwu: None,
            idempotency_key: None,
            asked: String::new(),
            created_at: self.0.clock.unix_secs(),
            stage: ChannelStage::Negotiating,
            channel_id: Some(*channel_id),
            funding: None,
            short_channel_id: None,
            ending: None,
            close_feerate_sat_per_kwu: None,
            in_batch: None,
        }
    }

    pub(super) fn details(
        &self,
        channel_id: &ChannelId,
        node_id: &PublicKey,
    ) -> Option<lightning::ln::channel_state::ChannelDetails> {
        let with_peer = self.0.node.channel_manager.list_channels_with_counterparty(node_id);
        with_peer.into_iter().find(|details| details.channel_id == *channel_id)
    }
}
