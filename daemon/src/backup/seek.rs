//! Finds channels that this node has lost, and keeps their peers connected until the channels are closed.
//!
//! A peer that reconnects sends `channel_reestablish` for its channel. LDK does not know the channel, and answers so that
//! the peer forces it closed (BOLT 2, data loss); our balance then lies in a static output, see `claim`.

use std::collections::HashSet;

use bitcoin::{OutPoint, Txid};
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use lightning::util::scid_utils::{block_from_scid, tx_index_from_scid, vout_from_scid};

use super::contents::{BackedUpChannel, Contents};
use super::records::{self, KnownFrom, LOST, LostChannel};
use super::{Backup, Error};
use crate::chain::ChainSource as _;
use crate::storage::Batch;

impl Backup {
    /// Records the channels of a backup that this node does not know; returns how many there are.
    pub(super) async fn lose(&self, contents: &Contents) -> Result<usize, Error> {
        let mut lost = 0;
        for channel in &contents.channels {
            if self.0.channels.owns_funding(&channel.funding)? {
                continue;
            }
            self.0.peers.expect(channel.node_id, &channel.addresses).await?;
            let record = LostChannel {
                node_id: channel.node_id,
                channel_id: Some(channel.channel_id),
                short_channel_id: channel.short_channel_id,
                capacity_sat: channel.capacity_sat,
                known_from: KnownFrom::Backup,
                noticed_at: self.0.clock.unix_secs(),
                closed: false,
            };
            lost += usize::from(self.record(channel.funding, record).await?);
        }
        Ok(lost)
    }

    /// Looks for channels of ours in the network graph that this node does not know.
    pub(super) async fn seek_in_gossip(&self, known: &mut HashSet<u64>) -> Result<(), Error> {
        for (short_channel_id, node_id, capacity_sat) in self.announced() {
            if known.contains(&short_channel_id) {
                continue;
            }
            // Asked again at the next look if bitcoind does not answer or has pruned the block.
            let Some(funding) = self.funding_of(short_channel_id).await else { continue };
            if !self.0.channels.owns_funding(&funding)? {
                let record = LostChannel {
                    node_id,
                    channel_id: None,
                    short_channel_id: Some(short_channel_id),
                    capacity_sat,
                    known_from: KnownFrom::Gossip,
                    noticed_at: self.0.clock.unix_secs(),
                    closed: false,
                };
                let addresses = self.0.peers.addresses(&node_id)?;
                self.0.peers.expect(node_id, &addresses).await?;
                if self.record(funding, record).await? {
                    tracing::warn!(short_channel_id, peer = %node_id, "the network knows a channel of this node that it has lost: asking the peer to close it");
                }
            }
            known.insert(short_channel_id);
        }
        Ok(())
    }

    /// Marks lost channels whose funding output a block has spent.
    pub(super) async fn note_closed(&self) -> Result<(), Error> {
        for (key, record) in LOST.all(&self.0.store)? {
            let Some(funding) = records::outpoint(&key) else { continue };
            if record.closed || !matches!(self.0.source.unspent(funding).await, Ok(None)) {
                continue;
            }
            // An unconfirmed funding is not there either.
            if !self.is_mined(&funding.txid, record.short_channel_id).await {
                continue;
            }
            let mut batch = Batch::new();
            LOST.put(&mut batch, &key, &LostChannel { closed: true, ..record });
            self.0.store.commit(batch).await?;
            self.0.lost_changed.notify_one();
        }
        Ok(())
    }

    /// The lost channels that may still be open, as a backup names them.
    pub(super) fn lost_channels(&self) -> Result<Vec<BackedUpChannel>, Error> {
        let mut channels = Vec::new();
        for (key, record) in LOST.all(&self.0.store)? {
            let Some(funding) = records::outpoint(&key).filter(|_| !record.closed) else {
                continue;
            };
            let id = LostChannel::id(&record, &funding);
            channels.push(BackedUpChannel {
                channel_id: id,
                funding,
                node_id: record.node_id,
                addresses: self.0.peers.addresses(&record.node_id)?,
                capacity_sat: record.capacity_sat,
                short_channel_id: record.short_channel_id,
            });
        }
        Ok(channels)
    }

    async fn record(&self, funding: OutPoint, record: LostChannel) -> Result<bool, Error> {
        let key = records::key(&funding);
        if LOST.contains(&self.0.store, &key)? {
            return Ok(false);
        }
        let mut batch = Batch::new();
        LOST.put(&mut batch, &key, &record);
        self.0.store.commit(batch).await?;
        self.0.lost_changed.notify_one();
        Ok(true)
    }

    /// The channels that the network's announcements give this node, with the peer and the capacity in satoshis.
    fn announced(&self) -> Vec<(u64, bitcoin::secp256k1::PublicKey, u64)> {
        let ours = NodeId::from_pubkey(&self.0.node.id());
        let graph = self.0.node.graph.read_only();
        let Some(node) = graph.node(&ours) else { return Vec::new() };
        let channels = node.channels.iter().filter_map(|short_channel_id| {
            let channel = graph.channel(*short_channel_id)?;
            let peer = if channel.node_one == ours { channel.node_two } else { channel.node_one };
            Some((*short_channel_id, peer.as_pubkey().ok()?, channel.capacity_sats.unwrap_or(0)))
        });
        channels.collect()
    }

    async fn funding_of(&self, short_channel_id: u64) -> Option<OutPoint> {
        let source = &self.0.source;
        let height = block_from_scid(short_channel_id);
        let hash = source.block_hash(height).await.ok()??;
        let txids = source.block_txids(hash).await.ok()?;
        let index = usize::try_from(tx_index_from_scid(short_channel_id)).ok()?;
        let vout = u32::from(vout_from_scid(short_channel_id));
        Some(OutPoint { txid: *txids.get(index)?, vout })
    }

    async fn is_mined(&self, txid: &Txid, short_channel_id: Option<u64>) -> bool {
        match short_channel_id {
            Some(scid) => self.funding_of(scid).await.is_some_and(|funding| funding.txid == *txid),
            // Without a place in the chain only an output of ours proves that it was closed.
            None => false,
        }
    }
}

impl LostChannel {
    /// Its name: LDK derives that of a v1 channel from the funding output.
    pub fn id(&self, funding: &OutPoint) -> ChannelId {
        self.channel_id.unwrap_or_else(|| {
            ChannelId::v1_from_funding_txid(
                bitcoin::hashes::Hash::as_byte_array(&funding.txid),
                u16::try_from(funding.vout).unwrap_or(u16::MAX),
            )
        })
    }
}
