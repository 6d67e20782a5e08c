//! LDK's `BroadcasterInterface` whose transactions wait at the gate.
//!
//! A commitment broadcast before the store knows that the channel is closed would be a revoked one after a crash and a
//! few more payments. Since LDK sends some transactions, like a cooperative close, only once, every checkpoint holds
//! those that wait and those that bitcoind [has not accepted](super::rebroadcast); the next start sends them again.
//!
//! A transaction caused by a block may leave a checkpoint before the monitor that saw the block: after a crash the same
//! block is seen again before any peer is connected.

use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::Transaction;
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::io;
use lightning::ln::msgs::DecodeError;
use lightning::util::ser::{Readable, Writeable, Writer};

use super::gate::{OutputGate, Waiting};
use super::rebroadcast::{PackageId, Rebroadcaster};
use crate::chain::Offer;

/// Sends through `B` what the gate releases.
pub struct HeldBroadcaster<B> {
    broadcaster: Arc<B>,
    gate: Arc<OutputGate>,
    state: Mutex<State>,
}

/// A package is in exactly one of these lists.
#[derive(Default)]
struct State {
    waiting: Waiting<Vec<Transaction>>,
    unaccepted: Rebroadcaster,
}

impl<B: Offer> HeldBroadcaster<B> {
    /// Puts the gate before a broadcaster.
    pub fn new(broadcaster: Arc<B>, gate: Arc<OutputGate>) -> Self {
        Self { broadcaster, gate, state: Mutex::default() }
    }

    /// Returns every package that bitcoind may not have yet, for the checkpoint.
    pub fn unsent(&self) -> Packages {
        let mut state = self.lock();
        state.unaccepted.settle();
        Packages(state.unaccepted.all().chain(state.waiting.all()).cloned().collect())
    }

    /// Takes in bitcoind's answers; returns whether a checkpoint would now hold less.
    pub fn settle(&self) -> bool {
        self.lock().unaccepted.settle()
    }

    /// Sends what the gate has released.
    pub fn release(&self) {
        let released = {
            let mut state = self.lock();
            let released = state.waiting.released(&self.gate);
            state.leave(released)
        };
        self.offer(released);
    }

    /// Sends again what the last checkpoint held.
    pub fn resume(&self, packages: Packages) {
        let unsent = self.lock().leave(packages.0);
        self.offer_again(unsent);
    }

    /// Sends again what bitcoind refused and is due; call it at each rebroadcast tick.
    pub fn retry(&self) {
        let due = {
            let mut state = self.lock();
            state.unaccepted.settle();
            state.unaccepted.due()
        };
        self.offer_again(due);
    }

    fn offer_again(&self, packages: Vec<(PackageId, Vec<Transaction>)>) {
        for (id, package) in packages {
            let answer = self.broadcaster.offer_again(package);
            self.lock().unaccepted.offered(id, answer);
        }
    }

    fn offer(&self, packages: Vec<(PackageId, Vec<Transaction>)>) {
        for (id, package) in packages {
            let answer = self.broadcaster.offer(package);
            self.lock().unaccepted.offered(id, answer);
        }
    }

    // A leaf lock: LDK calls while it holds its own locks, and so does a checkpoint.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

impl State {
    fn leave(&mut self, packages: Vec<Vec<Transaction>>) -> Vec<(PackageId, Vec<Transaction>)> {
        let add = |package: Vec<_>| Some((self.unaccepted.add(package.clone())?, package));
        packages.into_iter().filter_map(add).collect()
    }
}

/// Transactions to send, dependent ones together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packages(pub Vec<Vec<Transaction>>);

impl Writeable for Packages {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), io::Error> {
        (self.0.len() as u64).write(writer)?;
        for package in &self.0 {
            (package.len() as u64).write(writer)?;
            package.iter().try_for_each(|transaction| transaction.write(writer))?;
        }
        Ok(())
    }
}

impl Readable for Packages {
    fn read<R: io::Read>(reader: &mut R) -> Result<Self, DecodeError> {
        let mut packages = Vec::new();
        for _ in 0..<u64 as Readable>::read(reader)? {
            let count: u64 = Readable::read(reader)?;
            let package = (0..count).map(|_| Readable::read(reader)).collect::<Result<_, _>>()?;
            packages.push(package);
        }
        Ok(Self(packages))
    }
}

