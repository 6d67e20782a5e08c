//! Follows the chain: one block at a time, and back to the fork point in a reorganisation.

use bdk_wallet::chain::BlockId;
use bitcoin::block::Header;
use bitcoin::{Block, Transaction};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};

use super::error::Error;
use super::ledger::Ledger;
use super::{Wallet, persist};
use crate::storage::Batch;

impl Listen for Wallet {
    fn block_connected(&self, block: &Block, height: u32) {
        if let Err(error) = self.connect(block, height) {
            // The store tells the daemon to end by itself; nothing leaves that is not durable.
            tracing::error!(height, %error, "could not record a block's transactions");
        }
    }

    fn filtered_block_connected(&self, header: &Header, txdata: &TransactionData<'_>, height: u32) {
        let txdata: Vec<Transaction> = txdata.iter().map(|(_, tx)| (*tx).clone()).collect();
        self.block_connected(&Block { header: *header, txdata }, height);
    }

    fn blocks_disconnected(&self, fork_point_block: BestBlock) {
        if let Err(error) = self.disconnect(fork_point_block) {
            tracing::error!(height = fork_point_block.height, %error, "could not disconnect blocks");
        }
    }
}

impl Wallet {
    /// Does not wait for the disk: after a crash the block comes again.
    fn connect(&self, block: &Block, height: u32) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let evicted = ledger.displaced_by(block);
        ledger.bdk.apply_block(block, height).expect(
            "blocks are connected in order: the block before is the wallet's tip or on its chain",
        );
        ledger.evict(evicted, self.now());
        drop(self.keep(ledger, Batch::new(), &[])?);
        self.compact_if_long(ledger)
    }

    /// bdk replaces blocks but cannot remove them, so its wallet is assembled anew without those above the
    /// fork point: transactions in them are unconfirmed again.
    fn disconnect(&self, fork: BestBlock) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let removed = ledger.remove_above(BlockId { height: fork.height, hash: fork.block_hash });
        if removed.blocks.is_empty() {
            return Ok(());
        }
        let mut whole = persist::whole(&ledger.bdk);
        bdk_wallet::chain::Merge::merge(&mut whole.local_chain, removed.clone());
        whole.local_chain.blocks.retain(|_, hash| hash.is_some());
        let assembled = persist::load(self.keys(), whole)?;
        ledger.replace(assembled);
        let mut batch = Batch::new();
        ledger.appender.append(&mut batch, removed.into());
        drop(self.store().commit(batch));
        Ok(())
    }
}

impl Ledger {
    /// The change of the chain that makes `fork` its tip.
    fn remove_above(&self, fork: BlockId) -> bdk_wallet::chain::local_chain::ChangeSet {
        let known = self.bdk.local_chain();
        let above =
            known.range(fork.height.saturating_add(1)..).map(|block| (block.height(), None));
        let mut blocks: std::collections::BTreeMap<_, _> = above.collect();
        // A wallet that has compacted its blocks may not know the fork point by its hash.
        if known.get(fork.height).is_none_or(|block| block.hash() != fork.hash) {
            blocks.insert(fork.height, Some(fork.hash));
        }
        bdk_wallet::chain::local_chain::ChangeSet { blocks }
    }
}
