//! Finds the transaction that spends a channel's funding output: the one that closes it.
//!
//! A transaction that is broadcast or waits in the mempool is kept in memory only; one in a block is recorded.
//! This listens before the channel manager does, and starts where the manager starts: the record of a spend is then in
//! the store's queue before the manager's note that it has seen the block, so no crash loses it; a block seen twice
//! writes the same record again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::block::Header;
use bitcoin::{OutPoint, Transaction, Txid};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use lightning::ln::types::ChannelId;

use super::change_notifier::ChangeNotifier;
use super::record::{CHANNELS, CLOSED, SPENDS, Spend};
use crate::storage::{self, Batch, Store};

/// The transaction that closes a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingTx {
    /// Its id.
    pub txid: Txid,
    /// The height of its block; none while it waits for one, and another may still take its place.
    pub height: Option<u32>,
    /// Its fee in satoshis, without what a child pays for it; none where the capacity is not known.
    pub fee_sat: Option<u64>,
}

/// Where a transaction was seen that no block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// We broadcast it; whether it entered the mempool is not known.
    Broadcast,
    /// It waits in the mempool.
    Mempool,
}

type Watched = HashMap<OutPoint, (ChannelId, u64)>;

#[derive(Clone, Copy)]
struct Seen {
    txid: Txid,
    sighting: Sighting,
    fee_sat: Option<u64>,
}

/// Watches the funding outputs of our channels.
pub struct FundingSpends {
    store: Store,
    /// The unspent funding outputs, with their values in satoshis.
    watched: Mutex<Watched>,
    /// The last transaction that was seen to spend an output which no block has spent.
    seen: Mutex<HashMap<ChannelId, Seen>>,
    pub(super) changes: ChangeNotifier,
}

impl FundingSpends {
    /// Watches all channels, open and closed, whose funding nothing has spent yet.
    pub fn load(store: &Store) -> Result<Arc<Self>, storage::Error> {
        let mut watched = HashMap::new();
        let mut unspent = Vec::new();
        for (_, record) in CHANNELS.all(store)? {
            let funded = record.funding.zip(record.channel_id);
            unspent.extend(funded.map(|(funding, id)| (funding, id, record.capacity_sat)));
        }
        CLOSED.visit(store, |_, closed| {
            let capacity_sat = closed.capacity_sat;
            unspent.extend(closed.funding.map(|of| (of, closed.channel_id, capacity_sat)));
            std::ops::ControlFlow::Continue(())
        })?;
        for (funding, channel_id, capacity_sat) in unspent {
            if !SPENDS.contains(store, &channel_id.0)? {
                watched.insert(funding, (channel_id, capacity_sat));
            }
        }
        let watched = Mutex::new(watched);
        let (seen, changes) = (Mutex::default(), ChangeNotifier::default());
        Ok(Arc::new(Self { store: store.clone(), watched, seen, changes }))
    }

    /// Looks at a transaction that we or others have broadcast.
    ///
    /// Both sides of a channel may publish a commitment: the one that was seen in the mempool keeps ours, which
    /// LDK broadcasts again and again, from its place.
    pub fn see(&self, transaction: &Transaction, sighting: Sighting) {
        let closes = |watched: &Watched| {
            transaction.input.iter().find_map(|input| watched.get(&input.previous_output).copied())
        };
        let Some((channel_id, capacity_sat)) = closes(&self.lock()) else { return };
        let txid = transaction.compute_txid();
        let mut seen = self.seen();
        let before = seen.get(&channel_id).copied();
        let in_mempool = |seen: Seen| seen.sighting == Sighting::Mempool;
        if sighting == Sighting::Broadcast && before.is_some_and(in_mempool) {
            return;
        }
        let fee_sat = fee_sat(transaction, capacity_sat);
        seen.insert(channel_id, Seen { txid, sighting, fee_sat });
        drop(seen);
        if before.is_none_or(|known| known.txid != txid) {
            tracing::info!(%channel_id, %txid, "a channel's closing transaction is broadcast");
            self.changes.notify();
        }
    }

    /// Watches the funding output of another channel, with its value in satoshis.
    pub(super) fn watch(&self, funding: OutPoint, channel_id: ChannelId, capacity_sat: u64) {
        self.lock().insert(funding, (channel_id, capacity_sat));
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
            let Spend { txid, height, fee_sat, .. } = spend;
            return Ok(Some(ClosingTx { txid, height: Some(height), fee_sat }));
        }
        let seen = self.seen().get(channel_id).copied();
        Ok(seen.map(|Seen { txid, fee_sat, .. }| ClosingTx { txid, height: None, fee_sat }))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<ChannelId, Seen>> {
        self.seen.lock().expect("no panic while held")
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
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
                if let Some((channel_id, capacity_sat)) = watched.remove(&funding) {
                    let txid = transaction.compute_txid();
                    self.seen().remove(&channel_id);
                    let fee_sat = fee_sat(transaction, capacity_sat);
                    found.push((channel_id, Spend { funding, txid, height, fee_sat }));
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
        self.changes.notify();
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
                let closed = CLOSED.get(&self.store, &key).ok().flatten();
                let capacity_sat = closed.map_or(0, |closed| closed.capacity_sat);
                self.watch(spend.funding, ChannelId(id), capacity_sat);
            }
        }
        if !batch.is_empty() {
            drop(self.store.commit(batch));
            self.changes.notify();
        }
    }
}

/// Returns the fee of a transaction that spends a funding output of this value and nothing else.
fn fee_sat(transaction: &Transaction, capacity_sat: u64) -> Option<u64> {
    let paid_sat = transaction.output.iter().map(|output| output.value.to_sat()).sum();
    (transaction.input.len() == 1).then_some(capacity_sat)?.checked_sub(paid_sat)
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
        spends.watch(funding, channel_id, 700);
        let mut woken = spends.changes.subscribe();
        woken.mark_unchanged();
        let ours = block_spending(funding).txdata.remove(0);
        let theirs = Transaction { version: Version::ONE, ..ours.clone() };
        let closing = |txid, height| Some(ClosingTx { txid, height, fee_sat: Some(700) });
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
        let mut woken = spends.changes.subscribe();
        woken.mark_unchanged();
        let block = block_spending(funding);
        let other = block_spending(OutPoint { vout: 0, ..funding });
        spends.block_connected(&other, 99);
        assert_eq!(spends.of(&channel_id).expect("read"), None);
        assert!(!woken.has_changed().expect("open"));
        spends.block_connected(&block, 100);
        assert!(woken.has_changed().expect("open"));
        let txid = block.txdata[0].compute_txid();
        let expected = Some(Spend { funding, txid, height: 100, fee_sat: Some(100_000) });
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
