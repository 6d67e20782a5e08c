//! Coins that applications have reserved for a time: no send and no funding spends them.
//!
//! A claim of LDK that needs fees spends a leased coin all the same: a lost HTLC cannot be brought back, a lease can.

use std::collections::HashSet;

use bitcoin::consensus::encode;
use bitcoin::{Address, OutPoint};
use lightning::impl_writeable_tlv_based;

use super::Wallet;
use super::coins::build::Available;
use super::error::Error;
use super::lease::{Lease, Leases};
use super::ledger::Ledger;
use crate::storage::{Batch, Store, Table, record};

const LEASES: Table<LeaseRecord> = Table::new("wallet-leases");
/// More than these are a leak of the application.
const MAX_LEASES: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct LeaseRecord {
    name: String,
    expires_at: u64,
}

impl_writeable_tlv_based!(LeaseRecord, {
    (0, name, required),
    (2, expires_at, required),
});
record!(LeaseRecord, kind = 74, version = 1);

/// Reads the leases from the store.
pub(super) fn read(store: &Store) -> Result<Leases, Error> {
    let mut leases = Leases::new();
    for (key, LeaseRecord { name, expires_at }) in LEASES.all(store)? {
        if let Ok(outpoint) = encode::deserialize::<OutPoint>(&key) {
            leases.insert(outpoint, Lease { outpoint, name, expires_at });
        }
    }
    Ok(leases)
}

impl Ledger {
    /// The coins that are leased now.
    pub(super) fn leased(&self, now: u64) -> HashSet<OutPoint> {
        let leases = self.leases.values().filter(|lease| lease.expires_at > now);
        leases.map(|lease| lease.outpoint).collect()
    }

    /// Enters leases; the caller commits the batch.
    pub(super) fn lease(&mut self, leases: Vec<Lease>, batch: &mut Batch) {
        for lease in leases {
            let Lease { name, expires_at, .. } = lease.clone();
            LEASES.put(batch, &key(&lease.outpoint), &LeaseRecord { name, expires_at });
            self.leases.insert(lease.outpoint, lease);
        }
    }

    fn forget_ended(&mut self, now: u64, batch: &mut Batch) {
        self.leases.retain(|outpoint, lease| {
            let lives = lease.expires_at > now;
            if !lives {
                LEASES.delete(batch, &key(outpoint));
            }
            lives
        });
    }
}

impl Wallet {
    /// Reserves a coin under a name, or renews the lease; durable when it returns.
    ///
    /// # Errors
    /// [`Error::CoinNotSpendable`], [`Error::Leased`], [`Error::CoinsOfTheReserve`], [`Error::Store`].
    pub async fn lease(&self, outpoint: OutPoint, name: String, secs: u64) -> Result<Lease, Error> {
        let (lease, commit) = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            let (now, reserve) = (self.now(), self.reserve()?);
            let held = ledger.leases.get(&outpoint).filter(|lease| lease.expires_at > now);
            if let Some(other) = held.filter(|lease| lease.name != name) {
                return Err(Error::Leased(outpoint, other.expires_at));
            }
            if held.is_none() {
                Available::named(&ledger.bdk, reserve, &ledger.leased(now), outpoint)?;
            }
            let mut batch = Batch::new();
            ledger.forget_ended(now, &mut batch);
            if ledger.leases.len() >= MAX_LEASES {
                let why = format!("{MAX_LEASES} coins are leased already");
                return Err(Error::Argument("outpoint", why));
            }
            let lease = Lease { outpoint, name, expires_at: now.saturating_add(secs) };
            ledger.lease(vec![lease.clone()], &mut batch);
            (lease, self.keep(ledger, batch, &[])?)
        };
        commit.await?;
        Ok(lease)
    }

    /// Ends a lease; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Leased`], [`Error::Store`].
    pub async fn release(&self, outpoint: OutPoint, name: &str) -> Result<(), Error> {
        let commit = {
            let mut ledger = self.ledger();
            let ledger = &mut *ledger;
            let mut batch = Batch::new();
            ledger.forget_ended(self.now(), &mut batch);
            match ledger.leases.get(&outpoint) {
                None => return Err(Error::Unknown(format!("a lease of {outpoint}"))),
                Some(lease) if lease.name != name => {
                    return Err(Error::Leased(outpoint, lease.expires_at));
                }
                Some(_) => (),
            }
            ledger.leases.remove(&outpoint);
            LEASES.delete(&mut batch, &key(&outpoint));
            self.keep(ledger, batch, &[])?
        };
        commit.await?;
        Ok(())
    }

    /// The leases that have not ended, each with the amount in satoshis and the address of its coin, where the wallet
    /// still has it.
    pub fn leases(&self) -> Vec<(Lease, Option<(u64, Address)>)> {
        let (ledger, now) = (self.ledger(), self.now());
        let coin = |outpoint: OutPoint| {
            let output = ledger.bdk.get_utxo(outpoint)?;
            let address = Address::from_script(&output.txout.script_pubkey, self.network()).ok()?;
            Some((output.txout.value.to_sat(), address))
        };
        let leases = ledger.leases.values().filter(|lease| lease.expires_at > now);
        leases.map(|lease| (lease.clone(), coin(lease.outpoint))).collect()
    }
}

fn key(outpoint: &OutPoint) -> Vec<u8> {
    encode::serialize(outpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_stays_readable() {
        let stored = [&[16, 0, 4, 0, 2][..], b"me", &[2, 8, 0, 0, 0, 0, 0, 0, 1, 0]].concat();
        let known = LeaseRecord { name: "me".to_owned(), expires_at: 256 };
        assert_eq!(LeaseRecord::decode(1, &stored).expect("reads"), known);
        assert_eq!(known.encode(), stored);
    }
}
