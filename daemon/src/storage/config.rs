//! The storage section of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A directory on another disk that receives every batch before it is acknowledged; none by default.
    pub mirror: Option<PathBuf>,
    /// A file on another disk that keeps the number of the last commit, so that a data directory that is an older copy is
    /// refused at the start; none by default.
    pub witness: Option<PathBuf>,
    /// End the daemon when the mirror fails, rather than warn and go on with one copy.
    pub stop_without_mirror: bool,
    /// Let LDK itself wait for each monitor update, rather than hold back what it says until the update is stored.
    ///
    /// LDK calls this mode beta: in rare cases it may lead to loss of funds.
    pub async_persistence: bool,
    /// Journal entries older than so many days are removed; 0 keeps them forever.
    pub keep_journal_days: u32,
    /// Settled forwards older than so many days are removed, their totals stay; 0 keeps them forever.
    pub keep_forwards_days: u32,
    /// Payments that ended more than so many days ago are removed with their idempotency keys, once their invoice has
    /// expired; 0 keeps them forever, else at least 30.
    pub keep_payments_days: u32,
    /// Invoices that nobody paid are removed so many days after they expired, with their idempotency keys; 0 keeps them
    /// forever.
    pub keep_unpaid_invoices_days: u32,
    /// Invoices that were paid, and keysends received, are removed so many days after they settled and expired, with
    /// their idempotency keys; 0 keeps them forever, else at least 30.
    pub keep_settled_invoices_days: u32,
    /// Channels that were closed more than so many days ago are removed with their idempotency keys, once all their money
    /// is back in the wallet; what they forwarded stays in the totals. 0 keeps them forever.
    pub keep_closed_channels_days: u32,
    /// Memory for recently used records, in MiB; a compaction takes as much again while it runs.
    pub cache_mib: u64,
    /// New channels and payments are refused while the disk has less free space than this, in MiB.
    pub min_free_mib: u64,
}

/// LDK may tell again, after a restart, of payments and receipts of the last two weeks, for so long may an HTLC last;
/// without their record they would count as new ones.
const LEAST_DAYS_OF_MONEY: u32 = 30;

impl Default for Config {
    fn default() -> Self {
        Self {
            mirror: None,
            witness: None,
            stop_without_mirror: false,
            async_persistence: false,
            keep_journal_days: 0,
            keep_forwards_days: 0,
            keep_payments_days: 0,
            keep_unpaid_invoices_days: 0,
            keep_settled_invoices_days: 0,
            keep_closed_channels_days: 0,
            cache_mib: 32,
            min_free_mib: 1024,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=65_536).contains(&self.cache_mib) {
            problems.push("cache_mib: must be between 1 and 65536".to_owned());
        }
        for (option, days) in [
            ("keep_payments_days", self.keep_payments_days),
            ("keep_settled_invoices_days", self.keep_settled_invoices_days),
        ] {
            if (1..LEAST_DAYS_OF_MONEY).contains(&days) {
                problems.push(format!(
                    "{option}: must be 0 or at least {LEAST_DAYS_OF_MONEY}: LDK may tell again of what is younger"
                ));
            }
        }
        if self.stop_without_mirror && self.mirror.is_none() {
            problems.push("stop_without_mirror: there is no mirror".to_owned());
        }
        problems
    }
}
