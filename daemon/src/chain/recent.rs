//! The ancestry of recent blocks, stale ones too: finds a fork even where bitcoind forgot a branch.
//!
//! It is stored, because a bitcoind that was restored, replaced or reindexed while this daemon was
//! down does not know a stale branch that a listener may still be on. A block's parent is enqueued
//! before any listener sees the block, so no listener can be on a branch that is not here.

use std::collections::{BTreeSet, HashMap};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use lightning::impl_writeable_tlv_based;

use super::Error;
use crate::storage::{self, Batch, Store, Table};
use crate::tasks::chain_of;

/// How many heights are remembered: two days, far more than any reorganisation ever seen.
pub(super) const HEIGHTS: u32 = 288;

/// Keyed by height and hash.
const RECENT_BLOCKS: Table<Ancestor> = Table::new("recent_blocks");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ancestor {
    parent: BlockHash,
}

impl_writeable_tlv_based!(Ancestor, { (0, parent, required) });
storage::record!(Ancestor, kind = 10, version = 1);

/// The parents of recent blocks.
pub(super) struct Recent {
    store: Store,
    parents: HashMap<BlockHash, BlockHash>,
    by_height: BTreeSet<(u32, BlockHash)>,
}

impl Recent {
    /// Reads what is stored.
    pub(super) fn open(store: Store) -> Result<Self, Error> {
        let unread = |error: storage::Error| Error::Store { reason: chain_of(&error) };
        let stored = RECENT_BLOCKS.all(&store).map_err(unread)?;
        let mut recent = Self { store, parents: HashMap::new(), by_height: BTreeSet::new() };
        for (key, ancestor) in stored {
            let Some((height, hash)) = parse_key(&key) else { continue };
            recent.parents.insert(hash, ancestor.parent);
            recent.by_height.insert((height, hash));
        }
        Ok(recent)
    }

    /// Remembers a block and forgets those that are too old.
    pub(super) fn remember(&mut self, hash: BlockHash, height: u32, parent: BlockHash) {
        if self.parents.insert(hash, parent).is_some() {
            return;
        }
        self.by_height.insert((height, hash));
        let mut batch = Batch::new();
        RECENT_BLOCKS.put(&mut batch, &key(height, hash), &Ancestor { parent });
        let highest = self.by_height.last().map_or(height, |(highest, _)| *highest);
        while let Some((oldest, hash)) = self.by_height.first().copied() {
            if oldest + HEIGHTS > highest {
                break;
            }
            self.by_height.pop_first();
            self.parents.remove(&hash);
            RECENT_BLOCKS.delete(&mut batch, &key(oldest, hash));
        }
        // Not waited for: what a listener stores of this block comes after it.
        drop(self.store.commit(batch));
    }

    /// Returns the parent of a block.
    pub(super) fn parent(&self, hash: &BlockHash) -> Option<BlockHash> {
        self.parents.get(hash).copied()
    }
}

fn key(height: u32, hash: BlockHash) -> Vec<u8> {
    [&height.to_be_bytes()[..], &hash.to_byte_array()].concat()
}

fn parse_key(key: &[u8]) -> Option<(u32, BlockHash)> {
    let (height, hash) = key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*height), BlockHash::from_slice(hash).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(height: u32) -> BlockHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        BlockHash::from_byte_array(bytes)
    }

    #[test]
    fn remembers_two_days_and_no_more_also_over_a_restart() {
        let store = Store::temporary();
        let mut recent = Recent::open(store.clone()).expect("opens");
        for height in 1..=2_000 {
            recent.remember(hash(height), height, hash(height - 1));
        }
        for recent in [recent, Recent::open(store).expect("opens")] {
            assert_eq!(recent.parents.len(), HEIGHTS as usize);
            assert_eq!(recent.by_height.len(), HEIGHTS as usize);
            for height in 2_001 - HEIGHTS..=2_000 {
                assert_eq!(recent.parent(&hash(height)), Some(hash(height - 1)));
            }
        }
    }

    #[test]
    fn the_stored_form_is_frozen() {
        let ancestor = Ancestor { parent: BlockHash::from_byte_array([7; 32]) };
        let stored = [&[34, 0, 32][..], &[7; 32]].concat();
        assert_eq!(storage::Record::encode(&ancestor), stored);
        let read = <Ancestor as storage::Record>::decode(1, &stored).expect("reads");
        assert_eq!(read, ancestor);
    }
}
