//! Connections to the API port: accepted, counted, and closed when nothing happens on them.
//!
//! A connection has a deadline for TLS and for its first call with a valid macaroon, and later for the next call. When
//! all places are taken, a new connection takes the place of the oldest without a macaroon, else of the one that has been
//! idle longest: strangers cannot lock the operator out.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::codegen::http;
use tonic::transport::server::{Connected, TlsConnectInfo};

use crate::api::config::Config;

/// The pause after a failed accept, as when the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// The open connections; a handle.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    most: usize,
    handshake: Duration,
    idle: Duration,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    /// By id, so the oldest first.
    by_id: BTreeMap<u64, Arc<Connection>>,
}

/// What is known about a connection.
pub struct Connection {
    id: u64,
    address: SocketAddr,
    state: Mutex<State>,
    closing: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Calls in flight.
    calls: usize,
    /// Whether a call came with a valid macaroon.
    admitted: bool,
    /// When it was opened, or the last call ended.
    quiet_since: Instant,
}

impl Connections {
    /// Makes an empty table.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner {
            most: config.max_connections,
            handshake: Duration::from_secs(config.handshake_timeout_secs),
            idle: Duration::from_secs(config.idle_timeout_secs),
            open: Mutex::default(),
        }))
    }

    /// Accepts connections for ever; a failed accept is logged once until one succeeds.
    pub fn accept(self, listener: TcpListener) -> impl Stream<Item = io::Result<Bounded>> {
        unfold((self, listener, false), |(connections, listener, mut failing)| async move {
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        // Without it a small answer could wait for a delayed ACK.
                        let _ = stream.set_nodelay(true);
                        if let Some(bounded) = connections.take_place(stream, address) {
                            return Some((Ok(bounded), (connections, listener, false)));
                        }
                        tracing::debug!(%address, "refused a gRPC connection: all are in use");
                    }
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "could not accept a gRPC connection");
                        }
                        failing = true;
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        })
    }

    /// Gives a connection a place; none when all are in use by others.
    fn take_place(&self, stream: TcpStream, address: SocketAddr) -> Option<Bounded> {
        let now = Instant::now();
        let mut open = self.open();
        if open.by_id.len() >= self.0.most {
            let idle = open.by_id.values().map(|other| (other.id, *other.state()));
            let least_needed = least_needed(idle)?;
            let victim = open.by_id.remove(&least_needed)?;
            tracing::debug!(address = %victim.address, "closing a gRPC connection for a new one");
            victim.closing.cancel();
        }
        let id = open.next_id;
        open.next_id += 1;
        let connection = Arc::new(Connection {
            id,
            address,
            state: Mutex::new(State { calls: 0, admitted: false, quiet_since: now }),
            closing: CancellationToken::new(),
        });
        open.by_id.insert(id, connection.clone());
        drop(open);
        Some(Bounded {
            stream,
            closing: Box::pin(connection.closing.clone().cancelled_owned()),
            deadline: Box::pin(sleep_until(now + self.0.handshake)),
            connection,
            connections: self.clone(),
        })
    }

    fn due(&self, state: State, now: Instant) -> Instant {
        match (state.calls, state.admitted) {
            (0, false) => state.quiet_since + self.0.handshake,
            (0, true) => state.quiet_since + self.0.idle,
            // Not before the call ends; HTTP/2 pings notice a peer that is gone.
            (_, _) => now + self.0.handshake.min(self.0.idle),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().expect("no panic while held")
    }
}

/// Returns the connection that a new one may replace: the oldest without a macaroon, else the one without calls that has
/// been idle longest.
fn least_needed(connections: impl Iterator<Item = (u64, State)>) -> Option<u64> {
    connections
        .filter(|(_, state)| !state.admitted || state.calls == 0)
        .min_by_key(|(id, state)| {
            (state.admitted, state.admitted.then_some(state.quiet_since), *id)
        })
        .map(|(id, _)| id)
}

impl Connection {
    /// Returns the client's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Notes that a call came with a valid macaroon.
    pub fn admit(&self) {
        self.state().admitted = true;
    }

    /// Counts a call until the guard is dropped.
    pub fn begin_call(self: &Arc<Self>) -> CallGuard {
        self.state().calls += 1;
        CallGuard(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

/// Returns the connection that a request came over; none in tests without one.
pub fn connection_of<B>(request: &http::Request<B>) -> Option<&Arc<Connection>> {
    let info = request.extensions().get::<TlsConnectInfo<Arc<Connection>>>()?;
    Some(info.get_ref())
}

/// Keeps a connection from counting as idle.
pub struct CallGuard(Arc<Connection>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.calls -= 1;
        state.quiet_since = Instant::now();
    }
}

/// A TCP stream that ends at its deadline, or when its place is taken.
pub struct Bounded {
    stream: TcpStream,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Pin<Box<Sleep>>,
    connection: Arc<Connection>,
    connections: Connections,
}

impl Bounded {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.connection.closing.is_cancelled() || self.closing.as_mut().poll(cx).is_ready() {
            return true;
        }
        while self.deadline.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = self.connections.due(*self.connection.state(), now);
            if due <= now {
                tracing::debug!(address = %self.connection.address, "closing an idle gRPC connection");
                return true;
            }
            self.deadline.as_mut().reset(due);
        }
        false
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.connections.open().by_id.remove(&self.connection.id);
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            // The end of the stream.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Bounded {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Arc<Connection> {
        self.connection.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_takes_the_place_of_one_without_a_macaroon() {
        let start = Instant::now();
        let state = |calls, admitted, secs| State {
            calls,
            admitted,
            quiet_since: start + Duration::from_secs(secs),
        };
        let table = [
            (
                vec![(1, state(0, true, 0)), (2, state(0, false, 9)), (3, state(0, false, 8))],
                Some(2),
            ),
            (vec![(1, state(0, true, 5)), (2, state(0, true, 4)), (3, state(1, true, 0))], Some(2)),
            (vec![(1, state(1, true, 0)), (2, state(3, false, 0))], Some(2)),
            (vec![(1, state(1, true, 0))], None),
            (vec![], None),
        ];
        for (connections, expected) in table {
            assert_eq!(least_needed(connections.clone().into_iter()), expected, "{connections:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_due_early_without_a_macaroon_and_never_during_a_call() {
        let config =
            Config { handshake_timeout_secs: 10, idle_timeout_secs: 600, ..Config::default() };
        let connections = Connections::new(&config);
        let start = Instant::now();
        let due = |calls, admitted| {
            let now = start + Duration::from_secs(3_600);
            let due = connections.due(State { calls, admitted, quiet_since: start }, now);
            due.duration_since(start).as_secs()
        };
        assert_eq!((due(0, false), due(0, true)), (10, 600));
        assert!(due(1, true) > 3_600 && due(1, false) > 3_600);
    }
}
