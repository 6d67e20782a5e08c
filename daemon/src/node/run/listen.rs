//! Accepts connections from peers, and closes those that [`super::inbound`] decides against.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::SocketAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::inbound::{ConnectionId, Connections, InboundLimits};
use super::net;
use crate::descriptors;
use crate::node::{Config, Node};
use crate::tasks::{Outcome, Stage, Tasks};

/// How often connections are matched with the peers that they turned out to be.
const LOOK: Duration = Duration::from_millis(500);
/// How often refusals are summed up in the log.
const SUMMARY: Duration = Duration::from_secs(60);
/// Pause after a failed accept: without descriptors each attempt fails at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The inbound connections of all listeners.
struct Inbound {
    node: Arc<Node>,
    tasks: Tasks,
    state: Mutex<State>,
}

struct State {
    connections: Connections,
    /// Where each comes from, and a second handle to close it by until it is identified.
    sockets: HashMap<ConnectionId, Socket>,
    refusals: Refusals,
}

struct Socket {
    remote: SocketAddr,
    handle: Option<std::net::TcpStream>,
}

/// What was refused since the last summary.
#[derive(Default)]
struct Refusals {
    evicted: u64,
    timed_out: u64,
    too_many_strangers: u64,
    failed_accepts: u64,
}

/// Accepts connections until the peers' stage ends.
pub fn listen(node: &Arc<Node>, tasks: &Tasks, listeners: Vec<TcpListener>) {
    let inbound = Arc::new(Inbound {
        node: node.clone(),
        tasks: tasks.clone(),
        state: Mutex::new(State {
            connections: Connections::new(limits(&node.config, descriptors::for_peers())),
            sockets: HashMap::new(),
            refusals: Refusals::default(),
        }),
    });
    for listener in listeners {
        let accepting = inbound.clone();
        tasks.spawn(Stage::Peers, "listen for peers", |stopping| {
            accepting.accept_all(listener, stopping)
        });
    }
    tasks.spawn(Stage::Peers, "watch inbound connections", |stopping| inbound.watch(stopping));
}

/// Fits the configured limits into the descriptors that peers may use: a handshake needs two.
fn limits(config: &Config, descriptors: usize) -> InboundLimits {
    let limits = InboundLimits {
        strangers: config.max_inbound_peers.min(descriptors / 2),
        handshakes: config.max_inbound_handshakes.min(descriptors / 4),
        per_address: config.max_inbound_per_address,
        per_subnet: config.max_inbound_per_subnet,
        handshake_timeout: Duration::from_secs(config.handshake_timeout_secs),
    };
    if (limits.strangers, limits.handshakes)
        != (config.max_inbound_peers, config.max_inbound_handshakes)
    {
        tracing::warn!(
            max_inbound_peers = limits.strangers,
            max_inbound_handshakes = limits.handshakes,
            "lowered the limits of inbound connections to fit the limit of open files"
        );
    }
    limits
}

