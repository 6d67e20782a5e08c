//! The `Peers` service.

use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::fields;
use super::convert::filter::{filter, no_channels};
use super::{refusal, view};
use crate::api::auth::caller_of;
use crate::api::not_admitted::refused;
use crate::listing::page_by_key;
use crate::peers::{Peer, Peers};

/// Serves `fulmen.v1.Peers`.
#[derive(Clone)]
pub struct PeersService {
    /// The room that it serves.
    pub peers: Peers,
}

#[tonic::async_trait]
impl v1::peers_server::Peers for PeersService {
    async fn connect(
        &self,
        request: Request<v1::ConnectPeerRequest>,
    ) -> Result<Response<v1::ConnectPeerResponse>, Status> {
        let caller = caller_of(&request)?;
        let request = request.into_inner();
        let node_id = fields::node_id("node_id", &request.node_id)?;
        caller.may_reach(&node_id).map_err(refused)?;
        let connected = self.peers.connect(node_id, fields::peer_address(&request.address)?).await;
        let newly_connected = connected.map_err(refusal::peers)?;
        Ok(Response::new(v1::ConnectPeerResponse { newly_connected }))
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectPeerRequest>,
    ) -> Result<Response<v1::DisconnectPeerResponse>, Status> {
        let caller = caller_of(&request)?;
        let request = request.into_inner();
        let node_id = fields::node_id("node_id", &request.node_id)?;
        caller.may_reach(&node_id).map_err(refused)?;
        self.peers.disconnect(node_id, request.force).await.map_err(refusal::peers)?;
        Ok(Response::new(v1::DisconnectPeerResponse {}))
    }

    async fn list(
        &self,
        request: Request<v1::ListPeersRequest>,
    ) -> Result<Response<v1::ListPeersResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page_or_all(request.page)?;
        let wanted = filter::<Peer>(request.filter, no_channels)?;
        let is_wanted = |peer: &Peer| {
            wanted.passes(peer) && request.connected.is_none_or(|wanted| peer.connected == wanted)
        };
        let peers = self.peers.list().map_err(refusal::peers)?.into_iter().filter(is_wanted);
        let by_id = |peer: &Peer| peer.node_id.serialize().to_vec();
        let (peers, next_page_token) =
            page_by_key(peers, by_id, &page.token, page.limit).map_err(|_| refusal::bad_token())?;
        let peers = peers.into_iter().map(peer).collect();
        Ok(Response::new(v1::ListPeersResponse { peers, next_page_token }))
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
        features: view::features::features(peer.features.le_flags()),
        last_error: peer.last_error.unwrap_or_default(),
    }
}
