//! Whether the node may take on new obligations: only with a known chain and a disk that keeps promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bitcoin::Network;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::chain::Tip;
use crate::clock::Clock;
use crate::storage::Store;

/// Oldest tip, by the time in its header, on a network where miners compete.
///
/// 18 blocks are due in three hours, of the 72 that an HTLC leaves us; by chance no block is found for so long once in
/// a thousand years.
const OLDEST_HEADER: Duration = Duration::from_secs(3 * 3_600);
/// How far the time of a block may be in the future by consensus; beyond, our own clock has been set back.
const FUTURE_HEADER: Duration = Duration::from_secs(2 * 3_600);

/// Returns an error while new channels, payments and HTLCs are refused.
pub type AdmissionCheck = Arc<dyn Fn() -> Result<(), NotReady> + Send + Sync>;

/// Why the node takes on nothing new now; payments and channels under way go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The peers are closing the channels of a stale store.
    #[error(
        "recovering from an older copy of the store: the peers have to close its channels first"
    )]
    Recovering,
    /// The newest blocks may be unknown.
    #[error("not synced: {0}")]
    NotSynced(Unsynced),
    /// A disk of the store is nearly full; the text names it.
    #[error("{0}")]
    LowSpace(String),
    /// The store accepts no more writes, and the daemon is about to end; the text says why.
    #[error("{0}")]
    StoreFailed(String),
}

/// Why the newest blocks may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsynced {
    /// bitcoind does not answer.
    #[error("bitcoind has not confirmed the tip for {} s", .0.as_secs())]
    Silent(Duration),
    /// bitcoind is still in its initial block download.
    #[error("bitcoind is still downloading the chain")]
    InitialDownload,
    /// bitcoind hears of no new blocks.
    #[error("bitcoind has no connection to other nodes")]
    NoPeers,
    /// Blocks are missing, or nobody mines.
    #[error("the newest block is {} minutes old", .0.as_secs() / 60)]
    OldTip(Duration),
    /// The age of the tip cannot be known.
    #[error("this machine's clock is {} minutes or more behind the newest blocks", .0.as_secs() / 60)]
    ClockBehind(Duration),
}

impl NotReady {
    /// Returns the machine-readable reason; stable across releases.
    pub fn word(&self) -> &'static str {
        match self {
            NotReady::Recovering => "RECOVERING",
            NotReady::NotSynced(_) => "NOT_SYNCED",
            NotReady::LowSpace(_) => "LOW_DISK_SPACE",
            NotReady::StoreFailed(_) => "STORE_FAILED",
        }
    }

    /// Returns the text for peers, which says nothing about our disks.
    pub fn for_strangers(&self) -> &'static str {
        match self {
            NotReady::NotSynced(_) => "this node is not synced to the chain",
            NotReady::Recovering | NotReady::LowSpace(_) | NotReady::StoreFailed(_) => {
                "this node takes on nothing new"
            }
        }
    }
}

/// Decides from the tip and the store; a handle.
#[derive(Clone)]
pub struct Admission {
    tip: watch::Receiver<Tip>,
    store: Store,
    clock: Clock,
    network: Network,
    max_silence: Duration,
    is_recovering: Arc<AtomicBool>,
}

impl Admission {
    /// Watches the tip and the store.
    ///
    /// `max_silence` is how long bitcoind may be silent or without peers.
    pub fn new(
        tip: watch::Receiver<Tip>,
        store: Store,
        clock: Clock,
        network: Network,
        max_silence: Duration,
    ) -> Self {
        let is_recovering = Arc::default();
        Self { tip, store, clock, network, max_silence, is_recovering }
    }

    /// Refuses everything new until the daemon is started again.
    pub fn refuse_in_recovery(&self) {
        self.is_recovering.store(true, Ordering::Relaxed);
    }

    /// Returns whether the peers are closing the channels of a stale store.
    pub fn is_recovering(&self) -> bool {
        self.is_recovering.load(Ordering::Relaxed)
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
        let others = obstacles(failure, low, self.unsynced());
        let recovering = self.is_recovering().then_some(NotReady::Recovering);
        recovering.into_iter().chain(others).collect()
    }

    /// Returns why the newest blocks may be unknown, if so.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let competitive = self.network != Network::Regtest;
        unsynced(
            &self.tip.borrow(),
            Instant::now(),
            self.clock.since_epoch(),
            self.max_silence,
            competitive,
        )
    }

    /// Returns whether the tip is fresh enough to pay and to open channels.
    pub fn is_synced(&self) -> bool {
        self.unsynced().is_none()
    }

    /// Returns [`Admission::check`] as a closure.
    pub fn as_check(&self) -> AdmissionCheck {
        let admission = self.clone();
        Arc::new(move || admission.check())
    }
}

