//! LDK's events about a channel, from the first request to its end; each may come twice.

use bitcoin::secp256k1::PublicKey;
use bitcoin::{OutPoint, ScriptBuf};
use lightning::events::{ClosureReason, FundingInfo, InboundChannelFunds};
use lightning::ln::types::ChannelId;
use lightning::types::features::ChannelTypeFeatures;

use super::record::{self, CHANNELS, CLOSED, ChannelRecord, ChannelStage, ClosedChannel};
use super::{Channels, accept, reason};
use crate::journal::Entry;
use crate::node::run::reserve;
use crate::storage::{self, Batch};
use crate::wallet;

/// A peer's wish to open a channel to us (`Event::OpenChannelRequest`).
#[derive(Clone, Debug)]
pub struct OpenRequest<'a> {
    /// LDK's name for it.
    pub temporary_channel_id: ChannelId,
    /// Who asks.
    pub node_id: PublicKey,
    /// How large.
    pub capacity_sat: u64,
    /// What the peer gives us, or that both are to fund it.
    pub funds: &'a InboundChannelFunds,
    /// Its features.
    pub channel_type: &'a ChannelTypeFeatures,
    /// Whether it is to be public.
    pub announced: bool,
}

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
    /// Accepts or rejects a peer's wish.
    pub fn open_requested(&self, request: &OpenRequest<'_>) {
        let node = &self.0.node;
        let (id, peer) = (&request.temporary_channel_id, &request.node_id);
        let needed_reserve_sat = self.reserve_with_another().total_sat;
        let balance = node.wallet.balance();
        let with_peer = node.channel_manager.list_channels_with_counterparty(peer);
        let decision = accept::decide(
            &self.0.config,
            &accept::Request {
                capacity_sat: request.capacity_sat,
                push_msat: match request.funds {
                    InboundChannelFunds::PushMsat(msat) => Some(*msat),
                    InboundChannelFunds::DualFunded => None,
                },
                anchors: request.channel_type.supports_anchors_zero_fee_htlc_tx(),
                zero_conf: request.channel_type.requires_zero_conf(),
                pending_with_peer: with_peer
                    .iter()
                    .filter(|channel| !channel.is_outbound && !channel.is_channel_ready)
                    .count(),
                wallet_sat: balance.confirmed_sat,
                needed_reserve_sat,
                not_ready: (self.0.admission)().err(),
            },
        );
        let done = match decision {
            Ok(()) => {
                let overrides = self.0.config.for_inbound(
                    request.capacity_sat,
                    request.announced,
                    node.network,
                );
                let own_id = self.new_id();
                node.keys.shutdown.for_peer(peer, || {
                    let manager = &node.channel_manager;
                    manager.accept_inbound_channel(id, peer, own_id, Some(overrides))
                })
            }
            Err(rejection) => {
                tracing::info!(%peer, capacity_sat = request.capacity_sat, %rejection, "rejected a channel");
                let words = rejection.to_string();
                node.channel_manager.force_close_broadcasting_latest_txn(id, peer, words)
            }
        };
        if let Err(error) = done {
            // The peer has gone, or asked for something that LDK refuses by itself.
            tracing::info!(%peer, ?error, "could not answer a request for a channel");
        }
        node.wake();
    }

    /// Pays for a channel that the peer has accepted (`Event::FundingGenerationReady`).
    ///
    /// # Errors
    /// The store's: LDK is to ask again.
    pub async fn funding_needed(
        &self,
        temporary_channel_id: ChannelId,
        node_id: PublicKey,
        capacity_sat: u64,
        script: ScriptBuf,
        user_channel_id: u128,
    ) -> Result<(), storage::Error> {
        let known = CHANNELS.get(&self.0.store, &record::key(user_channel_id))?;
        let Some(record) = known.filter(|record| record.stage < ChannelStage::Pending) else {
            self.give_up(temporary_channel_id, node_id, "this channel is not wanted any more");
            return Ok(());
        };
        if let Some(funding) = record.funding {
            // Asked again because we could not record the first one: LDK never had it.
            self.discard(funding)?;
        }
        let asked = record.feerate_sat_per_kwu.map(bitcoin::FeeRate::from_sat_per_kwu);
        let feerate = asked.unwrap_or_else(|| self.funding_feerate());
        // LDK lists this channel already.
        let reserve = reserve::of(&self.0.node, &self.0.feerates);
        let funded = self.0.node.wallet.fund(script.clone(), capacity_sat, feerate, reserve).await;
        let transaction = match funded {
            Ok(transaction) => transaction,
            Err(wallet::Error::Store(error)) => return Err(error),
            Err(error) => {
                let why = format!("the funding could not be paid for: {error}");
                self.fail(user_channel_id, record, &why).await?;
                self.give_up(temporary_channel_id, node_id, "the funding could not be paid for");
                return Ok(());
            }
        };
        let txid = transaction.compute_txid();
        let vout = transaction.output.iter().position(|output| {
            output.script_pubkey == script && output.value.to_sat() == capacity_sat
        });
        let index = u16::try_from(vout.unwrap_or(0)).unwrap_or(0);
        let ldk_funding = lightning::chain::transaction::OutPoint { txid, index };
        let funding = record::outpoint(ldk_funding);
        let channel_id = ChannelId::v1_from_funding_outpoint(ldk_funding);
        let funded = ChannelRecord {
            stage: ChannelStage::Funded,
            funding: Some(funding),
            channel_id: Some(channel_id),
            ..record
        };
        let mut batch = Batch::new();
        CHANNELS.put(&mut batch, &record::key(user_channel_id), &funded);
        if let Err(error) = self.0.store.commit(batch).await {
            self.discard(funding)?;
            return Err(error);
        }
        self.0.spends.watch(funding, channel_id, capacity_sat);
        let manager = &self.0.node.channel_manager;
        let taken =
            manager.funding_transaction_generated(temporary_channel_id, node_id, transaction);
        if let Err(error) = taken {
            // LDK has not kept the transaction: nobody else can broadcast it.
            self.discard(funding)?;
            let why = super::Error::from_ldk(error).to_string();
            self.fail(user_channel_id, funded, &why).await?;
        }
        self.0.node.wake();
        Ok(())
    }

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
                self.fail(closing.user_channel_id, record, &why).await
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
        }
    }

    fn details(
        &self,
        channel_id: &ChannelId,
        node_id: &PublicKey,
    ) -> Option<lightning::ln::channel_state::ChannelDetails> {
        let with_peer = self.0.node.channel_manager.list_channels_with_counterparty(node_id);
        with_peer.into_iter().find(|details| details.channel_id == *channel_id)
    }

    /// Lets go of a channel that is not funded; LDK tells the peer, and then us.
    fn give_up(&self, temporary_channel_id: ChannelId, node_id: PublicKey, words: &str) {
        let manager = &self.0.node.channel_manager;
        let given_up = manager.force_close_broadcasting_latest_txn(
            &temporary_channel_id,
            &node_id,
            words.to_owned(),
        );
        if let Err(error) = given_up {
            tracing::debug!(?error, "the channel was gone already");
        }
        self.0.node.wake();
    }
}
