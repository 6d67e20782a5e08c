//! Whether anything new may be taken on: only with a chain that is known and a disk that holds what is promised.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::chain::Tip;
use crate::storage::Store;

/// bitcoind is asked for its tip every few seconds; without an answer for so long, time locks that we
/// cannot see may be running out, so nothing new is taken on.
const OLDEST_TIP: Duration = Duration::from_secs(120);

/// Asks whether new channels and payments may be taken on now.
pub type Gate = Arc<dyn Fn() -> Result<(), NotReady> + Send + Sync>;

/// Why nothing new is taken on now; what is under way goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The newest blocks are not known.
    #[error("not synced: bitcoind has not confirmed the tip for {} s", OLDEST_TIP.as_secs())]
    NotSynced,
    /// A disk of the store is nearly full; the words name it.
    #[error("{0}")]
    LowSpace(String),
    /// The store takes no more writes, and the daemon is about to end; the words say why.
    #[error("{0}")]
    StoreFailed(String),
}

impl NotReady {
    /// The reason as programs read it; never changed once released.
    pub fn word(&self) -> &'static str {
        match self {
            NotReady::NotSynced => "NOT_SYNCED",
            NotReady::LowSpace(_) => "LOW_DISK_SPACE",
            NotReady::StoreFailed(_) => "STORE_FAILED",
        }
    }

    /// What a stranger may know of it: nothing of our disks.
    pub fn for_strangers(&self) -> &'static str {
        match self {
            NotReady::NotSynced => "this node is not synced to the chain",
            NotReady::LowSpace(_) | NotReady::StoreFailed(_) => "this node takes on nothing new",
        }
    }
}

/// What readiness depends on; a handle.
#[derive(Clone)]
pub struct Readiness {
    tip: watch::Receiver<Tip>,
    store: Store,
}

impl Readiness {
    /// Watches the tip and the store.
    pub fn new(tip: watch::Receiver<Tip>, store: Store) -> Self {
        Self { tip, store }
    }

    /// Says why nothing new may be taken on, if that is so.
    ///
    /// # Errors
    /// The most serious obstacle.
    pub fn check(&self) -> Result<(), NotReady> {
        self.obstacles().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that keeps anything new from being taken on, the most serious first.
    pub fn obstacles(&self) -> Vec<NotReady> {
        let failure = self.store.failed().borrow().as_ref().map(ToString::to_string);
        let low = self.store.low_space().borrow().as_ref().map(ToString::to_string);
        obstacles(failure, low, self.is_synced())
    }

    /// Whether the tip is fresh enough to pay and to open channels.
    pub fn is_synced(&self) -> bool {
        let confirmed_at = self.tip.borrow().confirmed_at;
        confirmed_at.elapsed().map_or(true, |age| age <= OLDEST_TIP)
    }

    /// The same as a closure.
    pub fn gate(&self) -> Gate {
        let readiness = self.clone();
        Arc::new(move || readiness.check())
    }
}

fn obstacles(failure: Option<String>, low: Option<String>, synced: bool) -> Vec<NotReady> {
    let failed = failure.map(NotReady::StoreFailed);
    let stale = (!synced).then_some(NotReady::NotSynced);
    failed.into_iter().chain(low.map(NotReady::LowSpace)).chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_is_told_and_the_most_serious_first() {
        assert!(obstacles(None, None, true).is_empty());
        assert_eq!(obstacles(None, None, false), [NotReady::NotSynced]);
        let all = obstacles(Some("gone".to_owned()), Some("full".to_owned()), false);
        let words: Vec<&str> = all.iter().map(NotReady::word).collect();
        assert_eq!(words, ["STORE_FAILED", "LOW_DISK_SPACE", "NOT_SYNCED"]);
    }

    #[test]
    fn strangers_learn_nothing_of_our_disks() {
        let low = NotReady::LowSpace("the disk of /home/alice has 3 MiB free".to_owned());
        assert!(low.to_string().contains("/home/alice") && !low.for_strangers().contains("alice"));
        let words = [NotReady::NotSynced, low, NotReady::StoreFailed("gone".to_owned())]
            .map(|not| not.word());
        assert_eq!(words, ["NOT_SYNCED", "LOW_DISK_SPACE", "STORE_FAILED"]);
    }
}
