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
    /// Let channels go on while their monitor update is being written, several at a time.
    ///
    /// LDK calls this mode beta: in rare cases it may lead to loss of funds.
    pub async_persistence: bool,
    /// Memory for recently used records, in MiB.
    pub cache_mib: u64,
    /// New channels and payments are refused while the disk has less free space than this, in MiB.
    pub min_free_mib: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mirror: None,
            stop_without_mirror: false,
            async_persistence: false,
            cache_mib: 64,
            min_free_mib: 1024,
        }
    }
}
