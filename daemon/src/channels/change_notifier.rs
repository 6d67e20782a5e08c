//! Wakes the followers of a channel when something about it has changed.

use tokio::sync::watch;

/// Counts changes; followers read the records themselves.
#[derive(Debug, Default)]
pub struct ChangeNotifier(watch::Sender<u64>);

impl ChangeNotifier {
    /// Wakes all followers.
    pub fn notify(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns what wakes one follower, at once for the first time.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        receiver
    }
}
