//! The node's stage: LDK restored and at the tip; nothing drives it yet.

use std::sync::Arc;

use bitcoin::constants::ChainHash;
use lightning::chain::BestBlock;

use super::chain::Chain;
use super::error::stale_words;
use super::wallet::OnChain;
use super::{Error, Ground};
use crate::admission::Admission;
use crate::chain::{self, ChainSource as _, Listener, Source, Sync, UtxoCheck};
use crate::channels::FundingSpends;
use crate::clock::Clock;
use crate::config::Config;
use crate::node::Node;
use crate::node::gossip::resolve;
use crate::node::recovery;
use crate::node::run::assemble::{self, Materials};
use crate::node::run::catch_up::Assembled;
use crate::node::run::reserve;
use crate::node::stale::{OnStale, StaleProof};
use crate::storage::{KvStore, Store};
use crate::tasks::Stage;

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
    let (utxo_check, outcomes) = UtxoCheck::new(
        chain.source.clone(),
        ChainHash::using_genesis_block(config.network),
        PARALLEL_UTXO_CHECKS,
        ground.tasks.clone(),
    );
    let tip = on_chain.tip.borrow().best_block();
    let kv = KvStore::new(ground.store.clone());
    let recovering = match recovery::is_under_way(&kv)? {
        true => Some(on_chain.spends.spent_below(tip.height.saturating_sub(recovery::DEPTH - 2))?),
        false => None,
    };
    let is_recovering = recovering.is_some();
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
        utxo_check: Arc::new(utxo_check),
        tip,
        async_persistence: config.storage.async_persistence,
        clock: ground.clock.clone(),
        admission: admission.as_check(),
        recovering,
        on_stale: on_stale(ground),
    })?;
    if is_recovering {
        watch_recovery(ground, admission, &on_chain.spends, &kv, &assembled).await?;
    }
    let seen = assembled.node.channel_manager.current_best_block();
    tell_age(&chain.source, &ground.clock, seen, tip).await;
    reserve::publish(&assembled.node, &chain.feerates, &on_chain.reserve);
    let node = catch_up(assembled, &on_chain.spends, &mut on_chain.sync).await?;
    let resolving = node.clone();
    ground.tasks.spawn(Stage::Peers, "resolve checks of gossip", |stopping| {
        resolve::run(resolving, outcomes, stopping)
    });
    Ok(node)
}

/// Blocks that a node misses in an ordinary restart: half a day's.
const USUAL_GAP: u32 = 72;

/// Logs which block the channels' state has seen last. While all peers are away, nothing else tells an older copy.
async fn tell_age(source: &Source, clock: &Clock, seen: BestBlock, tip: BestBlock) {
    let blocks = tip.height.saturating_sub(seen.height);
    // bitcoind may not know the block of a stale branch.
    let mined_at = source.known_block(seen.block_hash).await.map(|block| block.median_time).ok();
    let hours = mined_at.map(|secs| clock.unix_secs().saturating_sub(secs.into()) / 3_600);
    let height = seen.height;
    match blocks {
        0..USUAL_GAP => tracing::info!(
            height,
            blocks,
            hours,
            "age of the last block that the channels have seen"
        ),
        _ => tracing::warn!(
            height,
            blocks,
            hours,
            "the last block that the channels have seen is old: if this is an older copy of the data directory, stop, \
             and put the newest one back"
        ),
    }
}

/// Takes on nothing new while channels are set aside, and says what the recovery waits for; ends it when none are.
async fn watch_recovery(
    ground: &Ground,
    admission: &Admission,
    spends: &Arc<FundingSpends>,
    kv: &KvStore,
    assembled: &Assembled,
) -> Result<(), Error> {
    let set_aside = assembled.set_aside.clone();
    if set_aside.is_empty() {
        recovery::end(kv).await?;
        tracing::info!("the peers have closed all channels: the recovery ends");
        return Ok(());
    }
    admission.refuse_in_recovery();
    let spends = spends.clone();
    ground.warnings.add(move || {
        let open = spends.unspent_of(&set_aside);
        Some(match (open, set_aside.len() - open) {
            (0, closed) => format!(
                "recovering: the peers have closed {closed} channels; restart {} blocks after the last one, to collect \
                 what is ours",
                recovery::DEPTH
            ),
            (open, closed) => format!(
                "recovering: {open} channels wait for their peers to close them, {closed} have been closed; nothing new is \
                 taken on"
            ),
        })
    });
    Ok(())
}

/// Stores the proof, so that no later start acts on the state, and ends the daemon at once.
fn on_stale(ground: &Ground) -> OnStale {
    let (store, tasks) = (KvStore::new(ground.store.clone()), ground.tasks.clone());
    Arc::new(move |proof| {
        // Without it the daemon ends all the same, and the peer proves it again after the next start.
        if let Err(error) = proof.store(&store).wait() {
            tracing::error!(%error, "could not store the proof of a stale state");
        }
        tasks.abandon(stale_words(&proof));
    })
}

/// Refuses a store that a peer has proved to be an older copy.
///
/// # Errors
/// [`Error::Stale`].
pub(super) fn refuse_stale(store: &Store) -> Result<(), Error> {
    match StaleProof::stored(&KvStore::new(store.clone()))? {
        None => Ok(()),
        Some(proof) => Err(Error::Stale(stale_words(&proof))),
    }
}

/// Brings LDK to the tip before anything else of it runs.
async fn catch_up(
    assembled: Assembled,
    spends: &Arc<FundingSpends>,
    sync: &mut Sync,
) -> Result<Arc<Node>, chain::Error> {
    let mut listeners = assembled.catching_up();
    let best = assembled.spends_best;
    listeners.insert(0, Listener { name: "funding spends", best, listen: spends.clone() });
    sync.catch_up_more(&mut listeners).await?;
    drop(listeners);
    Ok(assembled.finish())
}
