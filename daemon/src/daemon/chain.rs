//! The chain's stage: bitcoind, fee estimates, broadcasts.

use bitcoin::Network;
use tokio::sync::watch;

use super::{Error, Ground};
use crate::chain::{self, Broadcaster, Source};
use crate::config::Config;
use crate::feerates::Feerates;
use crate::tasks::Stage;

/// bitcoind, and what comes from it and goes to it.
pub(super) struct Chain {
    pub(super) source: Source,
    pub(super) feerates: Feerates,
    pub(super) broadcaster: Broadcaster,
    /// Changes whenever bitcoind refuses a package because it pays too little.
    pub(super) too_cheap: watch::Receiver<u64>,
}

/// Connects to bitcoind; waits for it as long as it takes.
pub(super) async fn start(ground: &Ground, config: &Config) -> Result<Chain, Error> {
    let starting = ground.starting.clone();
    let away = move |why: &chain::Error| starting.still_waits_for(format!("bitcoind ({why})"));
    let source = Source::connect(&config.bitcoind, config.network, &away).await?;
    let feerates = Feerates::new(config.feerates.clone());
    if let Err(error) = feerates.refresh(&source).await {
        tracing::warn!(%error, "no fee estimates yet: the configured fallbacks are used");
    }
    let (warning, network) = (feerates.clone(), config.network);
    ground.warnings.add(move || warning.warning(network));
    if config.network != Network::Regtest {
        let node = config.node.clone();
        ground.warnings.add(move || node.announce_warning());
    }
    let (broadcaster, outbox) = Broadcaster::new();
    let (to_bitcoind, too_cheap) = (source.clone(), outbox.too_cheap());
    ground.tasks.spawn(Stage::Chain, "broadcast", |stopping| outbox.run(to_bitcoind, stopping));
    Ok(Chain { source, feerates, broadcaster, too_cheap })
}
