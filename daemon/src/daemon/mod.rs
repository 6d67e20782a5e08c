//! The composition root: starts the rooms in stages, waits, and stops them in the opposite order.
//!
//! A stage is a function in a file of its own that takes what it needs and returns what it made:
//! `chain`, `wallet`, `node`, `rooms`, `tasks`, `api`. Peers and users are let in last.

mod api;
mod chain;
mod error;
mod node;
mod rooms;
mod tasks;
mod wallet;

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

pub use self::error::Error;

use crate::admission::Admission;
use crate::api::starting::Starting;
use crate::clock::Clock;
use crate::config::{Config, Places};
use crate::journal::Journal;
use crate::offline;
use crate::storage::{self, Claim, Store};
use crate::tasks::{Stage, Stop, Tasks};
use crate::wallet::Seed;
use crate::warnings::Warnings;

/// How long each stage may take to end.
const STAGE_DEADLINE: Duration = Duration::from_secs(20);

/// What there is before the store is open.
#[derive(Clone)]
struct Threshold {
    tasks: Tasks,
    places: Places,
    clock: Clock,
    /// What the start waits for.
    starting: Starting,
    warnings: Warnings,
}

/// What every stage builds on.
#[derive(Clone)]
struct Ground {
    tasks: Tasks,
    store: Store,
    places: Places,
    clock: Clock,
    /// What the start waits for.
    starting: Starting,
    warnings: Warnings,
    /// Unix time, in seconds.
    started_at: u64,
}

/// Runs the daemon until it is asked to stop or something that it cannot live without fails.
///
/// # Errors
/// See [`Error`]; each is one line for an operator.
pub async fn run(places: &Places, config: Config) -> Result<(), Error> {
    // First: while it asks for a passphrase, Ctrl-C ends it as it ends any program.
    offline::check_seed_of(places)?;
    let seed = offline::seed_file(places).load(|path| config.seed.passphrase(path))?;
    let tasks = Tasks::new();
    stop_on_signals(&tasks)?;
    // Before a file in it is written: the address of a daemon that runs on it stays.
    let claim = Claim::take(&places.data)?;
    let clock = Clock::system();
    let threshold = Threshold {
        tasks,
        places: places.clone(),
        starting: Starting::new(clock.clone()),
        clock,
        warnings: Warnings::default(),
    };
    let (doors, ground) = match open_store(&threshold, claim, &config).await {
        Ok(Some(opened)) => opened,
        other => {
            threshold.tasks.shutdown(STAGE_DEADLINE).await;
            return other.map(|_| tracing::info!("stopped"));
        }
    };

    // A failed store is awaited here and not in a task, and LDK is not called from here: its threads wait for a
    // disk that never answers.
    unless_store_fails(&ground.store, starting(&ground, doors, seed, config)).await??;
    let stop = unless_store_fails(&ground.store, ground.tasks.stopped()).await?;
    match &stop {
        Stop::Asked(why) => tracing::info!(why, "stopping"),
        Stop::Failed(why) => tracing::error!(why, "stopping"),
        Stop::Stale(why) => return Err(Error::Stale(why.clone())),
    }
    unless_store_fails(&ground.store, end(&ground)).await?;
    tracing::info!("stopped");
    match stop {
        Stop::Asked(_) => Ok(()),
        Stop::Failed(why) => Err(Error::Failed(why)),
        Stop::Stale(why) => Err(Error::Stale(why)),
    }
}

/// Binds the ports, so that users are answered while the store opens; `None` if the daemon is to stop meanwhile.
///
/// The store may take minutes to open: it replays its log, verifies its seals, and fills a new mirror.
async fn open_store(
    threshold: &Threshold,
    claim: Claim,
    config: &Config,
) -> Result<Option<(api::Doors, Ground)>, Error> {
    let started_at = threshold.clock.unix_secs();
    let doors = api::bind(threshold, config).await?;
    threshold.starting.waits_for("the store to open");
    let storage = config.storage.clone();
    let (report, opened) = oneshot::channel();
    crate::tasks::thread("open store", move || {
        // The receiver is gone if the daemon is to stop.
        let _ = report.send(Store::open_claimed(claim, &storage));
    })
    .map_err(Error::Thread)?;
    let store = tokio::select! {
        opened = opened => opened.map_err(|_| Error::Failed("the store panicked as it opened".to_owned()))??,
        _ = threshold.tasks.stopped() => return Ok(None),
    };
    node::refuse_stale(&store)?;
    let Threshold { tasks, places, clock, starting, warnings } = threshold.clone();
    Ok(Some((doors, Ground { tasks, store, places, clock, starting, warnings, started_at })))
}

