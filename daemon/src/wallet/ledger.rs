//! The wallet's state in memory, and the one way by which a change of it reaches the store.

use bdk_wallet::KeychainKind;
use bitcoin::{ScriptBuf, Txid};
use lightning::chain::BestBlock;

use super::error::Error;
use super::lease::Leases;
use super::persist::{self, Appender};
use super::{Wallet, coins};
use crate::storage::{self, Batch, Commit};

/// bdk's wallet and what it does not know.
pub(super) struct Ledger {
    pub(super) bdk: bdk_wallet::Wallet,
    pub(super) appender: Appender,
    /// Where the change of bumps goes, until something confirmed has paid it.
    bump_change: Option<(u32, ScriptBuf)>,
    /// Where swept money goes, until something confirmed has paid it.
    sweep_target: Option<(u32, ScriptBuf)>,
    /// Coins that applications have reserved.
    pub(super) leases: Leases,
}

/// For what LDK wants a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    BumpChange,
    Sweep,
}

impl Ledger {
    pub(super) fn new(bdk: bdk_wallet::Wallet, appender: Appender, leases: Leases) -> Self {
        Self { bdk, appender, bump_change: None, sweep_target: None, leases }
    }

    pub(super) fn best_block(&self) -> BestBlock {
        let tip = self.bdk.latest_checkpoint();
        BestBlock::new(tip.hash(), tip.height())
    }

    /// A script that stays the same until something confirmed has paid it.
    ///
    /// LDK asks anew for each attempt at a bump or a sweep; a new address each time would leave hundreds
    /// unused (more than a restored seed looks ahead), and would make of each attempt another transaction.
    pub(super) fn destination(&mut self, destination: Destination) -> ScriptBuf {
        let slot = self.slot(destination).clone();
        if let Some((index, script)) = slot
            && !self.has_been_paid(index)
        {
            return script;
        }
        let fresh = self.bdk.next_unused_address(KeychainKind::Internal);
        self.bdk.mark_used(KeychainKind::Internal, fresh.index);
        let script = fresh.address.script_pubkey();
        *self.slot(destination) = Some((fresh.index, script.clone()));
        script
    }

    /// Replaces bdk's wallet by one that was assembled anew; marks that bdk keeps only in memory are made
    /// again.
    pub(super) fn replace(&mut self, bdk: bdk_wallet::Wallet) {
        self.bdk = bdk;
        for (index, _) in [&self.bump_change, &self.sweep_target].into_iter().flatten() {
            self.bdk.mark_used(KeychainKind::Internal, *index);
        }
    }

    fn slot(&mut self, destination: Destination) -> &mut Option<(u32, ScriptBuf)> {
        match destination {
            Destination::BumpChange => &mut self.bump_change,
            Destination::Sweep => &mut self.sweep_target,
        }
    }

    fn has_been_paid(&self, index: u32) -> bool {
        self.bdk
            .spk_index()
            .keychain_outpoints(KeychainKind::Internal)
            .filter(|(of, _)| *of == index)
            .any(|(_, outpoint)| coins::is_confirmed(&self.bdk, outpoint.txid))
    }
}

impl Wallet {
    /// Enqueues `batch` with all that has changed in `ledger`; the caller still holds the lock, so changes
    /// reach the store in the order in which they were made.
    pub(super) fn keep(
        &self,
        ledger: &mut Ledger,
        mut batch: Batch,
        labels: &[(Txid, String)],
    ) -> Result<Commit, storage::Error> {
        if let Some(mut changes) = ledger.bdk.take_staged() {
            let noted = self
                .note(ledger, &changes, labels, self.now(), &mut batch)
                .and_then(|()| self.settle_fundings(ledger, &changes, &mut batch));
            if let Some(unlocked) = ledger.bdk.take_staged() {
                bdk_wallet::chain::Merge::merge(&mut changes, unlocked);
            }
            // The money comes first: whatever is wrong with a record about it, the change is stored.
            ledger.appender.append(&mut batch, changes);
            if let Err(error) = noted {
                drop(self.store().commit(batch));
                return Err(error);
            }
        }
        Ok(self.store().commit(batch))
    }

    /// Makes one change of many when there are many.
    pub(super) fn compact_if_long(&self, ledger: &mut Ledger) -> Result<(), Error> {
        if !ledger.appender.is_long() {
            return Ok(());
        }
        let whole = persist::whole(&ledger.bdk);
        let assembled = persist::load(self.keys(), whole.clone())?;
        let mut batch = Batch::default();
        ledger.appender.compact(&mut batch, whole);
        ledger.replace(assembled);
        // Nobody waits for it: the changes that it replaces say the same.
        drop(self.store().commit(batch));
        Ok(())
    }
}
