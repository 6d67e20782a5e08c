//! On-chain fee estimates for each of LDK's purposes.
//!
//! `estimate` decides, `refresh` asks the chain source; LDK reads what was decided last, for it
//! asks often and must not wait.

mod config;
mod estimate;
mod refresh;

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bitcoin::{FeeRate, Network};
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};

use self::estimate::{Estimates, RawEstimates};
pub use config::Config;

/// The feerates of now; clones share them.
#[derive(Clone)]
pub struct Feerates(Arc<Inner>);

struct Inner {
    config: Config,
    current: Mutex<(Estimates, SystemTime)>,
}

/// The feerates at one moment, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// To confirm within so many blocks.
    pub horizons: [(u16, FeeRate); 4],
    /// The lowest feerate that enters the mempool.
    pub mempool_minimum: FeeRate,
    /// Whether bitcoind's estimator said nothing, so that these are the configured fallbacks.
    pub fallback: bool,
    /// When bitcoind was last asked successfully; 1970 before that.
    pub updated_at: SystemTime,
}

impl Feerates {
    /// Begins with the configured fallbacks, until the first refresh.
    pub fn new(config: Config) -> Self {
        let estimates = estimate::estimate(&config, RawEstimates::default(), None);
        Self(Arc::new(Inner { config, current: Mutex::new((estimates, SystemTime::UNIX_EPOCH)) }))
    }

    /// Returns the feerate for a transaction of the wallet that shall confirm within `blocks`.
    pub fn feerate_for_wallet(&self, blocks: u16) -> FeeRate {
        fee_rate(self.current().0.for_blocks(blocks))
    }

    /// Returns a sentence while bitcoind's estimator knows nothing; not on regtest, where it never does.
    pub fn warning(&self, network: Network) -> Option<String> {
        let is_blind = network != Network::Regtest && self.current().0.fallback;
        is_blind.then(|| {
            "bitcoind has no fee estimates (a new node, or -blocksonly): transactions pay the configured \
             fallbacks (feerates.fallback_...)"
                .to_owned()
        })
    }

    /// Returns the feerate that the anchor reserve has to suffice for.
    pub fn for_anchor_reserve(&self) -> FeeRate {
        let (estimates, _) = self.current();
        let least = estimate::sat_per_kw(self.0.config.anchor_reserve_sat_per_vb);
        fee_rate(estimates.six_blocks.max(least))
    }

    /// Returns the feerates of now.
    pub fn snapshot(&self) -> Snapshot {
        let (estimates, updated_at) = self.current();
        Snapshot {
            horizons: [
                (2, fee_rate(estimates.two_blocks)),
                (6, fee_rate(estimates.six_blocks)),
                (12, fee_rate(estimates.twelve_blocks)),
                (144, fee_rate(estimates.day)),
            ],
            mempool_minimum: fee_rate(estimates.mempool_minimum),
            fallback: estimates.fallback,
            updated_at,
        }
    }

    fn current(&self) -> (Estimates, SystemTime) {
        *self.0.current.lock().expect("no panic while held")
    }

    /// Takes in what the chain source said.
    fn learn(&self, answers: RawEstimates) {
        let mut current = self.0.current.lock().expect("no panic while held");
        let (before, updated_at) = *current;
        // What `new` began with is no past to be smoothed.
        let before = (updated_at != SystemTime::UNIX_EPOCH).then_some(&before);
        *current = (estimate::estimate(&self.0.config, answers, before), SystemTime::now());
    }
}

impl FeeEstimator for Feerates {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        self.current().0.for_target(&self.0.config, target)
    }
}

fn fee_rate(sat_per_kw: u32) -> FeeRate {
    FeeRate::from_sat_per_kwu(u64::from(sat_per_kw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_estimates_are_warned_of_but_on_regtest() {
        let feerates = Feerates::new(Config::default());
        assert!(feerates.warning(Network::Bitcoin).is_some());
        assert_eq!(feerates.warning(Network::Regtest), None);
        feerates.learn(RawEstimates { six_blocks: Some(1_000), ..RawEstimates::default() });
        assert_eq!(feerates.warning(Network::Bitcoin), None);
    }
}
