//! Delivery of blocks to listeners, in one fixed order.
//!
//! The order is the caller's and never changes: the wallet before the channel manager (a
//! funding's change is known before LDK acts on the funding), the channel manager before the
//! chain monitor (it learns of a close by block before a monitor's event tells it), the sweeper
//! last (what a monitor declares spendable is tracked from the same block on). A crash between
//! two listeners is harmless: each persists its own best block with its own state, so after a
//! restart each is brought forward from its own, and none sees a block twice or misses one.
//!
//! All disconnects come before the first connect, so that no listener acts on a new block while
//! a later one still believes in the stale branch.

use std::sync::Arc;

use bitcoin::{Block, BlockHash};
use lightning::chain::{BestBlock, Listen};

/// A receiver of blocks: each once, in order.
pub struct Listener {
    /// For logs.
    pub name: &'static str,
    /// The last block that it has seen and will remember after a restart.
    pub best: BestBlock,
    /// Whom to tell.
    pub listen: Arc<dyn Listen + Send + Sync>,
}

/// A block does not build on what a listener has seen: the chain moved while it was fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved;

impl Listener {
    /// Takes the listener back to `fork`, a block that it has seen.
    pub(super) fn disconnect_to(&mut self, fork: BestBlock) {
        if fork.height >= self.best.height {
            return;
        }
        let depth = self.best.height - fork.height;
        tracing::info!(
            listener = self.name,
            depth,
            height = fork.height,
            "a reorganisation: disconnecting blocks"
        );
        self.listen.blocks_disconnected(fork);
        self.best = fork;
    }

    fn fits(&self, block: &Block, hash: BlockHash, height: u32) -> bool {
        if self.best.height < height {
            self.best.height + 1 == height && self.best.block_hash == block.header.prev_blockhash
        } else {
            self.best.height > height || self.best.block_hash == hash
        }
    }
}

/// Tells every listener that has not seen `block` of it; nobody, if it does not fit one of them.
pub(super) fn connect(listeners: &mut [Listener], block: &Block, height: u32) -> Result<(), Moved> {
    let hash = block.block_hash();
    if !listeners.iter().all(|listener| listener.fits(block, hash, height)) {
        return Err(Moved);
    }
    for listener in listeners.iter_mut().filter(|listener| listener.best.height < height) {
        listener.listen.block_connected(block, height);
        listener.best = BestBlock::new(hash, height);
    }
    Ok(())
}
