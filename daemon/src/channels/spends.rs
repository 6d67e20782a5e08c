//! Notices which transaction spends a channel's funding output: the one that closes it.
//!
//! Before a block holds it, it may be seen when it is broadcast or waits in the mempool; that is kept in
//! memory only. What blocks tell is recorded:
//! It listens before the channel manager does, and starts where the manager starts: the record of a
//! spend is then in the store's queue before the manager's note that it has seen the block, so no
//! crash loses it; a block seen twice writes the same record again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::block::Header;
use bitcoin::{OutPoint, Transaction, Txid};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use lightning::ln::types::ChannelId;

use super::changes::Changes;
use super::record::{CHANNELS, CLOSED, SPENDS, Spend};
use crate::storage::{self, Batch, Store};

/// The transaction that closes a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingTx {
    /// Its id.
    pub txid: Txid,
    /// The height of its block; none while it waits for one, and another may still take its place.
    pub height: Option<u32>,
}

/// Where a transaction was seen that no block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// We broadcast it; whether it entered the mempool is not known.
    Broadcast,
    /// It waits in the mempool.
    Mempool,
}

/// Watches the funding outputs of our channels.
pub struct FundingSpends {
    store: Store,
    watched: Mutex<HashMap<OutPoint, ChannelId>>,
    /// The last transaction that was seen to spend an output which no block has spent.
    seen: Mutex<HashMap<ChannelId, (Txid, Sighting)>>,
    pub(super) changes: Changes,
}

impl FundingSpends {
    /// Watches all channels, open and closed, whose funding nothing has spent yet.
    pub fn load(store: &Store) -> Result<Arc<Self>, storage::Error> {
        let mut watched = HashMap::new();
        let mut unspent = Vec::new();
        for (_, record) in CHANNELS.all(store)? {
            unspent.extend(record.funding.zip(record.channel_id));
        }
        CLOSED.visit(store, |_, closed| {
            unspent.extend(closed.funding.map(|funding| (funding, closed.channel_id)));
            std::ops::ControlFlow::Continue(())
        })?;
        for (funding, channel_id) in unspent {
            if !SPENDS.contains(store, &channel_id.0)? {
                watched.insert(funding, channel_id);
            }
        }
        let watched = Mutex::new(watched);
        let (seen, changes) = (Mutex::default(), Changes::default());
        Ok(Arc::new(Self { store: store.clone(), watched, seen, changes }))
    }

    /// Looks at a transaction that we or others broadcast.
    ///
    /// Both sides of a channel may publish a commitment: the one that was seen in the mempool keeps ours, which
    /// LDK broadcasts again and again, from its place.
    pub fn see(&self, transaction: &Transaction, sighting: Sighting) {
        let closes = |watched: &HashMap<OutPoint, ChannelId>| {
            transaction.input.iter().find_map(|input| watched.get(&input.previous_output).copied())
        };
        let Some(channel_id) = closes(&self.lock()) else { return };
        let txid = transaction.compute_txid();
        let mut seen = self.seen();
        let before = seen.get(&channel_id).copied();
        if sighting == Sighting::Broadcast && before.is_some_and(|(_, at)| at == Sighting::Mempool)
        {
            return;
        }
        seen.insert(channel_id, (txid, sighting));
        drop(seen);
        if before.is_none_or(|(known, _)| known != txid) {
            tracing::info!(%channel_id, %txid, "a channel's closing transaction is broadcast");
            self.changes.tell();
        }
    }

    /// Watches another channel.
    pub(super) fn watch(&self, funding: OutPoint, channel_id: ChannelId) {
        self.lock().insert(funding, channel_id);
    }

    /// Returns the confirmed transaction that closed a channel.
    pub(super) fn of(&self, channel_id: &ChannelId) -> Result<Option<Spend>, storage::Error> {
        SPENDS.get(&self.store, &channel_id.0)
    }

