//! How fees on chain are estimated.

use serde::{Deserialize, Serialize};

/// How fees on chain are estimated; feerates in sat per vbyte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds between two questions to bitcoind's estimator.
    pub refresh_secs: u64,
    /// For confirmation within 2 blocks, where the estimator does not know (new nodes, regtest).
    pub fallback_2_sat_per_vb: u32,
    /// The same within 6 blocks.
    pub fallback_6_sat_per_vb: u32,
    /// The same within 12 blocks.
    pub fallback_12_sat_per_vb: u32,
    /// The same within 144 blocks.
    pub fallback_144_sat_per_vb: u32,
    /// For claims with a deadline, where the estimator does not know: later than that somebody else takes the money.
    pub fallback_urgent_sat_per_vb: u32,
    /// The most that is paid to get money back from closed channels that is in no danger.
    pub max_sweep_sat_per_vb: u32,
    /// The feerate that the anchor reserve has to suffice for: each channel, and each HTLC in flight, keeps what its
    /// commitment and its claim cost at this feerate, or at the estimate for 6 blocks where that is higher.
    pub anchor_reserve_sat_per_vb: u32,
    /// Replaces all estimates, on test networks; the mempool's minimum still counts.
    pub fixed_sat_per_vb: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            refresh_secs: 60,
            fallback_2_sat_per_vb: 20,
            fallback_6_sat_per_vb: 10,
            fallback_12_sat_per_vb: 5,
            fallback_144_sat_per_vb: 2,
            fallback_urgent_sat_per_vb: 50,
            max_sweep_sat_per_vb: 200,
            anchor_reserve_sat_per_vb: 50,
            fixed_sat_per_vb: None,
        }
    }
}

impl Config {
    /// The most that any of these may say: a slip of the pen is dear.
    const MOST_SAT_PER_VB: u32 = 10_000;

    /// Returns everything that is wrong with these options, each in one line.
    pub fn problems(&self) -> Vec<String> {
        let feerates = [
            ("fallback_2_sat_per_vb", Some(self.fallback_2_sat_per_vb)),
            ("fallback_6_sat_per_vb", Some(self.fallback_6_sat_per_vb)),
            ("fallback_12_sat_per_vb", Some(self.fallback_12_sat_per_vb)),
            ("fallback_144_sat_per_vb", Some(self.fallback_144_sat_per_vb)),
            ("fallback_urgent_sat_per_vb", Some(self.fallback_urgent_sat_per_vb)),
            ("max_sweep_sat_per_vb", Some(self.max_sweep_sat_per_vb)),
            ("anchor_reserve_sat_per_vb", Some(self.anchor_reserve_sat_per_vb)),
            ("fixed_sat_per_vb", self.fixed_sat_per_vb),
        ];
        let most = Self::MOST_SAT_PER_VB;
        let wrong = |rate: u32| !(1..=most).contains(&rate);
        let mut problems: Vec<String> = feerates
            .iter()
            .filter(|(_, rate)| rate.is_some_and(wrong))
            .map(|(name, _)| format!("{name}: must be between 1 and {most}"))
            .collect();
        if !(1..=3600).contains(&self.refresh_secs) {
            problems.push("refresh_secs: must be between 1 and 3600".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_every_problem_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let config = Config {
            refresh_secs: 0,
            fallback_2_sat_per_vb: 0,
            fixed_sat_per_vb: Some(20_000),
            ..Config::default()
        };
        assert_eq!(config.problems().len(), 3);
    }
}
