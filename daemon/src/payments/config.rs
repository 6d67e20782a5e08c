//! The options of sending money.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Section `[payments]`: bounds that hold where a call does not give its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds in which attempts are made; HTLCs under way then may still succeed or come back.
    pub timeout_secs: u32,
    /// The most parts a payment is split into.
    pub max_parts: u32,
    /// The fee, in millisatoshis, that any payment may cost.
    pub max_fee_base_msat: u64,
    /// The fee, in millionths of the amount, that a payment may cost where this is more than the base.
    pub max_fee_millionths: u64,
    /// The most, in satoshis, that one payment may be, whatever the call asks for; 0 for no limit. Moving money between
    /// our own channels is not bound by it.
    pub max_amount_sat: u64,
    /// The most, in satoshis, that one payment may cost in fees, whatever the call asks for; 0 for no limit.
    pub max_fee_sat: u64,
    /// Payments of more satoshis than this are probed first, so that what would get stuck costs nothing; 0 probes none.
    /// Offers are not probed: the payee's place is known only with the invoice.
    pub probe_above_sat: u64,
    /// Blocks that the money may be locked, over the whole path.
    pub max_total_cltv_delta: u32,
    /// Payments that are under way at once; more wait for their turn. A channel carries at most 483 HTLCs.
    pub max_in_flight: u32,
    /// Payments that may wait for their turn; more are refused.
    pub max_waiting: u32,
    /// The recursive DNS resolver that names (`user@domain`, BIP 353) are asked of, as `IP:PORT`; its answers are
    /// believed only with a DNSSEC proof, but it learns whom we pay. None by default: names are not resolved.
    pub dns_resolver: Option<SocketAddr>,
    /// Probes that are sent in the background in an hour, to learn which channels are good before a payment
    /// needs them; 0 sends none.
    pub background_probes_per_hour: u32,
    /// What such a probe sends at most, in satoshis.
    pub background_probe_sat: u64,
    /// Such probes that are under way at once at most.
    pub background_probe_max_htlcs: u32,
    /// What they hold together at most, in percent of what all channels can send.
    pub background_probe_max_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_secs: 60,
            max_parts: 16,
            max_fee_base_msat: 10_000,
            max_fee_millionths: 10_000,
            max_amount_sat: 0,
            max_fee_sat: 0,
            probe_above_sat: 0,
            max_total_cltv_delta: 2_016,
            max_in_flight: 400,
            max_waiting: 10_000,
            dns_resolver: None,
            background_probes_per_hour: 0,
            background_probe_sat: 100_000,
            background_probe_max_htlcs: 2,
            background_probe_max_percent: 5,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let zero = [
            ("timeout_secs", self.timeout_secs),
            ("max_parts", self.max_parts),
            ("max_total_cltv_delta", self.max_total_cltv_delta),
            ("max_in_flight", self.max_in_flight),
        ];
        let mut problems: Vec<String> = zero
            .into_iter()
            .filter(|(_, value)| *value == 0)
            .map(|(option, _)| format!("{option}: must be at least 1"))
            .collect();
        if self.max_parts > 100 {
            problems.push("max_parts: must be at most 100".to_owned());
        }
        if self.max_total_cltv_delta > 2_016 {
            problems.push("max_total_cltv_delta: must be at most 2016".to_owned());
        }
        if self.background_probes_per_hour > 3_600 {
            problems.push("background_probes_per_hour: must be at most 3600".to_owned());
        }
        if self.background_probe_max_percent > 100 {
            problems.push("background_probe_max_percent: must be at most 100".to_owned());
        }
        problems
    }
}
