//! Holds output back until the state that it follows from is durable.
//!
//! LDK runs on in memory and believes that its state is stored. Each output, to a peer or to the chain, takes a
//! ticket: the number of the first checkpoint that is certain to hold everything that had happened by then. It leaves
//! when that checkpoint is durable. After a crash nobody outside knows more than the stored state, and a restart
//! continues from it as if nothing later had been received ("output commit": Strom and Yemini, Optimistic Recovery in
//! Distributed Systems, 1985).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// Counts the checkpoints that began and those that are durable.
#[derive(Debug, Default)]
pub struct OutputGate {
    begun: AtomicU64,
    durable: watch::Sender<u64>,
    /// The highest ticket issued.
    asked: AtomicU64,
    open: bool,
    output_waits: Notify,
}

impl OutputGate {
    /// Returns a gate that holds nothing back, for output that waits in another way.
    pub fn open() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// Returns the checkpoint that will hold everything that has happened by now.
    fn ticket(&self) -> u64 {
        if self.open {
            return 0;
        }
        let ticket = self.begun.load(Ordering::SeqCst) + 1;
        self.asked.fetch_max(ticket, Ordering::SeqCst);
        self.output_waits.notify_one();
        ticket
    }

    /// Begins a checkpoint of the state as it is now; returns its number.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Reports that the checkpoint of this number, and all before it, are durable.
    pub fn pass(&self, number: u64) {
        self.durable.send_if_modified(|durable| {
            let is_later = number > *durable;
            *durable = number.max(*durable);
            is_later
        });
    }

    /// Returns whether some output waits for a checkpoint that has not begun.
    pub fn wants_checkpoint(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > self.begun.load(Ordering::SeqCst)
    }

    /// Completes when everything that has happened by now is durable.
    pub async fn passed(&self) {
        let ticket = self.ticket();
        let mut durable = self.durable.subscribe();
        durable.wait_for(|durable| *durable >= ticket).await.expect("the gate is its sender");
    }

    /// Completes when some output has begun to wait.
    pub async fn output_waits(&self) {
        self.output_waits.notified().await;
    }
}

/// Output that waits at a gate, in order.
#[derive(Debug)]
pub struct Waiting<T>(VecDeque<(u64, T)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Waiting<T> {
    /// Appends output; call it after the state change that the output follows from.
    pub fn join(&mut self, gate: &OutputGate, output: impl IntoIterator<Item = T>) {
        let mut output = output.into_iter().peekable();
        if output.peek().is_some() {
            let ticket = gate.ticket();
            self.0.extend(output.map(|it| (ticket, it)));
        }
    }

    /// Removes and returns the output that may leave.
    pub fn released(&mut self, gate: &OutputGate) -> Vec<T> {
        let durable = *gate.durable.borrow();
        let count = self.0.iter().take_while(|(ticket, _)| *ticket <= durable).count();
        self.0.drain(..count).map(|(_, output)| output).collect()
    }

    /// Returns the waiting output, in order.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, output)| output)
    }

    /// Drops output that must never leave.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.0.retain(|(_, output)| keep(output));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_waits_for_a_checkpoint_that_begins_after_it() {
        let gate = OutputGate::default();
        let mut waiting = Waiting::default();
        let early = gate.begin();
        waiting.join(&gate, ["after the first began"]);
        assert!(gate.wants_checkpoint());
        gate.pass(early);
        assert!(waiting.released(&gate).is_empty());

        let second = gate.begin();
        assert!(!gate.wants_checkpoint());
        waiting.join(&gate, ["after the second began"]);
        assert!(waiting.released(&gate).is_empty());
        gate.pass(second);
        assert_eq!(waiting.released(&gate), ["after the first began"]);
        gate.pass(gate.begin());
        assert_eq!(waiting.released(&gate), ["after the second began"]);
    }

    #[test]
    fn dropped_output_never_leaves() {
        let gate = OutputGate::default();
        let mut waiting = Waiting::default();
        waiting.join(&gate, [1, 2, 3]);
        waiting.retain(|output| *output != 2);
        gate.pass(gate.begin());
        assert_eq!(waiting.released(&gate), [1, 3]);
    }

    #[tokio::test]
    async fn waiting_for_the_current_state_requests_a_checkpoint() {
        let gate = OutputGate::default();
        let early = gate.begin();
        let passed = gate.passed();
        tokio::pin!(passed);
        assert!(futures_util::poll!(passed.as_mut()).is_pending());
        assert!(gate.wants_checkpoint());
        gate.pass(early);
        assert!(futures_util::poll!(passed.as_mut()).is_pending());
        gate.pass(gate.begin());
        passed.await;
        OutputGate::open().passed().await;
    }

    #[test]
    fn an_open_gate_holds_nothing_back() {
        let gate = OutputGate::open();
        let mut waiting = Waiting::default();
        waiting.join(&gate, [1]);
        assert_eq!(waiting.released(&gate), [1]);
        assert!(!gate.wants_checkpoint());
    }
}
