//! The tasks' stage: what runs for as long as the daemon does, events and blocks among it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Ground;
use super::chain::Chain;
use super::rooms::Rooms;
use super::wallet::{OnChain, listener, observer, searcher};
use crate::chain::Listener;
use crate::channels::Sighting;
use crate::config::Config;
use crate::events;
use crate::journal::{Entry, Journal};
use crate::node::Node;
use crate::node::run::{catch_up, process, pruning, reserve};
use crate::storage::{self, Batch, MirrorStatus, Store};
use crate::tasks::{Stage, Tasks};

/// Starts the tasks; from here on LDK's events are handled and blocks are followed.
pub(super) fn start(
    ground: &Ground,
    config: &Config,
    chain: &Chain,
    on_chain: OnChain,
    node: &Arc<Node>,
    rooms: &Rooms,
) {
    let tasks = &ground.tasks;
    watch_wallet(tasks, config, chain, &on_chain);
    watch_mirror(tasks, &ground.store, &rooms.journal);
    let (defending, reserve) = (node.clone(), on_chain.reserve.clone());
    let feerates = chain.feerates.clone();
    tasks.spawn(Stage::Work, "publish the anchor reserve", |stopping| {
        reserve::keep_publishing(defending, feerates, reserve, stopping)
    });

    let replayed = Arc::new(Notify::new());
    let outlet = events::outlet(events::EventHandlers {
        node: node.clone(),
        source: chain.source.clone(),
        channels: rooms.channels.clone(),
        invoices: rooms.invoices.clone(),
        payments: rooms.payments.clone(),
        forwards: rooms.forwards.clone(),
        peers: rooms.peers.clone(),
        store: ground.store.clone(),
        tasks: tasks.clone(),
        replayed: replayed.clone(),
    });
    let processed = node.clone();
    tasks.spawn(Stage::Work, "process LDK's events", |stopping| {
        process::run(processed, outlet, stopping)
    });
    let tip = on_chain.tip.clone();
    let followers = following(node, &on_chain);
    let sync = on_chain.sync;
    tasks.spawn(Stage::Chain, "follow the chain", |stopping| sync.run(followers, stopping));
    let (refreshed, asked) = (chain.feerates.clone(), chain.source.clone());
    tasks.spawn(Stage::Work, "refresh feerates", |stopping| refreshed.run(asked, stopping));

    let (writing, recovering) = (rooms.backup.clone(), rooms.backup.clone());
    tasks.spawn(Stage::Work, "write the channel backup", |stopping| writing.keep_writing(stopping));
    let mined = tip.clone();
    tasks.spawn(Stage::Work, "recover lost channels", |stopping| {
        recovering.recover(mined, stopping)
    });
    let holding = rooms.invoices.clone();
    tasks.spawn(Stage::Work, "cancel hold invoices in time", |stopping| {
        holding.cancel_in_time(tip, stopping)
    });
    let (told, asked) = (node.clone(), chain.source.clone());
    tasks.spawn(Stage::Work, "follow pruning", |stopping| pruning::follow(told, asked, stopping));
    let counting = rooms.forwards.clone();
    tasks.spawn(Stage::Work, "count failed forwards", |stopping| counting.keep_counting(stopping));
    prune_history(ground, config, rooms, replayed);
    let probing = rooms.payments.clone();
    tasks.spawn(Stage::Work, "probe in the background", |stopping| probing.explore(stopping));
}

fn watch_wallet(tasks: &Tasks, config: &Config, chain: &Chain, on_chain: &OnChain) {
    let (watching, mempool) = (on_chain.wallet.clone(), chain.source.clone());
    let in_mempool = observer(&on_chain.spends, Sighting::Mempool);
    let interval = Duration::from_secs(config.bitcoind.mempool_interval_secs);
    tasks.spawn(Stage::Work, "watch the mempool", |stopping| {
        watching.keep_watching_mempool(mempool, interval, in_mempool, stopping)
    });
    let (rebroadcasting, tip) = (on_chain.wallet.clone(), on_chain.tip.clone());
    tasks.spawn(Stage::Work, "rebroadcast the wallet's transactions", |stopping| {
        rebroadcasting.keep_broadcasting(tip, stopping)
    });
    let (splitting, feerates) = (on_chain.wallet.clone(), chain.feerates.clone());
    tasks.spawn(Stage::Work, "split coins for the anchor reserve", |stopping| {
        splitting.keep_splitting(feerates, stopping)
    });
    let (forgetting, tip) = (on_chain.wallet.clone(), on_chain.tip.clone());
    let asked = chain.source.clone();
    tasks.spawn(Stage::Work, "forget displaced transactions", |stopping| {
        forgetting.keep_forgetting(asked, tip, stopping)
    });
}

/// Deletes history that is older than its class may be.
fn prune_history(ground: &Ground, config: &Config, rooms: &Rooms, replayed: Arc<Notify>) {
    let kept = &config.storage;
    let classes = vec![
        rooms.journal.history(kept.keep_journal_days),
        rooms.forwards.history(kept.keep_forwards_days),
        rooms.payments.history(kept.keep_payments_days),
        rooms.invoices.unpaid_history(kept.keep_unpaid_invoices_days),
        rooms.invoices.settled_history(kept.keep_settled_invoices_days),
        rooms.channels.closed_history(kept.keep_closed_channels_days),
    ];
    let clock = ground.clock.clone();
    ground.tasks.spawn(Stage::Work, "prune old history", |stopping| async move {
        // LDK's replayed events have to find their records.
        tokio::select! {
            () = replayed.notified() => storage::prune_daily(stopping, clock, classes).await,
            () = stopping.cancelled() => Ok(()),
        }
    });
}

/// The listeners to blocks, in the order in which each block reaches them.
fn following(node: &Arc<Node>, on_chain: &OnChain) -> Vec<Listener> {
    let best = node.channel_manager.current_best_block();
    // Who closed a channel is known before the wallet, or LDK's next bump, meets the block.
    let mut listeners = vec![
        Listener { name: "funding spends", best, listen: on_chain.spends.clone() },
        listener(&on_chain.wallet),
        searcher(&on_chain.static_outputs),
    ];
    listeners.extend(catch_up::following(node).into_iter().map(|(name, best, listen)| Listener {
        name,
        best,
        listen,
    }));
    listeners
}

/// Writes a journal entry when the mirror fails, and when it has caught up again.
fn watch_mirror(tasks: &Tasks, store: &Store, journal: &Journal) {
    let (store, journal) = (store.clone(), journal.clone());
    tasks.spawn(Stage::Work, "watch the mirror", |stopping| async move {
        let mut status = store.mirror();
        loop {
            let entry = match &*status.borrow_and_update() {
                MirrorStatus::Failed { why } => Some(Entry::MirrorFailed { why: why.clone() }),
                MirrorStatus::InSync { copied_rows: 0 } | MirrorStatus::Off => None,
                MirrorStatus::InSync { copied_rows } => {
                    Some(Entry::MirrorCaughtUp { rows: *copied_rows })
                }
            };
            if let Some(entry) = entry {
                let mut batch = Batch::new();
                journal.append(&mut batch, entry);
                store.commit(batch).await?;
            }
            tokio::select! {
                Ok(()) = status.changed() => (),
                () = stopping.cancelled() => return Ok(()),
            }
        }
    });
}
