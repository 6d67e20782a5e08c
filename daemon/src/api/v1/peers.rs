//! The `Peers` service.

use fulmen_proto::v1;
use tonic::{Code, Request, Response, Status};

use super::convert::fields as convert;
use crate::api::status::{internal, malformed, refuse, unknown};
use crate::node::run::net::ConnectError;
use crate::peers::{Error, Peer, Peers};

/// Serves `fulmen.v1.Peers`.
#[derive(Clone)]
pub struct PeersService {
    /// The room behind it.
    pub peers: Peers,
}

#[tonic::async_trait]
impl v1::peers_server::Peers for PeersService {
    async fn connect(
        &self,
        request: Request<v1::ConnectPeerRequest>,
    ) -> Result<Response<v1::ConnectPeerResponse>, Status> {
        let request = request.into_inner();
        let node_id = convert::node_id("node_id", &request.node_id)?;
        let connected = self.peers.connect(node_id, optional_address(&request.address)?).await;
        let newly_connected = connected.map_err(refusal)?;
        Ok(Response::new(v1::ConnectPeerResponse { newly_connected }))
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectPeerRequest>,
    ) -> Result<Response<v1::DisconnectPeerResponse>, Status> {
        let request = request.into_inner();
        let node_id = convert::node_id("node_id", &request.node_id)?;
        self.peers.disconnect(node_id, request.force).await.map_err(refusal)?;
        Ok(Response::new(v1::DisconnectPeerResponse {}))
    }

    async fn list(
        &self,
        _: Request<v1::ListPeersRequest>,
    ) -> Result<Response<v1::ListPeersResponse>, Status> {
        let peers = self.peers.list().map_err(refusal)?;
        Ok(Response::new(v1::ListPeersResponse { peers: peers.into_iter().map(peer).collect() }))
    }
}

/// Reads an address of bounded length; empty is none.
pub(super) fn optional_address(text: &str) -> Result<Option<&str>, Status> {
    match text.len() {
        0 => Ok(None),
        1..=300 => Ok(Some(text)),
        _ => Err(malformed("address", "is too long for host:port")),
    }
}

/// Puts the room's error on the wire.
pub(super) fn refusal(error: Error) -> Status {
    let words = error.to_string();
    match error {
        Error::Address(_) => malformed("address", words),
        Error::Ourselves => malformed("node_id", words),
        Error::NoAddress(_) => refuse(Code::FailedPrecondition, "PEER_ADDRESS_UNKNOWN", words),
        // Most likely a slip of the keyboard.
        Error::Unreachable(ConnectError::Resolve { .. }) => malformed("address", words),
        Error::Unreachable(_) => refuse(Code::FailedPrecondition, "PEER_UNREACHABLE", words),
        Error::Unknown(_) => unknown("PEER_UNKNOWN", words),
        Error::HasChannels { .. } => refuse(Code::FailedPrecondition, "PEER_HAS_CHANNELS", words),
        Error::Store(error) => internal(&error),
    }
}

fn peer(peer: Peer) -> v1::Peer {
    v1::Peer {
        node_id: peer.node_id.serialize().to_vec(),
        address: peer.address,
        connected: peer.connected,
        inbound: peer.inbound,
        channels: u32::try_from(peer.channels).unwrap_or(u32::MAX),
        persistent: peer.persistent,
        features: peer.features,
        last_error: peer.last_error.unwrap_or_default(),
    }
}
