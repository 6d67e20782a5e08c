//! The composition root: starts the rooms in order, waits, and stops them in stages.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};

use crate::admission::Admission;
use crate::chain::{self, Broadcaster, Listener, Source, Sync, UtxoCheck};
use crate::channels::{self, Channels, FundingSpends, Sighting};
use crate::config::{Config, Places};
use crate::feerates::Feerates;
use crate::forwards::Forwards;
use crate::grpc::{self, serve};
use crate::invoices::Invoices;
use crate::journal::{Entry, Journal};
use crate::metrics::Registry;
use crate::node::assemble::{self, Assembled, Materials};
use crate::node::{Node, net, process, restore};
use crate::payments::{self, Payments};
use crate::peers::Peers;
use crate::storage::{self, Batch, MirrorStatus, Store};
use crate::tasks::{Stage, Stop, Tasks};
use crate::wallet::{
    self, Announcer, BirthdayError, Onlooker, Outside, Seed, SeedError, Wallet, reserve,
};
use crate::{events, figures, metrics, offline, ports};

/// How long each stage may take to end.
const STAGE_DEADLINE: Duration = Duration::from_secs(20);
/// Checks of announced channels that run at once; each is a call or two to bitcoind.
const PARALLEL_UTXO_CHECKS: usize = 4;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// No store.
    #[error(transparent)]
    Store(#[from] storage::Error),
    /// bitcoind is the wrong one, or its blocks are not to be had.
    #[error(transparent)]
    Chain(#[from] chain::Error),
    /// The wallet cannot be opened.
    #[error("could not open the on-chain wallet: {0}")]
    Wallet(#[from] wallet::Error),
    /// The wallet cannot look for its money.
    #[error(transparent)]
    Birthday(#[from] BirthdayError),
    /// LDK's state cannot be read.
    #[error(transparent)]
    Restore(#[from] restore::Error),
    /// A port for peers or for watching programs.
    #[error(transparent)]
    Listen(#[from] ports::Error),
    /// The port for gRPC.
    #[error(transparent)]
    Grpc(#[from] serve::Error),
    /// Records of payments do not fit LDK's.
    #[error("could not reconcile payments: {0}")]
    Payments(#[from] payments::Error),
    /// Records of channels do not fit LDK's.
    #[error("could not reconcile channels: {0}")]
    Channels(#[from] channels::Error),
    /// The operating system's signals.
    #[error("could not listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// Nothing more becomes durable.
    #[error("{failure}; {remedy}", remedy = failure.remedy())]
    StoreFailed {
        /// What happened to the store.
        failure: storage::Error,
    },
    /// A part of the running daemon failed.
    #[error("{0}")]
    Failed(String),
}

/// Runs the daemon until it is asked to stop or something that it cannot live without fails.
///
/// # Errors
/// See [`Error`]; each is one line for an operator.
pub async fn run(places: &Places, config: Config) -> Result<(), Error> {
    // First: while it asks for a passphrase, Ctrl-C ends it as it ends any program.
    let seed = offline::seed_file(places).load(|path| config.seed.passphrase(path))?;
    let tasks = Tasks::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let signals = tasks.clone();
    tasks.spawn(Stage::Chain, "signals", move |stopping| async move {
        tokio::select! {
            _ = terminate.recv() => signals.stop("SIGTERM"),
            _ = interrupt.recv() => signals.stop("SIGINT"),
            () = stopping.cancelled() => (),
        }
        stopping.cancelled().await;
        Ok(())
    });

    let store = Store::open(&places.data, &config.storage)?;
    // A failed store is waited for here and not in a task, and nothing of LDK's is called from here: its
    // threads wait for a disk that never answers.
    let started = tokio::select! {
        biased;
        failure = failure_of(&store) => return Err(Error::StoreFailed { failure }),
        started = starting(&tasks, &store, seed, places, config) => started,
    };
    if let Err(error) = started {
        end(&tasks, &store).await;
        return Err(error);
    }
    let stop = tokio::select! {
        biased;
        failure = failure_of(&store) => return Err(Error::StoreFailed { failure }),
        stop = tasks.stopped() => stop,
    };
    match &stop {
        Stop::Asked(why) => tracing::info!(why, "stopping"),
        Stop::Failed(why) => tracing::error!(why, "stopping"),
    }
    tokio::select! {
        biased;
        failure = failure_of(&store) => return Err(Error::StoreFailed { failure }),
        () = end(&tasks, &store) => (),
    }
    tracing::info!("stopped");
    match stop {
        Stop::Asked(_) => Ok(()),
        Stop::Failed(why) => Err(Error::Failed(why)),
    }
}

/// API, peers, work and chain end in this order; the store last, with all that they wrote.
async fn end(tasks: &Tasks, store: &Store) {
    for name in tasks.shutdown(STAGE_DEADLINE).await {
        tracing::warn!(task = name, "did not end in time");
    }
    tokio::task::block_in_place(|| store.close());
}

/// Completes with what keeps the store from making anything more durable.
async fn failure_of(store: &Store) -> storage::Error {
    let mut failed = store.failed();
    let failure = failed.wait_for(Option::is_some).await;
    failure.ok().and_then(|failure| failure.clone()).unwrap_or(storage::Error::Closed)
}

/// [`start`] in a task of its own, given up when the daemon is to stop before it is done.
async fn starting(
    tasks: &Tasks,
    store: &Store,
    seed: Seed,
    places: &Places,
    config: Config,
) -> Result<(), Error> {
    let (tell, told) = oneshot::channel();
    let (all, store, places) = (tasks.clone(), store.clone(), places.clone());
    tasks.spawn_once(Stage::Work, "start", async move {
        let started = tokio::select! {
            started = start(&all, &store, &seed, &places, config) => started,
            _ = all.stopped() => Ok(()),
        };
        // Whoever waited has given up, because the store failed.
        let _ = tell.send(started);
    });
    // A panic in it has stopped the tasks.
    told.await.unwrap_or(Ok(()))
}

/// Storage, restore, chain, events, and only then peers and users.
async fn start(
    tasks: &Tasks,
    store: &Store,
    seed: &Seed,
    places: &Places,
    config: Config,
) -> Result<(), Error> {
    let started_at =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let listeners = ports::bind("peers", "node.listen", &config.node.listen).await?;
    let bound = serve::bind(&config.grpc, &places.data)?;
    let registry = Registry::default();
    let watched = ports::bind("metrics", "metrics.listen", &config.metrics.listen).await?;
    metrics::serve::serve(&config.metrics, &registry, tasks, watched);
    let journal = Journal::open(store)?;

    let source = Source::connect(&config.bitcoind, config.network).await?;
    let feerates = Feerates::new(config.feerates.clone());
    if let Err(error) = feerates.refresh(&source).await {
        tracing::warn!(%error, "no fee estimates yet: the configured fallbacks are used");
    }
    let (broadcaster, outbox) = Broadcaster::new();
    let to_bitcoind = source.clone();
    tasks.spawn(Stage::Chain, "broadcast", |stopping| outbox.run(to_bitcoind, stopping));

    let keys = wallet::Keys::new(seed, config.network);
    let node_seed = keys.node_seed();
    let wallet = Wallet::open(store, &journal, keys)?;
    wallet.start_at_birthday(offline::seed_file(places).path(), &source).await?;
    let mut caught_up = [wallet_listener(&wallet)];
    let mut sync = Sync::catch_up(source.clone(), store, &config.bitcoind, &mut caught_up).await?;
    let tip = sync.tip();
    let spends = FundingSpends::load(store)?;
    let to_network = Arc::new(broadcaster.clone());
    let announced = onlooker(&spends, Sighting::Broadcast);
    let announcer = Arc::new(Announcer::new(wallet.clone(), to_network, announced));
    let utxo_check = Arc::new(UtxoCheck::new(
        source.clone(),
        ChainHash::using_genesis_block(config.network),
        PARALLEL_UTXO_CHECKS,
        tasks.clone(),
    ));
    let best = tip.borrow().best_block();
    let assembled = assemble::assemble(Materials {
        config: config.node.clone(),
        user_config: config.channels.user_config(config.network),
        network: config.network,
        seed: node_seed,
        store: store.clone(),
        broadcaster: announcer,
        feerates: Arc::new(feerates.clone()),
        wallet: wallet.clone(),
        utxo_check: utxo_check.clone(),
        tip: best,
        async_persistence: config.storage.async_persistence,
    })?;
    wallet.attach(Outside {
        reserve_sat: anchor_reserve(&assembled.node),
        broadcast: Arc::new(move |transactions| {
            let singly: Vec<_> = transactions.iter().collect();
            for transaction in singly {
                lightning::chain::chaininterface::BroadcasterInterface::broadcast_transactions(
                    &broadcaster,
                    &[transaction],
                );
            }
        }),
    });
    let node = catch_up(assembled, &spends, &mut sync).await?;
    let waker = node.clone();
    utxo_check.attach(&node.gossip, node.resolving.clone(), move || waker.wake());
    let (watching, mempool) = (wallet.clone(), source.clone());
    let in_mempool = onlooker(&spends, Sighting::Mempool);
    let interval = Duration::from_secs(config.bitcoind.mempool_interval_seconds);
    tasks.spawn(Stage::Work, "watch the mempool", |stopping| {
        watching.keep_watching_mempool(mempool, interval, in_mempool, stopping)
    });
    let (rebroadcast, forgetful, asked) = (wallet.clone(), wallet.clone(), source.clone());
    let (tips, more_tips) = (tip.clone(), tip.clone());
    tasks.spawn(Stage::Work, "rebroadcast the wallet's transactions", |stopping| {
        rebroadcast.keep_broadcasting(tips, stopping)
    });
    tasks.spawn(Stage::Work, "forget displaced transactions", |stopping| {
        forgetful.keep_forgetting(asked, more_tips, stopping)
    });

    let admission = Admission::new(tip.clone(), store.clone());
    watch_mirror(tasks, store, &journal);
    let parts = channels::Parts {
        config: config.channels.clone(),
        node: node.clone(),
        feerates: Arc::new(feerates.clone()),
        store: store.clone(),
        journal: journal.clone(),
        spends: spends.clone(),
        gate: admission.as_check(),
    };
    let channels = Channels::new(parts);
    let payments = Payments::new(
        config.payments.clone(),
        node.clone(),
        store.clone(),
        journal.clone(),
        tasks.clone(),
        admission.as_check(),
    );
    let invoices =
        Invoices::new(config.invoices.clone(), node.clone(), store.clone(), journal.clone());
    let forwards = Forwards::new(node.clone(), store.clone(), journal.clone())?;
    let peers = Peers::new(config.peers.clone(), node.clone(), tasks.clone(), store.clone());
    channels.reconcile().await?;
    payments.reconcile()?;

    let replayed = Arc::new(Notify::new());
    let outlet = events::outlet(events::Rooms {
        node: node.clone(),
        source: source.clone(),
        channels: channels.clone(),
        invoices: invoices.clone(),
        payments: payments.clone(),
        forwards: forwards.clone(),
        peers: peers.clone(),
        store: store.clone(),
        tasks: tasks.clone(),
        replayed: replayed.clone(),
    });
    let processed = node.clone();
    tasks.spawn(Stage::Work, "process LDK's events", |stopping| {
        process::run(processed, outlet, stopping)
    });
    let followers = following(&node, &wallet, &spends);
    tasks.spawn(Stage::Chain, "follow the chain", |stopping| sync.run(followers, stopping));
    let refreshed = feerates.clone();
    let asked = source.clone();
    tasks.spawn(Stage::Work, "refresh feerates", |stopping| refreshed.run(asked, stopping));

    let kept = &config.storage;
    let classes = vec![
        journal.history(kept.keep_journal_days),
        forwards.history(kept.keep_forwards_days),
        payments.history(kept.keep_payments_days),
        invoices.unpaid_history(kept.keep_unpaid_invoices_days),
        invoices.settled_history(kept.keep_settled_invoices_days),
        channels.closed_history(kept.keep_closed_channels_days),
    ];
    tasks.spawn(Stage::Work, "forget old history", |stopping| async move {
        // What LDK tells again has to find its records.
        tokio::select! {
            () = replayed.notified() => storage::every_day(stopping, classes).await,
            () = stopping.cancelled() => Ok(()),
        }
    });

    let exploring = payments.clone();
    tasks.spawn(Stage::Work, "probe in the background", |stopping| exploring.explore(stopping));

    let listening = addresses(&listeners);
    net::listen(&node, tasks, listeners);
    let reconnecting = peers.clone();
    tasks.spawn(Stage::Peers, "reconnect peers", |stopping| reconnecting.run(stopping));
    let leaving = node.clone();
    tasks.spawn(Stage::Peers, "disconnect peers at the end", |stopping| async move {
        stopping.cancelled().await;
        leaving.peer_manager.disconnect_all_peers();
        Ok(())
    });

    if !config.metrics.listen.is_empty() {
        let rooms = figures::Rooms {
            node: node.clone(),
            tip: tip.clone(),
            admission: admission.clone(),
            channels: channels.clone(),
            payments: payments.clone(),
            forwards: forwards.clone(),
            journal: journal.clone(),
            store: store.clone(),
            started_at,
        };
        figures::tell(rooms, &registry, tasks);
    }
    let stopping = tasks.stopping(Stage::Api);
    let services = serve::Services {
        node: grpc::node::NodeService {
            node: node.clone(),
            channels: channels.clone(),
            feerates: Arc::new(feerates.clone()),
            tip,
            admission,
            store: store.clone(),
            tasks: tasks.clone(),
            listening: listening.clone(),
            started_at,
        },
        wallet: grpc::wallet::WalletService { wallet, feerates },
        peers: grpc::peers::PeersService { peers: peers.clone() },
        channels: grpc::channels::ChannelsService { channels, peers, stopping: stopping.clone() },
        invoices: grpc::invoices::InvoicesService {
            invoices: invoices.clone(),
            stopping: stopping.clone(),
        },
        payments: grpc::payments::PaymentsService {
            payments: payments.clone(),
            invoices,
            stopping: stopping.clone(),
        },
        forwards: grpc::forwards::ForwardsService { forwards: forwards.clone() },
        graph: grpc::graph::GraphService {
            node: node.clone(),
            payments,
            stopping: stopping.clone(),
        },
        store: grpc::store::StoreService {
            store: store.clone(),
            directory: places.data.clone(),
            stopping: stopping.clone(),
        },
        events: grpc::events::EventsService { journal, forwards, stopping },
    };
    let address = bound.address();
    tasks.spawn(Stage::Api, "serve gRPC", |stopping| bound.serve(services, stopping));
    announce_start(&node.id(), &listening, address);
    Ok(())
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

/// Looks out for transactions that close a channel.
fn onlooker(spends: &Arc<FundingSpends>, sighting: Sighting) -> Onlooker {
    let spends = spends.clone();
    Arc::new(move |transaction| spends.see(transaction, sighting))
}

/// Everyone who is told of each block, in the order in which they are told.
fn following(node: &Arc<Node>, wallet: &Wallet, spends: &Arc<FundingSpends>) -> Vec<Listener> {
    let best = node.channel_manager.current_best_block();
    // Who closed a channel is known before the wallet, or LDK's next bump, meets the block.
    let mut listeners = vec![
        Listener { name: "funding spends", best, listen: spends.clone() },
        wallet_listener(wallet),
    ];
    listeners.extend(assemble::following(node).into_iter().map(|(name, best, listen)| Listener {
        name,
        best,
        listen,
    }));
    listeners
}

fn wallet_listener(wallet: &Wallet) -> Listener {
    Listener { name: "wallet", best: wallet.best_block(), listen: Arc::new(wallet.clone()) }
}

fn anchor_reserve(node: &Arc<Node>) -> Arc<dyn Fn() -> u64 + Send + std::marker::Sync> {
    // Weak, because the node owns the wallet that owns this.
    let node = Arc::downgrade(node);
    Arc::new(move || {
        reserve::reserve_sat(node.upgrade().map_or(0, |node| node.channels_to_defend()))
    })
}

/// The journal tells when the mirror fails, and when it has been brought in step again.
fn watch_mirror(tasks: &Tasks, store: &Store, journal: &Journal) {
    let (store, journal) = (store.clone(), journal.clone());
    tasks.spawn(Stage::Work, "watch the mirror", |stopping| async move {
        let mut status = store.mirror();
        loop {
            let entry = match &*status.borrow_and_update() {
                MirrorStatus::Failed { why } => Some(Entry::MirrorFailed { why: why.clone() }),
                MirrorStatus::InStep { caught_up_rows: 0 } | MirrorStatus::Off => None,
                MirrorStatus::InStep { caught_up_rows } => {
                    Some(Entry::MirrorCaughtUp { rows: *caught_up_rows })
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

fn addresses(listeners: &[TcpListener]) -> Vec<std::net::SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

fn announce_start(
    node_id: &PublicKey,
    listening: &[std::net::SocketAddr],
    grpc: std::net::SocketAddr,
) {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, %node_id, ?listening, %grpc, "started");
}
