//! Connections to other nodes.

use fulmen_lnd_proto::lnrpc;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::features::features;
use crate::peers::{Error, Peer};

pub(super) async fn connect(
    rooms: &LndRooms,
    request: lnrpc::ConnectPeerRequest,
) -> Result<lnrpc::ConnectPeerResponse, Status> {
    let address = request.addr.ok_or_else(|| refused("need: lnc pubkeyhash@hostname"))?;
    let node_id = read::node_id_hex(&address.pubkey)?;
    if address.host.len() > 300 {
        return Err(refused("host is too long for host:port"));
    }
    let host = Some(address.host.as_str()).filter(|host| !host.is_empty());
    let newly = rooms.peers.connect(node_id, host).await.map_err(refusal::peers)?;
    if !newly {
        return Err(refused(format!("already connected to peer: {node_id}@{}", address.host)));
    }
    let status = format!("connection to {node_id}@{} initiated", address.host);
    Ok(lnrpc::ConnectPeerResponse { status })
}

pub(super) async fn disconnect(
    rooms: &LndRooms,
    request: lnrpc::DisconnectPeerRequest,
) -> Result<lnrpc::DisconnectPeerResponse, Status> {
    let node_id = read::node_id_hex(&request.pub_key)?;
    match rooms.peers.disconnect(node_id, true).await {
        Ok(()) => Ok(lnrpc::DisconnectPeerResponse { status: "disconnect initiated".to_owned() }),
        Err(Error::Unknown(node_id)) => {
            Err(refused(format!("unable to disconnect peer: peer {node_id} is not connected")))
        }
        Err(error) => Err(refusal::peers(error)),
    }
}

pub(super) fn list(rooms: &LndRooms) -> Result<lnrpc::ListPeersResponse, Status> {
    let peers = rooms.peers.list().map_err(refusal::peers)?;
    let connected = peers.into_iter().filter(|peer| peer.connected);
    Ok(lnrpc::ListPeersResponse { peers: connected.map(peer).collect() })
}

fn peer(peer: Peer) -> lnrpc::Peer {
    lnrpc::Peer {
        pub_key: peer.node_id.to_string(),
        address: peer.address,
        inbound: peer.inbound,
        sync_type: lnrpc::peer::SyncType::ActiveSync.into(),
        features: features(peer.features.le_flags()),
        ..Default::default()
    }
}
