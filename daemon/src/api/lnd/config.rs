//! Whether and how lnd's clients are served.

use serde::{Deserialize, Serialize};

/// Section `[lnd]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether lnd's gRPC packages are served beside `fulmen.v1`, on the same port.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}
