//! Whether the node may take on new obligations: only with a known chain and a disk that keeps promises.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::chain::Tip;
use crate::storage::Store;

/// Oldest confirmation of the tip with which the node still takes on new obligations.
///
/// bitcoind is asked for its tip every few seconds; without an answer for longer, time locks may run out unseen.
const OLDEST_TIP: Duration = Duration::from_secs(120);

/// Returns an error while new channels and payments are refused.
pub type AdmissionCheck = Arc<dyn Fn() -> Result<(), NotReady> + Send + Sync>;

/// Why the node takes on nothing new now; payments and channels under way go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The newest blocks are not known.
    #[error("not synced: bitcoind has not confirmed the tip for {} s", OLDEST_TIP.as_secs())]
    NotSynced,
    /// A disk of the store is nearly full; the text names it.
    #[error("{0}")]
    LowSpace(String),
    /// The store accepts no more writes, and the daemon is about to end; the text says why.
    #[error("{0}")]
    StoreFailed(String),
}

impl NotReady {
    /// Returns the machine-readable reason; stable across releases.
    pub fn word(&self) -> &'static str {
        match self {
            NotReady::NotSynced => "NOT_SYNCED",
            NotReady::LowSpace(_) => "LOW_DISK_SPACE",
            NotReady::StoreFailed(_) => "STORE_FAILED",
        }
    }

    /// Returns the text for peers, which says nothing about our disks.
    pub fn for_strangers(&self) -> &'static str {
        match self {
            NotReady::NotSynced => "this node is not synced to the chain",
            NotReady::LowSpace(_) | NotReady::StoreFailed(_) => "this node takes on nothing new",
        }
    }
}

/// Decides from the tip and the store; a handle.
#[derive(Clone)]
pub struct Admission {
    tip: watch::Receiver<Tip>,
    store: Store,
}

impl Admission {
    /// Watches the tip and the store.
    pub fn new(tip: watch::Receiver<Tip>, store: Store) -> Self {
        Self { tip, store }
    }

    /// Checks whether the node may take on new obligations.
    ///
    /// # Errors
    /// The most serious obstacle.
    pub fn check(&self) -> Result<(), NotReady> {
        self.obstacles().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns all obstacles, the most serious first.
    pub fn obstacles(&self) -> Vec<NotReady> {
        let failure = self.store.failed().borrow().as_ref().map(ToString::to_string);
        let low = self.store.low_space().borrow().as_ref().map(ToString::to_string);
        obstacles(failure, low, self.is_synced())
    }

    /// Returns whether the tip is fresh enough to pay and to open channels.
    pub fn is_synced(&self) -> bool {
        let confirmed_at = self.tip.borrow().confirmed_at;
        confirmed_at.elapsed().map_or(true, |age| age <= OLDEST_TIP)
    }

    /// Returns [`Admission::check`] as a closure.
    pub fn as_check(&self) -> AdmissionCheck {
        let admission = self.clone();
        Arc::new(move || admission.check())
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
    fn all_obstacles_are_listed_the_most_serious_first() {
        assert!(obstacles(None, None, true).is_empty());
        assert_eq!(obstacles(None, None, false), [NotReady::NotSynced]);
        let all = obstacles(Some("gone".to_owned()), Some("full".to_owned()), false);
        let words: Vec<&str> = all.iter().map(NotReady::word).collect();
        assert_eq!(words, ["STORE_FAILED", "LOW_DISK_SPACE", "NOT_SYNCED"]);
    }

    #[test]
    fn peers_learn_nothing_about_our_disks() {
        let low = NotReady::LowSpace("the disk of /home/alice has 3 MiB free".to_owned());
        assert!(low.to_string().contains("/home/alice") && !low.for_strangers().contains("alice"));
        let words = [NotReady::NotSynced, low, NotReady::StoreFailed("gone".to_owned())]
            .map(|not| not.word());
        assert_eq!(words, ["NOT_SYNCED", "LOW_DISK_SPACE", "STORE_FAILED"]);
    }
}
