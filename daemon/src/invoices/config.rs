//! The options of taking money.

use serde::{Deserialize, Serialize};

/// Section `[invoices]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds for which an invoice can be paid, unless the call says otherwise.
    pub expiry_secs: u32,
    /// Takes payments that come without an invoice.
    pub accept_keysend: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { expiry_secs: 3_600, accept_keysend: true }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        match self.expiry_secs {
            0 => vec!["expiry_secs: must be at least 1".to_owned()],
            _ => Vec::new(),
        }
    }
}
