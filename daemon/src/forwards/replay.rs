//! Which forwards LDK tells a second time after a restart.
//!
//! LDK forgets an event in the first write of its manager after the event was handled. A kill between the two
//! makes it tell again what is recorded already, and `PaymentForwarded` has no id. So the number of the first
//! forward that the stored manager may still remember is kept (the floor), moved after each write of the manager.
//! After a start, events that equal a record at or above the floor are replays, one for one, until the events
//! that the manager was stored with are through.

use std::collections::VecDeque;

use super::record::{ForwardRecord, Settled};

/// How many forwards without known fee are compared with a new one.
const UNPRICED_KEPT: usize = 64;

/// Distinguishes new forwards from events that LDK repeats.
#[derive(Debug, Default)]
pub struct Replays {
    /// Recorded before the start; LDK may repeat their events.
    expected: Vec<Settled>,
    /// Of these LDK may tell more than once while it runs: once by the channel and once by the chain.
    unpriced: VecDeque<Settled>,
}

impl Replays {
    /// Expects the forwards at or above `floor` among `newest` to be repeated.
    pub fn expect(newest: Vec<ForwardRecord>, floor: u64) -> Self {
        let expected = newest.into_iter().filter(|record| record.id >= floor);
        Self {
            expected: expected.map(|record| record.settled).collect(),
            unpriced: VecDeque::new(),
        }
    }

    /// Tells whether a forward was recorded before; if it was not, the next equal one may have been.
    pub fn is_known(&mut self, settled: &Settled) -> bool {
        if let Some(position) = self.expected.iter().position(|expected| expected == settled) {
            self.expected.swap_remove(position);
            return true;
        }
        if settled.fee_msat.is_some() {
            return false;
        }
        if self.unpriced.contains(settled) {
            return true;
        }
        if self.unpriced.len() >= UNPRICED_KEPT {
            self.unpriced.pop_front();
        }
        self.unpriced.push_back(settled.clone());
        false
    }

    /// All events that the manager was stored with are through: whatever comes now is new.
    pub fn end(&mut self) {
        self.expected.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(outbound_msat: u64) -> Settled {
        Settled { outbound_msat: Some(outbound_msat), fee_msat: Some(1), ..Settled::default() }
    }

    fn record(id: u64, settled: Settled) -> ForwardRecord {
        ForwardRecord { id, settled_at: 0, settled }
    }

    #[test]
    fn what_the_manager_may_remember_is_a_replay_once() {
        let newest = vec![
            record(9, forward(5)),
            record(8, forward(5)),
            record(7, forward(6)),
            record(6, forward(7)),
        ];
        let mut replays = Replays::expect(newest, 7);
        assert!(replays.is_known(&forward(5)));
        assert!(!replays.is_known(&forward(7)), "the manager had forgotten it, so this is another");
        assert!(replays.is_known(&forward(5)));
        assert!(!replays.is_known(&forward(5)), "there were two, this is the third");
        replays.end();
        assert!(!replays.is_known(&forward(6)));
    }

    #[test]
    fn a_forward_without_fee_counts_once_however_often_it_is_told() {
        let unpriced = Settled { fee_msat: None, ..forward(5) };
        let mut replays = Replays::default();
        assert!(!replays.is_known(&unpriced));
        assert!(replays.is_known(&unpriced));
        assert!(!replays.is_known(&forward(5)) && !replays.is_known(&forward(5)));
    }
}