impl Inbound {
    async fn accept_all(
        self: Arc<Self>,
        listener: TcpListener,
        stopping: CancellationToken,
    ) -> Outcome {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => return Ok(()),
            };
            match accepted {
                Ok((stream, remote)) => self.serve(stream, remote),
                // Out of descriptors, or the connection was gone at once: the next one may succeed.
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
                    self.state().refusals.failed_accepts += 1;
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => (),
                        () = stopping.cancelled() => return Ok(()),
                    }
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        let prepared = net::prepare(stream).and_then(|stream| Ok((stream.try_clone()?, stream)));
        let (handle, stream) = match prepared {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "could not prepare an inbound connection");
                return;
            }
        };
        self.identify_before_eviction(remote.ip());
        let id = {
            let mut state = self.state();
            let (id, evicted) = state.connections.admit(remote.ip(), Instant::now());
            state.sockets.insert(id, Socket { remote, handle: Some(handle) });
            if let Some(evicted) = evicted {
                state.refusals.evicted += 1;
                state.close(evicted);
            }
            id
        };
        let served = lightning_net_tokio::setup_inbound(self.node.peer_manager.clone(), stream);
        let inbound = self.clone();
        self.tasks.spawn_once(Stage::Peers, "inbound peer", async move {
            served.await;
            let mut state = inbound.state();
            state.connections.remove(id);
            state.sockets.remove(&id);
        });
    }

    /// Identifies the connections that would be evicted next for a new one: since the last look they may have completed
    /// their handshake, and belong to a peer with a channel.
    fn identify_before_eviction(&self, ip: IpAddr) {
        loop {
            let candidate = {
                let state = self.state();
                let due = state.connections.eviction_due(ip);
                due.and_then(|id| Some((id, state.sockets.get(&id)?.remote)))
            };
            let Some((id, remote)) = candidate else { return };
            let Some(node_id) = self.inbound_peers().remove(&SocketAddress::from(remote)) else {
                return;
            };
            let has_channel = self.has_channel(&node_id);
            if !self.state().identify(id, has_channel) {
                self.node.peer_manager.disconnect_by_node_id(node_id);
            }
        }
    }

    /// Returns the peers that have connected to us and sent `init`.
    fn inbound_peers(&self) -> HashMap<SocketAddress, PublicKey> {
        let peers = self.node.peer_manager.list_peers().into_iter();
        let peers = peers.filter(|peer| peer.is_inbound_connection);
        peers.filter_map(|it| Some((it.socket_address?, it.counterparty_node_id))).collect()
    }

    async fn watch(self: Arc<Self>, stopping: CancellationToken) -> Outcome {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut summary_at = Instant::now() + SUMMARY;
        loop {
            tokio::select! {
                _ = looks.tick() => (),
                () = stopping.cancelled() => return Ok(()),
            }
            if !self.state().connections.is_empty() {
                self.look();
            }
            if Instant::now() >= summary_at {
                summary_at = Instant::now() + SUMMARY;
                std::mem::take(&mut self.state().refusals).report();
            }
        }
    }

    /// Closes what takes too long, and finds out who the others are.
    fn look(&self) {
        let peers = self.inbound_peers();
        // LDK is asked before the lock is taken.
        let with_channel: Vec<PublicKey> = {
            let mut nodes: Vec<PublicKey> = peers.values().copied().collect();
            nodes.retain(|node_id| self.has_channel(node_id));
            nodes
        };
        let too_many = {
            let mut state = self.state();
            let too_many = state.identify_all(&peers, &with_channel);
            for late in state.connections.expired(Instant::now()) {
                state.refusals.timed_out += 1;
                state.close(late);
            }
            too_many
        };
        for node_id in too_many {
            tracing::debug!(%node_id, "disconnecting a peer without a channel: too many are connected");
            self.node.peer_manager.disconnect_by_node_id(node_id);
        }
    }

    fn has_channel(&self, node_id: &PublicKey) -> bool {
        let channels = self.node.channel_manager.list_channels_with_counterparty(node_id);
        channels.iter().any(has_money)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

/// Returns whether a channel binds money: one that a peer has only proposed costs it nothing.
fn has_money(channel: &ChannelDetails) -> bool {
    channel.is_outbound || channel.is_channel_ready || channel.confirmations.unwrap_or(0) > 0
}

impl State {
    fn close(&mut self, id: ConnectionId) {
        if let Some(socket) = self.sockets.remove(&id)
            && let Some(handle) = socket.handle
        {
            // It fails only if the other side was faster.
            let _ = handle.shutdown(Shutdown::Both);
        }
    }

    /// Records who a connection belongs to; returns whether it may stay.
    fn identify(&mut self, id: ConnectionId, has_channel: bool) -> bool {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.handle = None;
        }
        let may_stay = self.connections.identified(id, has_channel);
        self.refusals.too_many_strangers += u64::from(!may_stay);
        may_stay
    }

    /// Returns the peers that have to go.
    fn identify_all(
        &mut self,
        peers: &HashMap<SocketAddress, PublicKey>,
        with_channel: &[PublicKey],
    ) -> Vec<PublicKey> {
        let mut too_many = Vec::new();
        let mut ids: Vec<ConnectionId> = self.sockets.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(socket) = self.sockets.get(&id) else { continue };
            let Some(node_id) = peers.get(&SocketAddress::from(socket.remote)) else { continue };
            if !self.identify(id, with_channel.contains(node_id)) {
                too_many.push(*node_id);
            }
        }
        too_many
    }
}

impl Refusals {
    fn report(&self) {
        let Self { evicted, timed_out, too_many_strangers, failed_accepts } = self;
        if evicted + timed_out + too_many_strangers + failed_accepts > 0 {
            tracing::info!(
                evicted,
                timed_out,
                too_many_strangers,
                failed_accepts,
                "closed inbound connections in the last minute"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_into_the_descriptors() {
        let config = Config::default();
        let plenty = limits(&config, 640);
        assert_eq!((plenty.strangers, plenty.handshakes), (250, 128));
        let few = limits(&config, 64);
        assert_eq!((few.strangers, few.handshakes), (32, 16));
        assert!(few.strangers + 2 * few.handshakes <= 64);
    }
}
