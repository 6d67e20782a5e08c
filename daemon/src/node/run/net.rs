//! Sockets to peers: listening, dialling, and what LDK needs done to each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::SocketAddress;
use tokio::net::{TcpListener, TcpStream};

use super::Node;
use crate::tasks::{Stage, Tasks};

/// The port of BOLT 1 on mainnet.
pub const DEFAULT_PORT: u16 = 9735;
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a peer could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is not an address.
    #[error("`{0}` is not of the form host:port")]
    Malformed(String),
    /// The name has no address.
    #[error("could not resolve {address}: {reason}")]
    Resolve {
        /// The address asked for.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody answers there.
    #[error("could not connect to {address}: {reason}")]
    Dial {
        /// The address dialled.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// Somebody answers, but not as this node.
    #[error("{address} did not complete the handshake as {node_id}")]
    Handshake {
        /// The address dialled.
        address: String,
        /// Who was expected there.
        node_id: PublicKey,
    },
    /// The node id is our own.
    #[error("this is the node's own id")]
    Ourselves,
}

/// Reads `host:port`, `host`, `[v6]:port`, or an onion v3 address; the port is 9735 unless given.
///
/// # Errors
/// Returns the text if it is none of these.
pub fn parse_address(text: &str) -> Result<SocketAddress, String> {
    if text.is_empty() || text.chars().any(char::is_whitespace) {
        return Err(text.to_owned());
    }
    let with_port = match text.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() && !is_bare_ipv6(text) => text.to_owned(),
        Some(_) if is_bare_ipv6(text) => format!("[{text}]:{DEFAULT_PORT}"),
        Some(_) => return Err(text.to_owned()),
        None => return Err(text.to_owned()),
    };
    with_port.parse::<SocketAddress>().map_err(|_| text.to_owned())
}

fn is_bare_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Accepts connections until the peers' stage ends.
pub fn listen(node: &Arc<Node>, tasks: &Tasks, listeners: Vec<TcpListener>) {
    for listener in listeners {
        let node = node.clone();
        let connections = tasks.clone();
        tasks.spawn(Stage::Peers, "listen for peers", move |stopping| async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopping.cancelled() => return Ok(()),
                };
                match accepted {
                    Ok((stream, _)) => serve_inbound(&node, &connections, stream),
                    // Out of file descriptors, or the connection was gone at once: neither is the
                    // listener's end, and a short wait keeps a full table from becoming a busy loop.
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }
}

fn serve_inbound(node: &Arc<Node>, tasks: &Tasks, stream: TcpStream) {
    let strangers = node.peer_manager.list_peers().len();
    if strangers >= node.config.max_inbound_peers + node.channel_manager.list_channels().len() {
        tracing::debug!("refused a connection: node.max_inbound_peers is reached");
        return;
    }
    match prepare(stream) {
        Ok(stream) => {
            let peer_manager = node.peer_manager.clone();
            let served = lightning_net_tokio::setup_inbound(peer_manager, stream);
            tasks.spawn_once(Stage::Peers, "inbound peer", served);
        }
        Err(error) => tracing::debug!(%error, "could not prepare an inbound connection"),
    }
}

/// Dials `node_id` at `address` and waits until both have said `init`.
///
/// # Errors
/// See [`ConnectError`]; the connection is closed on each.
pub async fn connect(
    node: &Arc<Node>,
    tasks: &Tasks,
    node_id: PublicKey,
    address: &str,
) -> Result<(), ConnectError> {
    if node_id == node.id() {
        return Err(ConnectError::Ourselves);
    }
    if is_connected(node, &node_id) {
        return Ok(());
    }
    parse_address(address).map_err(ConnectError::Malformed)?;
    let stream = dial(address).await?;
    let peer_manager = node.peer_manager.clone();
    let served = lightning_net_tokio::setup_outbound(peer_manager, node_id, stream);
    let (closed_tx, mut closed) = tokio::sync::oneshot::channel::<()>();
    tasks.spawn_once(Stage::Peers, "outbound peer", async move {
        served.await;
        drop(closed_tx);
    });
    let handshake = async {
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        while !is_connected(node, &node_id) {
            poll.tick().await;
        }
    };
    let failed = ConnectError::Handshake { address: address.to_owned(), node_id };
    tokio::select! {
        done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => done.map_err(|_| failed),
        _ = &mut closed => Err(failed),
    }
}

/// Returns whether the peer is connected and both have said `init`.
pub fn is_connected(node: &Node, node_id: &PublicKey) -> bool {
    node.peer_manager.peer_by_node_id(node_id).is_some()
}

async fn dial(address: &str) -> Result<std::net::TcpStream, ConnectError> {
    let failed = |reason: String| ConnectError::Dial { address: address.to_owned(), reason };
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address)
        .await
        .map_err(|error| ConnectError::Resolve {
            address: address.to_owned(),
            reason: error.to_string(),
        })?
        .collect();
    let mut last = "the name has no address".to_owned();
    for candidate in resolved {
        match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return prepare(stream).map_err(|error| failed(error.to_string())),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {} s", DIAL_TIMEOUT.as_secs()),
        }
    }
    Err(failed(last))
}

/// Small messages that wait for answers: without TCP_NODELAY each would cost a delayed ACK.
fn prepare(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        for good in ["127.0.0.1:9735", "[::1]:9735", "example.com:9736", "::1"] {
            assert!(parse_address(good).is_ok(), "{good}");
        }
        for bad in ["", "nowhere", "host:99999", "host:", "a b:1"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
