//! Dials peers and hands the connections to LDK.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use tokio::net::TcpStream;

use crate::node::Node;
use crate::node::address::{self, AddressKind as _};
use crate::tasks::{Stage, Tasks};

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a peer could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is no address.
    #[error("`{0}` is not of the form host:port")]
    Malformed(String),
    /// Tor's names are not for DNS, which would learn whom we look for.
    #[error("{0} is an onion address: fulmen has no proxy for Tor yet")]
    Onion(String),
    /// The name has no address.
    #[error("could not resolve {address}: {reason}")]
    Resolve {
        /// The address asked for.
        address: String,
        /// The resolver's error.
        reason: String,
    },
    /// The address does not answer.
    #[error("could not connect to {address}: {reason}")]
    Dial {
        /// The address dialled.
        address: String,
        /// The system's error.
        reason: String,
    },
    /// The other side did not prove to be this node.
    #[error("{address} did not complete the handshake as {node_id}")]
    Handshake {
        /// The address dialled.
        address: String,
        /// The expected node.
        node_id: PublicKey,
    },
    /// The node id is our own.
    #[error("this is the node's own id")]
    Ourselves,
}

/// Dials `node_id` at `peer_address` and waits until both sides have sent `init`.
///
/// # Errors
/// See [`ConnectError`]; the connection is closed on each.
pub async fn connect(
    node: &Arc<Node>,
    tasks: &Tasks,
    node_id: PublicKey,
    peer_address: &str,
) -> Result<(), ConnectError> {
    if node_id == node.id() {
        return Err(ConnectError::Ourselves);
    }
    if is_connected(node, &node_id) {
        return Ok(());
    }
    if address::parse(peer_address).map_err(ConnectError::Malformed)?.is_onion() {
        return Err(ConnectError::Onion(peer_address.to_owned()));
    }
    let stream = dial(peer_address).await?;
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
    let failed = ConnectError::Handshake { address: peer_address.to_owned(), node_id };
    tokio::select! {
        done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => done.map_err(|_| failed),
        _ = &mut closed => Err(failed),
    }
}

/// Returns whether the peer is connected and both sides have sent `init`.
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

/// Sets TCP_NODELAY: messages are small and wait for answers, so each would otherwise cost a delayed ACK.
pub(super) fn prepare(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}
