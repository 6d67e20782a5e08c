//! Asks the chain source for fee estimates, again and again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Feerates;
use super::estimate::RawEstimates;
use crate::chain::{Backoff, ChainSource, Error, EstimateMode};
use crate::tasks::Outcome;

impl Feerates {
    /// Asks once.
    pub async fn refresh(&self, source: &impl ChainSource) -> Result<(), Error> {
        self.learn(ask(source).await?);
        Ok(())
    }

    /// Asks at each interval until `stopping`; while bitcoind is away, the last answers hold.
    pub async fn run(self, source: impl ChainSource, stopping: CancellationToken) -> Outcome {
        let interval = Duration::from_secs(self.0.config.refresh_secs.max(1));
        let refresh = async {
            let mut backoff = Backoff::new(source.health());
            loop {
                match self.refresh(&source).await {
                    Ok(()) => {
                        backoff = Backoff::new(source.health());
                        tokio::time::sleep(interval).await;
                    }
                    Err(error) => backoff.wait("estimating fees", &error).await,
                }
            }
        };
        stopping.run_until_cancelled(refresh).await.unwrap_or(Ok(()))
    }
}

async fn ask(source: &impl ChainSource) -> Result<RawEstimates, Error> {
    let economical = |blocks| source.estimate_sat_per_kw(blocks, EstimateMode::Economical);
    Ok(RawEstimates {
        two_blocks: source.estimate_sat_per_kw(2, EstimateMode::Conservative).await?,
        six_blocks: economical(6).await?,
        twelve_blocks: economical(12).await?,
        day: economical(144).await?,
        mempool_minimum: source.mempool_minimum_sat_per_kw().await?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::chain::fake::FakeChain;
    use std::time::SystemTime;

    #[tokio::test(start_paused = true)]
    async fn the_last_answers_hold_while_bitcoind_is_away() {
        let chain = FakeChain::new();
        chain.set_estimates(&[(2, 8_000), (6, 4_000), (12, 2_000), (144, 1_000)], 250);
        let feerates = Feerates::new(Config::default());
        assert_eq!(feerates.snapshot().updated_at, SystemTime::UNIX_EPOCH);
        assert!(feerates.snapshot().fallback);

        feerates.refresh(&chain).await.expect("answered");
        assert_eq!(feerates.feerate_for_wallet(6).to_sat_per_kwu(), 4_000);

        let stopping = CancellationToken::new();
        let run = feerates.clone().run(chain.clone(), stopping.clone());
        let script = async {
            chain.go_away();
            chain.failed_calls(3).await;
            assert_eq!(feerates.feerate_for_wallet(6).to_sat_per_kwu(), 4_000);
            stopping.cancel();
        };
        let (outcome, ()) = tokio::join!(run, script);
        outcome.expect("no failure");
    }
}
