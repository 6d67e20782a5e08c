//! The node's stage: LDK restored and at the tip; nothing drives it yet.

use std::sync::Arc;

use bitcoin::constants::ChainHash;

use super::chain::Chain;
use super::wallet::OnChain;
use super::{Error, Ground};
use crate::admission::Admission;
use crate::chain::{self, Listener, Sync, UtxoCheck};
use crate::channels::FundingSpends;
use crate::config::Config;
use crate::node::Node;
use crate::node::run::assemble::{self, Materials};
use crate::node::run::catch_up::Assembled;
use crate::node::run::reserve;

/// Checks of announced channels that run at once; each is a call or two to bitcoind.
const PARALLEL_UTXO_CHECKS: usize = 4;

/// Restores LDK's state and brings it to the tip.
pub(super) async fn start(
    ground: &Ground,
    config: &Config,
    chain: &mut Chain,
    on_chain: &mut OnChain,
    admission: &Admission,
) -> Result<Arc<Node>, Error> {
    let utxo_check = Arc::new(UtxoCheck::new(
        chain.source.clone(),
        ChainHash::using_genesis_block(config.network),
        PARALLEL_UTXO_CHECKS,
        ground.tasks.clone(),
    ));
    let tip = on_chain.tip.borrow().best_block();
    let assembled = assemble::assemble(Materials {
        config: config.node.clone(),
        user_config: config.channels.user_config(config.network),
        close_policy: config.channels.close_policy(),
        network: config.network,
        seed: on_chain.node_seed,
        store: ground.store.clone(),
        broadcaster: on_chain.broadcaster.clone(),
        feerates: Arc::new(chain.feerates.clone()),
        wallet: on_chain.wallet.clone(),
        utxo_check: utxo_check.clone(),
        tip,
        async_persistence: config.storage.async_persistence,
        clock: ground.clock.clone(),
        admission: admission.as_check(),
    })?;
    reserve::publish(&assembled.node, &chain.feerates, &on_chain.reserve);
    let node = catch_up(assembled, &on_chain.spends, &mut on_chain.sync).await?;
    let waker = node.clone();
    utxo_check.attach(&node.gossip, node.resolving.clone(), move || waker.wake());
    Ok(node)
}

/// Brings LDK to the tip before anything else of it runs.
async fn catch_up(
    assembled: Assembled,
    spends: &Arc<FundingSpends>,
    sync: &mut Sync,
) -> Result<Arc<Node>, chain::Error> {
    let mut listeners = assembled.catching_up();
    let best = assembled.node.channel_manager.current_best_block();
    listeners.insert(0, Listener { name: "funding spends", best, listen: spends.clone() });
    sync.catch_up_more(&mut listeners).await?;
    drop(listeners);
    Ok(assembled.finish())
}
