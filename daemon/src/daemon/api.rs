//! The first and last stage: ports are bound first of all; users and scrapers are answered from then on with what the
//! start waits for; at the end the ports are opened to peers, and to users.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::chain::Chain;
use super::rooms::Rooms;
use super::{Error, Ground, Threshold};
use crate::access::Access;
use crate::api::{lnd, serve, v1};
use crate::chain::{Broadcaster, Tip};
use crate::config::Config;
use crate::journal::Journal;
use crate::metrics::{self, Registry};
use crate::node::Node;
use crate::node::commit::finished::IS_LDK_PATCHED;
use crate::node::run::listen;
use crate::tasks::{Stage, Tasks};
use crate::wallet::{RecordingBroadcaster, Wallet};
use crate::{collectors, ports};

/// The bound ports; calls and scrapes are answered with what the start waits for.
pub(super) struct Doors {
    peers: Vec<TcpListener>,
    grpc: serve::Port,
    registry: Registry,
}

/// What is served beside the rooms.
pub(super) struct Served {
    pub(super) access: Access,
    pub(super) wallet: Wallet,
    pub(super) broadcaster: Arc<RecordingBroadcaster<Broadcaster>>,
    pub(super) tip: watch::Receiver<Tip>,
}

/// Binds all ports, so that one in use is known before anything else has been done, and serves what can be served.
pub(super) async fn bind(ground: &Threshold, config: &Config) -> Result<Doors, Error> {
    let peers = ports::bind("peers", "node.listen", &config.node.listen).await?;
    Access::make_files(&ground.places.data)?;
    let grpc = serve::bind(&config.grpc, &config.lnd, &ground.places.data, ground.clock.clone())?;
    let registry = Registry::default();
    registry.report_warnings(ground.warnings.clone());
    let scraped = ports::bind("metrics", "metrics.listen", &config.metrics.listen).await?;
    metrics::serve::serve(&config.metrics, &registry, &ground.tasks, scraped);
    let starting = ground.starting.clone();
    registry.report_start(move || starting.phase().map(|phase| phase.to_string()));
    let grpc = grpc.serve(ground.starting.clone(), &ground.tasks).await?;
    Ok(Doors { peers, grpc, registry })
}

/// Admits the bearers of macaroons, once the store knows which are revoked.
pub(super) fn admit(
    ground: &Ground,
    config: &Config,
    doors: &Doors,
    journal: &Journal,
) -> Result<Access, Error> {
    let Ground { places, store, clock, .. } = ground;
    let access = Access::open(&places.data, store, journal.clone(), clock.clone())?;
    // The macaroons are there now.
    if let Some(path) = config.lnd.layout.as_ref().filter(|_| config.lnd.enabled) {
        lnd::layout::write(path, &places.data, config.network)
            .map_err(|source| serve::Error::LndLayout { path: path.clone(), source })?;
    }
    doors.grpc.admit(access.clone());
    Ok(access)
}

