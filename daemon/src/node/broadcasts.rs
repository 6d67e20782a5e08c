//! LDK's broadcaster whose transactions wait at the gate.
//!
//! A commitment that is on its way while the store does not know that the channel is closed would be a revoked one
//! after a crash and a few payments more. And a checkpoint holds what waits for it, since LDK sends some of it, like
//! the end of a cooperative close, only once; from its release on it is chain's to get it to bitcoind.
//!
//! What a block makes LDK send may go out a checkpoint before the monitor that saw the block: after a crash the same
//! block is seen again before any peer is connected.

use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::Transaction;
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::io;
use lightning::ln::msgs::DecodeError;
use lightning::util::ser::{Readable, Writeable, Writer};

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

    /// What waits, for the checkpoint that it waits for.
    pub fn waiting(&self) -> Packages {
        Packages(self.lock().all().cloned().collect())
    }

    /// Sends what may go out by now.
    pub fn release(&self) {
        let released = self.lock().released(&self.gate);
        for package in released {
            self.broadcaster.broadcast_transactions(&package.iter().collect::<Vec<_>>());
        }
    }

    // Nothing else is locked while it is held: LDK calls with its own locks, and so does a checkpoint.
    fn lock(&self) -> MutexGuard<'_, Waiting<Vec<Transaction>>> {
        self.waiting.lock().expect("no panic while held")
    }
}

/// Transactions to be sent, those together that depend on one another.
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

impl<B: BroadcasterInterface> BroadcasterInterface for HeldBroadcaster<B> {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let package = transactions.iter().copied().cloned().collect();
        self.lock().join(&self.gate, [package]);
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
        assert_eq!(held.waiting(), Packages(vec![vec![a_transaction()]]));
        gate.pass(gate.begin());
        held.release();
        held.release();
        assert_eq!(*sent.0.lock().expect("held briefly"), [a_transaction()]);
        assert_eq!(held.waiting(), Packages::default());
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
