//! Where static channel backups are written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Section `[backup]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A second file for the static channel backup, on another disk; it is written after each change of channels, beside
    /// `channels.backup` in the data directory.
    pub path: Option<PathBuf>,
}
