//! The ancestry of recent blocks, stale ones too: finds a fork even where bitcoind forgot a branch.

use std::collections::HashMap;

use bitcoin::BlockHash;

/// How many heights are remembered: two days, far more than any reorganisation ever seen.
const HEIGHTS: u32 = 288;

/// The parents of recent blocks.
#[derive(Default)]
pub(super) struct Recent {
    blocks: HashMap<BlockHash, (u32, BlockHash)>,
    highest: u32,
}

impl Recent {
    /// Remembers a block and forgets those that are too old.
    pub(super) fn remember(&mut self, hash: BlockHash, height: u32, previous: BlockHash) {
        self.highest = self.highest.max(height);
        self.blocks.insert(hash, (height, previous));
        if self.blocks.len() > 2 * HEIGHTS as usize {
            let oldest = self.highest.saturating_sub(HEIGHTS);
            self.blocks.retain(|_, (height, _)| *height >= oldest);
        }
    }

    /// Returns the parent of a block.
    pub(super) fn parent(&self, hash: &BlockHash) -> Option<BlockHash> {
        self.blocks.get(hash).map(|(_, previous)| *previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;

    fn hash(height: u32) -> BlockHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        BlockHash::from_byte_array(bytes)
    }

    #[test]
    fn remembers_two_days_and_no_more() {
        let mut recent = Recent::default();
        for height in 1..=10_000 {
            recent.remember(hash(height), height, hash(height - 1));
        }
        assert!(recent.blocks.len() <= 2 * HEIGHTS as usize);
        for height in 10_000 - HEIGHTS..=10_000 {
            assert_eq!(recent.parent(&hash(height)), Some(hash(height - 1)));
        }
        assert_eq!(recent.parent(&hash(9_000)), None);
    }
}
