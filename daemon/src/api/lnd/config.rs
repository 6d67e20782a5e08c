//! Whether and how lnd's clients are served.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Section `[lnd]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether lnd's gRPC packages are served beside `fulmen.v1`, on the same port.
    pub enabled: bool,
    /// A directory that gets `tls.cert` and `data/chain/bitcoin/NETWORK/*.macaroon` at each start, for tools that build
    /// these paths; none writes nothing.
    pub layout: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, layout: None }
    }
}
