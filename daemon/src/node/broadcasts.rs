//! LDK's broadcaster whose transactions wait at the gate.
//!
//! A commitment that is on its way while the store does not know that the channel is closed would be a revoked one
//! after a crash and a few payments more.

use std::sync::{Arc, Mutex};

use bitcoin::Transaction;
use lightning::chain::chaininterface::BroadcasterInterface;

use super::gate::{Gate, Waiting};

/// Sends through `B` when the gate lets it.
pub struct HeldBroadcaster<B> {
    broadcaster: Arc<B>,
    gate: Arc<Gate>,
    waiting: Mutex<Waiting<Vec<Transaction>>>,
}

impl<B: BroadcasterInterface> HeldBroadcaster<B> {
    /// Puts the gate before a broadcaster.
    pub fn new(broadcaster: Arc<B>, gate: Arc<Gate>) -> Self {
        Self { broadcaster, gate, waiting: Mutex::default() }
    }

    /// Sends what may go out by now.
    pub fn release(&self) {
        let released = self.waiting.lock().expect("no panic while held").released(&self.gate);
        for package in released {
            self.broadcaster.broadcast_transactions(&package.iter().collect::<Vec<_>>());
        }
    }
}

impl<B: BroadcasterInterface> BroadcasterInterface for HeldBroadcaster<B> {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let package = transactions.iter().copied().cloned().collect();
        self.waiting.lock().expect("no panic while held").join(&self.gate, [package]);
        if self.gate.is_open() {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;

    use super::*;

    #[derive(Default)]
    struct Sent(Mutex<Vec<Transaction>>);

    impl BroadcasterInterface for Sent {
        fn broadcast_transactions(&self, transactions: &[&Transaction]) {
            self.0.lock().expect("held briefly").extend(transactions.iter().copied().cloned());
        }
    }

    fn a_transaction() -> Transaction {
        let (input, output) = (Vec::new(), Vec::new());
        Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output }
    }

    #[test]
    fn a_transaction_goes_out_after_its_checkpoint() {
        let (sent, gate) = (Arc::new(Sent::default()), Arc::new(Gate::default()));
        let held = HeldBroadcaster::new(sent.clone(), gate.clone());
        held.broadcast_transactions(&[&a_transaction()]);
        held.release();
        assert!(sent.0.lock().expect("held briefly").is_empty());
        gate.pass(gate.begin());
        held.release();
        held.release();
        assert_eq!(*sent.0.lock().expect("held briefly"), [a_transaction()]);
    }

    #[test]
    fn an_open_gate_does_not_hold_it() {
        let sent = Arc::new(Sent::default());
        let held = HeldBroadcaster::new(sent.clone(), Arc::new(Gate::open()));
        held.broadcast_transactions(&[&a_transaction()]);
        assert_eq!(*sent.0.lock().expect("held briefly"), [a_transaction()]);
    }
}