/// `now` and `since_epoch` are the same moment; where no miners compete, age and peers say nothing.
fn unsynced(
    tip: &Tip,
    now: Instant,
    since_epoch: Duration,
    max_silence: Duration,
    competitive: bool,
) -> Option<Unsynced> {
    let silence = now.saturating_duration_since(tip.confirmed);
    if silence > max_silence {
        return Some(Unsynced::Silent(silence));
    }
    if tip.initial_download {
        return Some(Unsynced::InitialDownload);
    }
    if !competitive {
        return None;
    }
    if now.saturating_duration_since(tip.connected) > max_silence {
        return Some(Unsynced::NoPeers);
    }
    let header = Duration::from_secs(tip.time.into());
    let age = since_epoch.saturating_sub(header);
    if age > OLDEST_HEADER {
        return Some(Unsynced::OldTip(age));
    }
    let ahead = header.saturating_sub(since_epoch);
    if ahead > FUTURE_HEADER {
        return Some(Unsynced::ClockBehind(ahead));
    }
    // Most miners' clocks are right: half of the last blocks are not from the future. It is an hour ago as a rule.
    let ahead = Duration::from_secs(tip.median_time.into()).saturating_sub(since_epoch);
    (!ahead.is_zero()).then_some(Unsynced::ClockBehind(ahead))
}

fn obstacles(
    failure: Option<String>,
    low: Option<String>,
    unsynced: Option<Unsynced>,
) -> Vec<NotReady> {
    let failed = failure.map(NotReady::StoreFailed);
    let stale = unsynced.map(NotReady::NotSynced);
    failed.into_iter().chain(low.map(NotReady::LowSpace)).chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bitcoin::BlockHash;
    use bitcoin::hashes::Hash as _;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const MAX_SILENCE: Duration = Duration::from_secs(120);

    #[test]
    fn all_obstacles_are_listed_the_most_serious_first() {
        assert!(obstacles(None, None, None).is_empty());
        let unsynced = Some(Unsynced::NoPeers);
        assert_eq!(obstacles(None, None, unsynced), [NotReady::NotSynced(Unsynced::NoPeers)]);
        let all = obstacles(Some("gone".to_owned()), Some("full".to_owned()), unsynced);
        let words: Vec<&str> = all.iter().map(NotReady::word).collect();
        assert_eq!(words, ["STORE_FAILED", "LOW_DISK_SPACE", "NOT_SYNCED"]);
    }

    #[test]
    fn peers_learn_nothing_about_our_disks() {
        let low = NotReady::LowSpace("the disk of /home/alice has 3 MiB free".to_owned());
        assert!(low.to_string().contains("/home/alice") && !low.for_strangers().contains("alice"));
        let words = [NotReady::NotSynced(Unsynced::NoPeers), low, NotReady::Recovering]
            .map(|not| not.word());
        assert_eq!(words, ["NOT_SYNCED", "LOW_DISK_SPACE", "RECOVERING"]);
    }

    /// A moment with a chain that is known in every respect.
    struct Moment {
        tip: Tip,
        now: Instant,
        since_epoch: Duration,
    }

    impl Moment {
        fn new() -> Self {
            let now = Instant::now() + 100 * MINUTE;
            let tip = Tip {
                height: 800_000,
                hash: BlockHash::all_zeros(),
                time: 1_700_000_000,
                median_time: 1_700_000_000 - 3_600,
                confirmed_at: UNIX_EPOCH,
                confirmed: now,
                connected: now,
                initial_download: false,
            };
            Self { tip, now, since_epoch: Duration::from_secs(1_700_000_000) + 20 * MINUTE }
        }

        fn unsynced(&self, competitive: bool) -> Option<Unsynced> {
            unsynced(&self.tip, self.now, self.since_epoch, MAX_SILENCE, competitive)
        }
    }

    #[test]
    fn synced_is_a_young_tip_from_a_bitcoind_that_answers_and_has_peers() {
        let good = Moment::new();
        assert_eq!(good.unsynced(true), None);

        let mut silent = Moment::new();
        silent.now += MAX_SILENCE;
        assert_eq!(silent.unsynced(true), None);
        silent.now += Duration::from_secs(1);
        let silence = MAX_SILENCE + Duration::from_secs(1);
        for competitive in [false, true] {
            assert_eq!(silent.unsynced(competitive), Some(Unsynced::Silent(silence)));
        }

        let mut downloading = Moment::new();
        downloading.tip.initial_download = true;
        assert_eq!(downloading.unsynced(false), Some(Unsynced::InitialDownload));

        let mut alone = Moment::new();
        alone.tip.connected -= MAX_SILENCE + Duration::from_secs(1);
        assert_eq!(alone.unsynced(true), Some(Unsynced::NoPeers));
        assert_eq!(alone.unsynced(false), None);

        let mut old = Moment::new();
        old.since_epoch += OLDEST_HEADER;
        assert_eq!(old.unsynced(true), Some(Unsynced::OldTip(OLDEST_HEADER + 20 * MINUTE)));
        assert_eq!(old.unsynced(false), None);

        let mut set_back = Moment::new();
        set_back.since_epoch -= 20 * MINUTE + FUTURE_HEADER;
        set_back.tip.median_time -= 3_600;
        assert_eq!(set_back.unsynced(true), None, "miners' clocks may be ahead");
        set_back.since_epoch -= MINUTE;
        let behind = FUTURE_HEADER + MINUTE;
        assert_eq!(set_back.unsynced(true), Some(Unsynced::ClockBehind(behind)));

        let mut hour_back = Moment::new();
        hour_back.since_epoch -= 80 * MINUTE;
        assert_eq!(hour_back.unsynced(true), None, "no earlier than half of the last blocks");
        hour_back.since_epoch -= MINUTE;
        assert_eq!(hour_back.unsynced(true), Some(Unsynced::ClockBehind(MINUTE)));
        assert_eq!(hour_back.unsynced(false), None);
    }
}
