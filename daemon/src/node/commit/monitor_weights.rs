//! Decides when a channel's whole monitor is written again: once the updates that are stored beside it outweigh it.
//!
//! A start reads the whole monitor and replays its updates. A monitor grows with every state of its channel, to
//! megabytes: written again after a fixed number of updates, it would soon be most of what the node writes. Written
//! when it is outweighed, whole monitors take about as many bytes as updates do, at most, and a start replays at most as
//! much as it reads.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use lightning::util::persist::{
    CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as WHOLE,
    CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE as UPDATES,
};

/// A smaller monitor weighs as much as this: a start replays so little in no time.
const LEAST_BYTES: usize = 64 * 1024;

/// How much of each monitor has been written since the start.
#[derive(Default)]
pub struct MonitorWeights(Mutex<HashMap<String, Weight>>);

struct Weight {
    whole_bytes: usize,
    update_bytes: usize,
}

impl MonitorWeights {
    /// Notes a write of LDK's; a removed monitor has no value.
    pub fn note(&self, primary: &str, secondary: &str, key: &str, value: Option<&[u8]>) {
        match (primary, value) {
            (WHOLE, Some(whole)) => {
                let weight = Weight { whole_bytes: whole.len(), update_bytes: 0 };
                self.weights().insert(key.to_owned(), weight);
            }
            (WHOLE, None) => drop(self.weights().remove(key)),
            (UPDATES, Some(update)) => {
                if let Some(weight) = self.weights().get_mut(secondary) {
                    weight.update_bytes += update.len();
                }
            }
            _ => (),
        }
    }

    /// Returns whether a monitor is to be written whole: its updates outweigh it, or it has not been written since
    /// the start, so that its weight is unknown.
    pub fn is_outweighed(&self, monitor: &str) -> bool {
        let weights = self.weights();
        let Some(weight) = weights.get(monitor) else { return true };
        weight.update_bytes > weight.whole_bytes.max(LEAST_BYTES)
    }

    fn weights(&self) -> MutexGuard<'_, HashMap<String, Weight>> {
        self.0.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_monitors_cost_no_more_than_their_updates() {
        let weights = MonitorWeights::default();
        assert!(weights.is_outweighed("a"), "unknown after a start");
        let (mut whole_bytes, mut whole_total, mut update_total) = (20_000, 0, 0);
        for _ in 0..20_000 {
            if weights.is_outweighed("a") {
                weights.note(WHOLE, "", "a", Some(&vec![0; whole_bytes]));
                whole_total += whole_bytes;
            } else {
                weights.note(UPDATES, "a", "7", Some(&[0; 2_000]));
                update_total += 2_000;
            }
            whole_bytes += 100;
        }
        // It has grown by a twentieth of its updates since it was weighed.
        assert!(whole_total <= update_total * 21 / 20 + 20_000, "{whole_total} for {update_total}");
        assert!(whole_total > update_total / 4, "{whole_total}: a start would replay too much");
        weights.note(UPDATES, "b", "7", Some(&[0; 2_000]));
        assert!(weights.is_outweighed("b"));
        weights.note(WHOLE, "", "a", None);
        assert!(weights.is_outweighed("a"), "it is gone");
    }
}