impl<B: Offer> BroadcasterInterface for HeldBroadcaster<B> {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let package = transactions.iter().copied().cloned().collect();
        self.lock().waiting.join(&self.gate, [package]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::chain::fake::transaction;
    use crate::chain::{Answer, BroadcastRefusal, Verdict};

    type Reply = oneshot::Sender<Result<(), BroadcastRefusal>>;

    #[derive(Default)]
    struct Sent(Mutex<Vec<(Vec<Transaction>, Reply)>>, AtomicUsize);

    impl Offer for Sent {
        fn offer(&self, transactions: Vec<Transaction>) -> Answer {
            let (reply, answer) = oneshot::channel();
            self.0.lock().expect("held briefly").push((transactions, reply));
            answer
        }

        fn offer_again(&self, transactions: Vec<Transaction>) -> Answer {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.offer(transactions)
        }
    }

    impl Sent {
        fn packages(&self) -> Vec<Vec<Transaction>> {
            let sent = self.0.lock().expect("held briefly");
            sent.iter().map(|(package, _)| package.clone()).collect()
        }

        fn answer(&self, said: Result<(), BroadcastRefusal>) {
            let (_, reply) = self.0.lock().expect("held briefly").remove(0);
            reply.send(said).expect("somebody waits");
        }
    }

    fn a_transaction() -> Transaction {
        transaction(1, &[])
    }

    fn held() -> (Arc<Sent>, Arc<OutputGate>, HeldBroadcaster<Sent>) {
        let (sent, gate) = (Arc::new(Sent::default()), Arc::new(OutputGate::default()));
        (sent.clone(), gate.clone(), HeldBroadcaster::new(sent, gate))
    }

    #[test]
    fn a_transaction_goes_out_after_its_checkpoint_and_stays_in_the_next_until_bitcoind_has_it() {
        let (sent, gate, held) = held();
        let package = [vec![a_transaction()]];
        held.broadcast_transactions(&[&a_transaction()]);
        held.release();
        assert!(sent.packages().is_empty());
        assert_eq!(held.unsent().0, package);
        gate.pass(gate.begin());
        held.release();
        held.release();
        assert_eq!(sent.packages(), package);
        assert_eq!(held.unsent().0, package);
        assert!(!held.settle());
        sent.answer(Ok(()));
        assert!(held.settle());
        assert_eq!(held.unsent(), Packages::default());
    }

    #[test]
    fn what_a_checkpoint_held_is_sent_at_once_and_kept() {
        let (sent, _, held) = held();
        let packages = || Packages(vec![vec![a_transaction()], vec![transaction(2, &[])]]);
        held.resume(packages());
        assert_eq!(sent.packages(), packages().0);
        assert_eq!(sent.1.load(Ordering::Relaxed), 2, "the wallet may have forgotten them");
        assert_eq!(held.unsent(), packages());
    }

    #[test]
    fn what_is_refused_for_now_is_tried_again() {
        let (sent, _, held) = held();
        held.resume(Packages(vec![vec![a_transaction()]]));
        held.retry();
        assert_eq!(sent.packages().len(), 1, "bitcoind has not answered yet");
        let (txid, verdict) = (a_transaction().compute_txid(), Verdict::FeeTooLow("1 < 2".into()));
        sent.answer(Err(BroadcastRefusal { txid, verdict }));
        assert_eq!(held.unsent().0.len(), 1);
        held.retry();
        assert_eq!(sent.packages().len(), 1);
        sent.answer(Ok(()));
        assert_eq!(held.unsent(), Packages::default());
    }

    #[test]
    fn packages_are_read_back_as_they_were() {
        let packages =
            Packages(vec![vec![a_transaction(), a_transaction()], vec![a_transaction()]]);
        let bytes = packages.encode();
        assert_eq!(Packages::read(&mut &bytes[..]).expect("written above"), packages);
        assert!(Packages::read(&mut &bytes[..bytes.len() - 1]).is_err());
    }
}
