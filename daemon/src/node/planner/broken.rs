//! Channels that failed for good: closed, or unknown to the node before them (BOLT 4, failures with the PERM bit).
//!
//! LDK removes such a channel from the graph, but a route hint names it again. A permanent failure says nothing about
//! liquidity, so it is kept apart from the beliefs, in memory and for an hour: a peer may have opened it anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// How long a channel counts as broken.
const KEPT_SECS: u64 = 3_600;
/// Most channels that are remembered; invoices can name any number.
const MOST: usize = 10_000;

/// The broken channels, by the Unix time of the failure.
#[derive(Debug, Default)]
pub(super) struct Broken(Mutex<HashMap<u64, u64>>);

impl Broken {
    /// Remembers a channel.
    pub(super) fn learn(&self, scid: u64, now: u64) {
        let mut known = self.lock();
        known.retain(|_, failed_at| is_recent(*failed_at, now));
        if known.len() < MOST {
            known.insert(scid, now);
        }
    }

    /// Forgets a channel that carries again.
    pub(super) fn mended(&self, scid: u64) {
        self.lock().remove(&scid);
    }

    /// Returns those of some channels that are broken.
    pub(super) fn among(&self, scids: impl Iterator<Item = u64>, now: u64) -> Vec<u64> {
        let known = self.lock();
        let is_broken = |scid: &u64| known.get(scid).is_some_and(|at| is_recent(*at, now));
        scids.filter(is_broken).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.0.lock().expect("no panic while held")
    }
}

fn is_recent(failed_at: u64, now: u64) -> bool {
    now.saturating_sub(failed_at) < KEPT_SECS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_broken_for_an_hour_or_until_it_carries() {
        let broken = Broken::default();
        broken.learn(7, 1_000);
        broken.learn(8, 1_000);
        let among = |now| broken.among([6, 7, 8].into_iter(), now);
        assert_eq!(among(1_000), [7, 8]);
        assert_eq!(among(1_000 + KEPT_SECS), [0; 0]);
        broken.mended(7);
        assert_eq!(among(1_001), [8]);
    }
}