/// Restore, chain, events, and only then peers and users.
async fn start(
    ground: &Ground,
    doors: api::Doors,
    seed: &Seed,
    config: Config,
) -> Result<(), Error> {
    let journal = Journal::open(&ground.store, ground.clock.clone())?;
    let access = api::admit(ground, &config, &doors, &journal)?;
    ground.starting.waits_for("bitcoind");
    let mut chain = chain::start(ground, &config).await?;
    ground.starting.waits_for("the wallet to catch up with the chain");
    let mut wallet = wallet::start(ground, &config, seed, &journal, &chain).await?;
    let admission = Admission::new(
        wallet.tip.clone(),
        ground.store.clone(),
        ground.clock.clone(),
        config.network,
        Duration::from_secs(config.bitcoind.max_silence_secs),
    );
    ground.starting.waits_for("the channels to be restored and to catch up with the chain");
    let node = node::start(ground, &config, &mut chain, &mut wallet, &admission).await?;
    ground.starting.waits_for("payments and channels to be compared with LDK's");
    let rooms = rooms::start(ground, &config, &journal, &chain, &wallet, &node, admission).await?;
    let served = api::Served {
        access,
        wallet: wallet.wallet.clone(),
        broadcaster: wallet.broadcaster.clone(),
        tip: wallet.tip.clone(),
    };
    tasks::start(ground, &config, &chain, wallet, &node, &rooms);
    api::open(ground, &config, doors, chain, served, node, rooms).await;
    Ok(())
}

/// API, peers, work and chain end in this order; the store last, with all that they wrote.
async fn end(ground: &Ground) {
    for name in ground.tasks.shutdown(STAGE_DEADLINE).await {
        tracing::warn!(task = name, "did not end in time");
    }
    tokio::task::block_in_place(|| ground.store.close());
}

/// [`start`] in a task of its own, given up when the daemon is to stop before it is done.
async fn starting(
    ground: &Ground,
    doors: api::Doors,
    seed: Seed,
    config: Config,
) -> Result<(), Error> {
    let (report, started) = oneshot::channel();
    let given = ground.clone();
    ground.tasks.spawn_once(Stage::Work, "start", async move {
        let started = tokio::select! {
            started = start(&given, doors, &seed, config) => started,
            _ = given.tasks.stopped() => Ok(()),
        };
        // The receiver is gone if the store failed meanwhile.
        let _ = report.send(started);
    });
    // A panic in it has stopped the tasks.
    let started = started.await.unwrap_or(Ok(()));
    if started.is_err() {
        end(ground).await;
    }
    started
}

/// Completes with `work`, or with the failure that keeps the store from making anything more durable.
async fn unless_store_fails<T>(store: &Store, work: impl Future<Output = T>) -> Result<T, Error> {
    let mut failed = store.failed();
    tokio::select! {
        biased;
        failure = failed.wait_for(Option::is_some) => {
            let failure = failure.ok().and_then(|failure| failure.clone());
            Err(Error::StoreFailed { failure: failure.unwrap_or(storage::Error::Closed) })
        }
        done = work => Ok(done),
    }
}

fn stop_on_signals(tasks: &Tasks) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let stopped = tasks.clone();
    tasks.spawn(Stage::Chain, "signals", move |stopping| async move {
        tokio::select! {
            _ = terminate.recv() => stopped.stop("SIGTERM"),
            _ = interrupt.recv() => stopped.stop("SIGINT"),
            () = stopping.cancelled() => (),
        }
        stopping.cancelled().await;
        Ok(())
    });
    Ok(())
}
