//! The wallet's stage: on-chain money, at the tip.

use std::sync::Arc;

use tokio::sync::watch;

use super::chain::Chain;
use super::{Error, Ground};
use crate::backup::static_outputs::StaticOutputs;
use crate::chain::{Broadcaster, Listener, Sync, Tip};
use crate::channels::{FundingSpends, Sighting};
use crate::config::Config;
use crate::journal::Journal;
use crate::offline;
use crate::wallet::reserve::AnchorReserve;
use crate::wallet::{self, RecordingBroadcaster, Seed, TransactionObserver, Wallet};

/// The wallet, and what brings it blocks.
pub(super) struct OnChain {
    pub(super) wallet: Wallet,
    pub(super) broadcaster: Arc<RecordingBroadcaster<Broadcaster>>,
    pub(super) sync: Sync,
    pub(super) tip: watch::Receiver<Tip>,
    pub(super) spends: Arc<FundingSpends>,
    /// The search for our balances in channels that the node has lost.
    pub(super) static_outputs: Arc<StaticOutputs>,
    /// Where the node publishes the anchor reserve.
    pub(super) reserve: watch::Sender<Option<AnchorReserve>>,
    /// The 32 bytes from which all Lightning keys are derived.
    pub(super) node_seed: [u8; 32],
}

/// Opens the wallet and brings it to the tip.
pub(super) async fn start(
    ground: &Ground,
    config: &Config,
    seed: &Seed,
    journal: &Journal,
    chain: &Chain,
) -> Result<OnChain, Error> {
    let keys = wallet::SeedKeys::new(seed, config.network);
    let node_seed = keys.node_seed();
    let (reserve, reserve_published) = watch::channel(None);
    let wallet = Wallet::open(
        &ground.store,
        journal,
        ground.clock.clone(),
        keys,
        Arc::new(chain.broadcaster.clone()),
        reserve_published,
    )?;
    let warning = wallet.clone();
    ground.warnings.add(move || warning.reserve_warning());
    let seed_file = offline::seed_file(&ground.places);
    wallet.start_at_birthday(seed_file.path(), &chain.source).await?;
    let birth = wallet.best_block();
    let static_outputs = StaticOutputs::load(&ground.store, &node_seed, birth)?;
    let mut behind = [listener(&wallet), searcher(&static_outputs)];
    let source = chain.source.clone();
    let sync = Sync::catch_up(source, &ground.store, &config.bitcoind, &mut behind).await?;
    let spends = FundingSpends::load(&ground.store)?;
    let to_network = Arc::new(chain.broadcaster.clone());
    let announced = observer(&spends, Sighting::Broadcast);
    let broadcaster = Arc::new(RecordingBroadcaster::new(wallet.clone(), to_network, announced));
    let tip = sync.tip();
    Ok(OnChain { wallet, broadcaster, sync, tip, spends, static_outputs, reserve, node_seed })
}

/// The wallet as a listener to blocks.
pub(super) fn listener(wallet: &Wallet) -> Listener {
    Listener { name: "wallet", best: wallet.best_block(), listen: Arc::new(wallet.clone()) }
}

/// The search for static outputs as a listener to blocks.
pub(super) fn searcher(static_outputs: &Arc<StaticOutputs>) -> Listener {
    let best = static_outputs.best_block();
    Listener { name: "static outputs", best, listen: static_outputs.clone() }
}

/// Looks out for transactions that close a channel.
pub(super) fn observer(spends: &Arc<FundingSpends>, sighting: Sighting) -> TransactionObserver {
    let spends = spends.clone();
    Arc::new(move |transaction| spends.see(transaction, sighting))
}
