//! Holds back what leaves the node until what it follows from is durable.
//!
//! LDK runs on in memory and believes that its state is stored. What it says, to peers and to the chain, takes a
//! ticket: the number of the first checkpoint that is sure to hold all that had happened by then. It goes out when
//! that checkpoint is durable. Whatever crashes, the stored state is one that everybody outside has heard at most
//! of, and a restart goes on from it as if what came after had never been received ("output commit": Strom and
//! Yemini, Optimistic Recovery in Distributed Systems, 1985).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// Counts the checkpoints that began and those that are durable.
#[derive(Debug, Default)]
pub struct Gate {
    begun: AtomicU64,
    durable: watch::Sender<u64>,
    /// The highest ticket that was given out.
    asked: AtomicU64,
    open: bool,
    someone_waits: Notify,
}

impl Gate {
    /// A gate that lets everything through at once, for who waits in another way.
    pub fn open() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// The checkpoint to wait for with what has happened by now.
    fn ticket(&self) -> u64 {
        if self.open {
            return 0;
        }
        let ticket = self.begun.load(Ordering::SeqCst) + 1;
        self.asked.fetch_max(ticket, Ordering::SeqCst);
        self.someone_waits.notify_one();
        ticket
    }

    /// A checkpoint takes the state as it is now; returns its number.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The checkpoint of this number is durable, and so are all before it.
    pub fn pass(&self, number: u64) {
        self.durable.send_if_modified(|durable| {
            let is_later = number > *durable;
            *durable = number.max(*durable);
            is_later
        });
    }

    /// Whether something waits for a checkpoint that has not begun.
    pub fn wants_checkpoint(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > self.begun.load(Ordering::SeqCst)
    }

    /// Completes when all that has happened by now is durable.
    pub async fn passed(&self) {
        let ticket = self.ticket();
        let mut durable = self.durable.subscribe();
        durable.wait_for(|durable| *durable >= ticket).await.expect("the gate is its sender");
    }

    /// Completes when somebody has begun to wait.
    pub async fn someone_waits(&self) {
        self.someone_waits.notified().await;
    }
}

/// What waits at a gate, in order.
#[derive(Debug)]
pub struct Waiting<T>(VecDeque<(u64, T)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Waiting<T> {
    /// Joins the end; call it after what is said has happened.
    pub fn join(&mut self, gate: &Gate, said: impl IntoIterator<Item = T>) {
        let mut said = said.into_iter().peekable();
        if said.peek().is_some() {
            let ticket = gate.ticket();
            self.0.extend(said.map(|it| (ticket, it)));
        }
    }

    /// Takes from the front what may go out.
    pub fn released(&mut self, gate: &Gate) -> Vec<T> {
        let durable = *gate.durable.borrow();
        let count = self.0.iter().take_while(|(ticket, _)| *ticket <= durable).count();
        self.0.drain(..count).map(|(_, said)| said).collect()
    }

    /// All that waits, in order.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, said)| said)
    }

    /// Forgets what must never go out.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.0.retain(|(_, said)| keep(said));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_waits_for_a_checkpoint_that_begins_after_it() {
        let gate = Gate::default();
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
    fn what_is_forgotten_never_goes_out() {
        let gate = Gate::default();
        let mut waiting = Waiting::default();
        waiting.join(&gate, [1, 2, 3]);
        waiting.retain(|said| *said != 2);
        gate.pass(gate.begin());
        assert_eq!(waiting.released(&gate), [1, 3]);
    }

    #[tokio::test]
    async fn whoever_waits_for_what_has_happened_asks_for_its_checkpoint() {
        let gate = Gate::default();
        let early = gate.begin();
        let passed = gate.passed();
        tokio::pin!(passed);
        assert!(futures_util::poll!(passed.as_mut()).is_pending());
        assert!(gate.wants_checkpoint());
        gate.pass(early);
        assert!(futures_util::poll!(passed.as_mut()).is_pending());
        gate.pass(gate.begin());
        passed.await;
        Gate::open().passed().await;
    }

    #[test]
    fn an_open_gate_holds_nothing_back() {
        let gate = Gate::open();
        let mut waiting = Waiting::default();
        waiting.join(&gate, [1]);
        assert_eq!(waiting.released(&gate), [1]);
        assert!(!gate.wants_checkpoint());
    }
}
