//! Recovery from a stale store, as LDK advises: the monitors without the manager, once the peers have closed.
//!
//! The channels' newest states are lost, and what is published of older ones is punished. So nothing is: the manager is
//! dropped, and a channel that is unknown is answered (`channel_reestablish`, BOLT 2) in a way that makes the peer close
//! it with its newest state. A monitor is set aside until a block that will stay has that closing transaction; then it
//! claims what is ours. Loaded earlier, it would publish its own commitment when an HTLC times out.

use std::collections::HashSet;

use bitcoin::BlockHash;
use bitcoin::OutPoint;
use lightning::chain::BestBlock;

use super::ldk::slots::{BROADCASTS, Error, MANAGER, MANAGER_DIFFERENCE, RECOVERY, STALE_PROOF};
use super::ldk::types::ChannelMonitor;
use crate::storage::{Commit, KvStore};

/// So deep a transaction stays (LDK's `ANTI_REORG_DELAY`).
pub const DEPTH: u32 = 6;

/// Drops the manager and all transactions to be broadcast; the monitors stay as they are.
pub fn begin(kv: &KvStore) -> Commit {
    let dropped = [MANAGER, MANAGER_DIFFERENCE, BROADCASTS, STALE_PROOF].map(|slot| slot.removed());
    kv.commit_all(dropped.into_iter().chain([RECOVERY.holding(vec![1])]))
}

/// Whether the peers still have to close channels.
///
/// # Errors
/// When the store cannot be read.
pub fn is_under_way(kv: &KvStore) -> Result<bool, Error> {
    Ok(RECOVERY.read(kv)?.is_some())
}

/// Ends the recovery: all monitors are loaded.
///
/// A manager without channels that is read with them later has LDK publish their commitments; the coin that these spend
/// has been spent deeply by then.
pub fn end(kv: &KvStore) -> Commit {
    kv.commit_all([RECOVERY.removed()])
}

/// The monitors that may be loaded, and what waits.
pub struct Sorted {
    /// Of channels that have been closed on chain.
    pub closed: Vec<(BlockHash, ChannelMonitor)>,
    /// The funding outputs of the others.
    pub set_aside: HashSet<OutPoint>,
    /// The oldest block that a monitor has seen last: closings are looked for from there on.
    pub oldest: Option<BestBlock>,
}

/// Sorts monitors by whether `spent`, the funding outputs that deep transactions have spent, has theirs.
pub fn sorted(monitors: Vec<(BlockHash, ChannelMonitor)>, spent: &HashSet<OutPoint>) -> Sorted {
    let best = |monitor: &ChannelMonitor| monitor.current_best_block();
    let oldest = monitors.iter().map(|(_, monitor)| best(monitor)).min_by_key(|best| best.height);
    let funding = |monitor: &ChannelMonitor| monitor.get_funding_txo().into_bitcoin_outpoint();
    let (closed, others): (Vec<_>, Vec<_>) =
        monitors.into_iter().partition(|(_, monitor)| spent.contains(&funding(monitor)));
    let set_aside = others.iter().map(|(_, monitor)| funding(monitor)).collect();
    Sorted { closed, set_aside, oldest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::commit::manager_rows;
    use crate::storage::Store;

    #[test]
    fn a_recovery_drops_the_manager_and_lasts_until_it_ends() {
        let kv = KvStore::new(Store::temporary());
        let stored = [MANAGER, BROADCASTS, STALE_PROOF].map(|slot| slot.holding(vec![7]));
        kv.commit_all(stored).wait().expect("durable");
        assert!(!is_under_way(&kv).expect("readable"));
        begin(&kv).wait().expect("durable");
        assert!(is_under_way(&kv).expect("readable"));
        assert_eq!(manager_rows::read(&kv).expect("readable"), None);
        for slot in [BROADCASTS, STALE_PROOF] {
            assert_eq!(slot.read(&kv).expect("readable"), None);
        }
        end(&kv).wait().expect("durable");
        assert!(!is_under_way(&kv).expect("readable"));
    }
}