/// Lets peers in, then scrapers see the rooms, then users.
pub(super) async fn open(
    ground: &Ground,
    config: &Config,
    doors: Doors,
    chain: Chain,
    served: Served,
    node: Arc<Node>,
    rooms: Rooms,
) {
    let Doors { peers, grpc, registry } = doors;
    let listening: Vec<_> =
        peers.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    open_to_peers(&ground.tasks, &node, &rooms, peers);
    if !config.metrics.listen.is_empty() {
        let collected = collectors::MeasuredRooms {
            node: node.clone(),
            tip: served.tip.clone(),
            admission: rooms.admission.clone(),
            channels: rooms.channels.clone(),
            payments: rooms.payments.clone(),
            forwards: rooms.forwards.clone(),
            journal: rooms.journal.clone(),
            store: ground.store.clone(),
            started_at: ground.started_at,
        };
        collectors::register(collected, &registry, &ground.tasks);
    }
    let (node_id, address) = (node.id(), grpc.address());
    let lnd_rooms = lnd::rooms::LndRooms {
        node: node.clone(),
        channels: rooms.channels.clone(),
        payments: rooms.payments.clone(),
        invoices: rooms.invoices.clone(),
        forwards: rooms.forwards.clone(),
        peers: rooms.peers.clone(),
        wallet: served.wallet.clone(),
        feerates: chain.feerates.clone(),
        journal: rooms.journal.clone(),
        tip: served.tip.clone(),
        admission: rooms.admission.clone(),
        tasks: ground.tasks.clone(),
        stopping: ground.tasks.stopping(Stage::Api),
    };
    let services = services(ground, chain, served, node, rooms, listening.clone());
    let mut routes = services.into_routes(config.grpc.max_request_bytes);
    if config.lnd.enabled {
        routes = lnd::add_services(routes, &lnd_rooms, config.grpc.max_request_bytes);
    }
    grpc.open(routes).await;
    let version = env!("CARGO_PKG_VERSION");
    let patched_ldk = IS_LDK_PATCHED;
    tracing::info!(version, patched_ldk, %node_id, ?listening, grpc = %address, "started");
}

fn open_to_peers(tasks: &Tasks, node: &Arc<Node>, rooms: &Rooms, listeners: Vec<TcpListener>) {
    listen::listen(node, tasks, listeners);
    let reconnecting = rooms.peers.clone();
    tasks.spawn(Stage::Peers, "reconnect peers", |stopping| reconnecting.run(stopping));
    let leaving = node.clone();
    tasks.spawn(Stage::Peers, "disconnect peers at the end", |stopping| async move {
        stopping.cancelled().await;
        leaving.peer_manager.disconnect_all_peers();
        Ok(())
    });
}

/// The services of gRPC, one a `.proto` file.
fn services(
    ground: &Ground,
    chain: Chain,
    served: Served,
    node: Arc<Node>,
    rooms: Rooms,
    listening: Vec<SocketAddr>,
) -> v1::Services {
    let Rooms { journal, admission, channels, payments, invoices, offers, forwards, peers, backup } =
        rooms;
    let feerates = chain.feerates;
    let stopping = ground.tasks.stopping(Stage::Api);
    v1::Services {
        access: v1::access::AccessService { access: served.access },
        node: v1::node::NodeService {
            node: node.clone(),
            channels: channels.clone(),
            feerates: Arc::new(feerates.clone()),
            tip: served.tip,
            admission,
            store: ground.store.clone(),
            warnings: ground.warnings.clone(),
            tasks: ground.tasks.clone(),
            listening,
            started_at: ground.started_at,
        },
        wallet: v1::wallet::WalletService {
            wallet: served.wallet,
            feerates,
            network: served.broadcaster,
        },
        peers: v1::peers::PeersService { peers: peers.clone() },
        channels: v1::channels::ChannelsService {
            channels: channels.clone(),
            peers,
            stopping: stopping.clone(),
        },
        invoices: v1::invoices::InvoicesService {
            invoices: invoices.clone(),
            channels: channels.clone(),
            stopping: stopping.clone(),
        },
        offers: v1::offers::OffersService {
            offers,
            payments: payments.clone(),
            invoices: invoices.clone(),
        },
        payments: v1::payments::PaymentsService {
            payments: payments.clone(),
            channels: channels.clone(),
            invoices,
            stopping: stopping.clone(),
        },
        forwards: v1::forwards::ForwardsService {
            forwards: forwards.clone(),
            channels: channels.clone(),
        },
        graph: v1::graph::GraphService { node, payments, stopping: stopping.clone() },
        store: v1::store::StoreService {
            store: ground.store.clone(),
            directory: ground.places.data.clone(),
            stopping: stopping.clone(),
        },
        backup: v1::backup::BackupService { backup, stopping: stopping.clone() },
        events: v1::events::EventsService { journal, forwards, channels, stopping },
    }
}
