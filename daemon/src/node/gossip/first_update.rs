//! Channels whose announcement waits for their first update (BOLT 7: no `channel_announcement` without one is sent).

use std::collections::BTreeSet;

/// Most announcements that wait; mainnet announces a few hundred channels a day.
const MOST: usize = 5_000;

/// The short channel ids of announcements that have not been relayed.
#[derive(Default)]
pub struct FirstUpdates(BTreeSet<u64>);

impl FirstUpdates {
    /// Holds back the announcement of a channel without updates.
    ///
    /// Beyond a limit the oldest channel is forgotten and not relayed: others have it from elsewhere, or query us for it.
    pub fn hold_back(&mut self, short_channel_id: u64) {
        self.0.insert(short_channel_id);
        if self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    /// Returns whether the announcement of a channel was held back, which an update has come for.
    pub fn release(&mut self, short_channel_id: u64) -> bool {
        self.0.remove(&short_channel_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_released_once_and_their_number_is_bounded() {
        let mut held = FirstUpdates::default();
        held.hold_back(7);
        assert!(held.release(7));
        assert!(!held.release(7));
        (0..10_000).for_each(|scid| held.hold_back(scid));
        assert_eq!(held.0.len(), MOST);
        assert!(held.release(9_999) && !held.release(0));
    }
}
