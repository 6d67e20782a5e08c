//! The options of taking money.

use serde::{Deserialize, Serialize};

/// LDK fails HTLCs back 39 blocks before they expire: less would leave no time to settle.
const HOLD_DELTAS: std::ops::RangeInclusive<u16> = 60..=2_016;
const MAX_HOLD_CANCEL_BLOCKS: u32 = 18;

/// Section `[invoices]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds for which an invoice can be paid, unless the call says otherwise.
    pub expiry_secs: u32,
    /// Takes payments that come without an invoice.
    pub accept_keysend: bool,
    /// The smallest payment without an invoice that is taken, in millisatoshis: each is recorded for as long as history
    /// is kept.
    pub min_keysend_msat: u64,
    /// Payments without an invoice that are taken in a minute, from all senders together; more are given back. 0 takes any
    /// number.
    pub max_keysends_per_minute: u32,
    /// Blocks between the arrival of a hold invoice's HTLCs and their expiry, unless the call says otherwise:
    /// the longest time to settle is about 40 blocks less.
    pub hold_final_cltv_expiry_delta: u16,
    /// Blocks before the claim deadline at which a hold invoice that nobody has settled is cancelled.
    pub hold_cancel_blocks: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            expiry_secs: 3_600,
            accept_keysend: true,
            min_keysend_msat: 1_000,
            max_keysends_per_minute: 6_000,
            hold_final_cltv_expiry_delta: 144,
            hold_cancel_blocks: 2,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.expiry_secs == 0 {
            problems.push("expiry_secs: must be at least 1".to_owned());
        }
        if !HOLD_DELTAS.contains(&self.hold_final_cltv_expiry_delta) {
            let (least, most) = (HOLD_DELTAS.start(), HOLD_DELTAS.end());
            problems.push(format!("hold_final_cltv_expiry_delta: must be from {least} to {most}"));
        }
        if self.hold_cancel_blocks > MAX_HOLD_CANCEL_BLOCKS {
            problems.push(format!("hold_cancel_blocks: must be at most {MAX_HOLD_CANCEL_BLOCKS}"));
        }
        problems
    }
}