    /// Returns the transaction that closed a channel, or seems about to.
    pub(super) fn closing(
        &self,
        channel_id: &ChannelId,
    ) -> Result<Option<ClosingTx>, storage::Error> {
        if let Some(spend) = self.of(channel_id)? {
            return Ok(Some(ClosingTx { txid: spend.txid, height: Some(spend.height) }));
        }
        let seen = self.seen().get(channel_id).copied();
        Ok(seen.map(|(txid, _)| ClosingTx { txid, height: None }))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<ChannelId, (Txid, Sighting)>> {
        self.seen.lock().expect("no panic while held")
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OutPoint, ChannelId>> {
        self.watched.lock().expect("no panic while held")
    }

    /// Takes the spends out of a block's transactions.
    fn find(&self, txdata: &TransactionData<'_>, height: u32) -> Vec<(ChannelId, Spend)> {
        let mut watched = self.lock();
        let mut found = Vec::new();
        if watched.is_empty() {
            return found;
        }
        for (_, transaction) in txdata {
            for input in &transaction.input {
                let funding = input.previous_output;
                if let Some(channel_id) = watched.remove(&funding) {
                    let txid = transaction.compute_txid();
                    self.seen().remove(&channel_id);
                    found.push((channel_id, Spend { funding, txid, height }));
                }
            }
        }
        found
    }
}

impl Listen for FundingSpends {
    fn filtered_block_connected(&self, _: &Header, txdata: &TransactionData<'_>, height: u32) {
        let found = self.find(txdata, height);
        if found.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        for (channel_id, spend) in found {
            tracing::info!(%channel_id, txid = %spend.txid, height, "a channel's funding is spent");
            SPENDS.put(&mut batch, &channel_id.0, &spend);
        }
        // Not waited for: the block is delivered again if this is lost.
        drop(self.store.commit(batch));
        self.changes.tell();
    }

    fn blocks_disconnected(&self, fork_point: BestBlock) {
        let spends = match SPENDS.all(&self.store) {
            Ok(spends) => spends,
            Err(error) => {
                tracing::error!(%error, "cannot take back spends of funding outputs after a reorg");
                return;
            }
        };
        let mut batch = Batch::new();
        for (key, spend) in spends {
            let Ok(id) = <[u8; 32]>::try_from(key.as_slice()) else { continue };
            if spend.height > fork_point.height {
                SPENDS.delete(&mut batch, &key);
                self.watch(spend.funding, ChannelId(id));
            }
        }
        if !batch.is_empty() {
            drop(self.store.commit(batch));
            self.changes.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use bitcoin::transaction::Version;
    use bitcoin::{Block, BlockHash, CompactTarget, Sequence, Transaction, TxIn, TxMerkleNode};
    use bitcoin::{Txid, absolute};

    use super::*;
    use crate::channels::record::{self, ChannelRecord, tests::opening};

    fn block_spending(funding: OutPoint) -> Block {
        let input = TxIn {
            previous_output: funding,
            script_sig: Default::default(),
            sequence: Sequence::MAX,
            witness: Default::default(),
        };
        let spending = Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input],
            output: Vec::new(),
        };
        let header = Header {
            version: bitcoin::block::Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(0),
            nonce: 0,
        };
        Block { header, txdata: vec![spending] }
    }

    #[test]
    fn a_broadcast_is_seen_until_a_block_tells_better() {
        let store = Store::temporary();
        let channel_id = ChannelId([4; 32]);
        let funding = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
        let spends = FundingSpends::load(&store).expect("loaded");
        spends.watch(funding, channel_id);
        let mut woken = spends.changes.follow();
        woken.mark_unchanged();
        let ours = block_spending(funding).txdata.remove(0);
        let theirs = Transaction { version: Version::ONE, ..ours.clone() };
        let closing = |txid, height| Some(ClosingTx { txid, height });
        let elsewhere = block_spending(OutPoint { vout: 0, ..funding }).txdata.remove(0);
        spends.see(&elsewhere, Sighting::Mempool);
        assert_eq!(spends.closing(&channel_id).expect("read"), None);
        assert!(!woken.has_changed().expect("open"));
        for (tx, sighting) in [(&ours, Sighting::Broadcast), (&theirs, Sighting::Mempool)] {
            spends.see(tx, sighting);
            assert!(woken.has_changed().expect("open"));
            woken.mark_unchanged();
            spends.see(&ours, Sighting::Broadcast);
            assert!(!woken.has_changed().expect("open"), "nothing new");
            let now = spends.closing(&channel_id).expect("read");
            assert_eq!(now, closing(tx.compute_txid(), None));
        }
        let mut block = block_spending(funding);
        block.txdata[0] = theirs.clone();
        spends.block_connected(&block, 100);
        spends.see(&ours, Sighting::Broadcast);
        let buried = closing(theirs.compute_txid(), Some(100));
        assert_eq!(spends.closing(&channel_id).expect("read"), buried);
    }

    #[test]
    fn a_spend_is_recorded_survives_a_restart_and_is_taken_back_by_a_reorg() {
        let store = Store::temporary();
        let channel_id = ChannelId([4; 32]);
        let funding = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
        let mut batch = Batch::new();
        let record =
            ChannelRecord { channel_id: Some(channel_id), funding: Some(funding), ..opening() };
        CHANNELS.put(&mut batch, &record::key(1), &record);
        store.commit(batch).wait().expect("stored");

        let spends = FundingSpends::load(&store).expect("loaded");
        let mut woken = spends.changes.follow();
        woken.mark_unchanged();
        let block = block_spending(funding);
        let other = block_spending(OutPoint { vout: 0, ..funding });
        spends.block_connected(&other, 99);
        assert_eq!(spends.of(&channel_id).expect("read"), None);
        assert!(!woken.has_changed().expect("open"));
        spends.block_connected(&block, 100);
        assert!(woken.has_changed().expect("open"));
        let txid = block.txdata[0].compute_txid();
        let expected = Some(Spend { funding, txid, height: 100 });
        assert_eq!(spends.of(&channel_id).expect("read"), expected);

        let again = FundingSpends::load(&store).expect("loaded");
        assert!(again.lock().is_empty(), "what is spent is not watched");
        again.blocks_disconnected(BestBlock::new(BlockHash::all_zeros(), 100));
        assert_eq!(again.of(&channel_id).expect("read"), expected);
        again.blocks_disconnected(BestBlock::new(BlockHash::all_zeros(), 99));
        assert_eq!(again.of(&channel_id).expect("read"), None);
        again.block_connected(&block, 101);
        let height = again.of(&channel_id).expect("read").map(|spend| spend.height);
        assert_eq!(height, Some(101));
    }
}
