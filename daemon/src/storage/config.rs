//! The storage section of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A directory on another disk that receives every batch before it is acknowledged; none by default.
    pub mirror: Option<PathBuf>,
    /// End the daemon when the mirror fails, rather than warn and go on with one copy.
    pub stop_without_mirror: bool,
    /// Let LDK itself wait for each monitor update, rather than hold back what it says until the update is stored.
    ///
    /// LDK calls this mode beta: in rare cases it may lead to loss of funds.
    pub async_persistence: bool,
    /// Journal entries older than so many days are removed; 0 keeps them for ever.
    pub keep_journal_days: u32,
    /// Settled forwards older than so many days are removed, their totals stay; 0 keeps them for ever.
    pub keep_forwards_days: u32,
    /// Memory for recently used records, in MiB.
    pub cache_mib: u64,
    /// New channels and payments are refused while the disk has less free space than this, in MiB.
    pub min_free_mib: u64,
}

impl Config {
    /// Before which time, in seconds since 1970, journal entries may go.
    pub fn forget_journal_before(&self, now: u64) -> u64 {
        days_before(now, self.keep_journal_days)
    }

    /// Before which time, in seconds since 1970, settled forwards may go.
    pub fn forget_forwards_before(&self, now: u64) -> u64 {
        days_before(now, self.keep_forwards_days)
    }
}

fn days_before(now: u64, days: u32) -> u64 {
    if days == 0 { 0 } else { now.saturating_sub(u64::from(days) * 24 * 3600) }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mirror: None,
            stop_without_mirror: false,
            async_persistence: false,
            keep_journal_days: 0,
            keep_forwards_days: 0,
            cache_mib: 64,
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
        if self.stop_without_mirror && self.mirror.is_none() {
            problems.push("stop_without_mirror: there is no mirror".to_owned());
        }
        problems
    }
}
