//! Wakes the followers of a channel when something about it has changed.

use tokio::sync::watch;

/// Counts changes; followers read the records themselves.
#[derive(Debug, Default)]
pub struct Changes(watch::Sender<u64>);

impl Changes {
    /// Wakes all followers.
    pub fn tell(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns what wakes one follower, at once for the first time.
    pub fn follow(&self) -> watch::Receiver<u64> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        receiver
    }
}
