//! Which closed channels may be forgotten: those whose money is back in the wallet, for good.

use std::collections::{HashMap, HashSet};

use lightning::ln::types::ChannelId;

use super::Channels;
use super::record::{CHANNELS, CLOSED, ClosedChannel, OPENS_BY_KEY, SPENDS};
use crate::node::run::sweep;
use crate::storage::{self, Batch, PruneDecision, PruneStep, RetentionClass};

/// A transaction with so many blocks on it, a day's, is there for good.
const BURIED_BLOCKS: u32 = 144;

impl Channels {
    /// Closed channels, kept for so many days, and in any case while their money is on its way; 0 forever.
    pub fn closed_history(&self, keep_days: u32) -> RetentionClass {
        let channels = self.clone();
        RetentionClass::new("closed channels", keep_days, move |before, from| {
            channels.forget(before, from)
        })
    }

    /// Forgets, in one short step, channels that were closed before a time in seconds since 1970, with all that leads to
    /// them.
    fn forget(&self, before: u64, from: u64) -> Result<PruneStep, storage::Error> {
        let store = &self.0.store;
        let height = self.0.node.channel_manager.current_best_block().height;
        let on_its_way = self.with_money_on_its_way(height);
        let mut spent_at = HashMap::new();
        for (id, spend) in SPENDS.all(store)? {
            spent_at.insert(id, spend.height);
        }
        let decide = |closed: &ClosedChannel| {
            let spent_at = spent_at.get(&closed.channel_id.0[..]).copied();
            let is_home = is_buried(spent_at, height) && !on_its_way.contains(&closed.channel_id);
            decide(closed, before, is_home)
        };
        let _taking = self.0.taking_key.lock().expect("no panic while held");
        let mut batch = Batch::new();
        let pruned = CLOSED.prune(store, &mut batch, from, 1, decide)?;
        if pruned.removed.is_empty() {
            return Ok(pruned.step());
        }
        let gone: HashSet<ChannelId> =
            pruned.removed.iter().map(|(_, closed)| closed.channel_id).collect();
        for channel_id in &gone {
            SPENDS.delete(&mut batch, &channel_id.0);
        }
        for (key, record) in CHANNELS.all(store)? {
            if record.channel_id.is_some_and(|id| gone.contains(&id)) {
                CHANNELS.delete(&mut batch, &key);
                if let Some(key) = &record.idempotency_key {
                    OPENS_BY_KEY.delete(&mut batch, key.as_bytes());
                }
            }
        }
        store.commit_lazily(batch);
        Ok(pruned.step())
    }

    /// The channels of which something is still to be claimed, or swept into the wallet.
    fn with_money_on_its_way(&self, height: u32) -> HashSet<ChannelId> {
        let node = &self.0.node;
        let mut channels = HashSet::new();
        for channel_id in node.chain_monitor.list_monitors() {
            // One that is archived between the two calls has nothing to claim.
            let Ok(monitor) = node.chain_monitor.get_monitor(channel_id) else { continue };
            if !monitor.get_claimable_balances().is_empty() {
                channels.insert(channel_id);
            }
        }
        let sweeps = sweep::pending(node).into_iter();
        let going_on = sweeps.filter(|sweep| !is_buried(sweep.confirmed_at, height));
        channels.extend(going_on.filter_map(|sweep| sweep.channel_id));
        channels
    }
}

fn is_buried(confirmed_at: Option<u32>, height: u32) -> bool {
    confirmed_at.is_some_and(|confirmed_at| confirmed_at.saturating_add(BURIED_BLOCKS) <= height)
}

fn decide(closed: &ClosedChannel, before: u64, is_home: bool) -> PruneDecision {
    match (closed.closed_at < before, is_home) {
        (false, _) => PruneDecision::Stop,
        (true, true) => PruneDecision::Remove,
        (true, false) => PruneDecision::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_goes_when_it_is_old_and_its_money_is_home() {
        let closed = ClosedChannel {
            channel_id: ChannelId([1; 32]),
            short_channel_id: None,
            node_id: None,
            funding: None,
            capacity_sat: 1,
            local_msat: 1,
            closed_at: 10,
            kind: "force".to_owned(),
            reason: "closed".to_owned(),
            outbound: true,
        };
        assert_eq!(decide(&closed, 10, true), PruneDecision::Stop);
        assert_eq!(decide(&closed, 11, true), PruneDecision::Remove);
        assert_eq!(decide(&closed, 11, false), PruneDecision::Keep);
    }

    #[test]
    fn a_day_of_blocks_buries_a_transaction() {
        assert!(!is_buried(None, 1_000));
        assert!(!is_buried(Some(857), 1_000));
        assert!(is_buried(Some(856), 1_000));
    }
}
