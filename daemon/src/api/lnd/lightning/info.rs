//! The node itself: `GetInfo`, `GetRecoveryInfo`, `StopDaemon`.

use fulmen_lnd_proto::lnrpc;
use tonic::Status;

use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::version;
use crate::api::lnd::view::features::features;

pub(super) fn get_info(rooms: &LndRooms) -> Result<lnrpc::GetInfoResponse, Status> {
    let node = &rooms.node;
    let channels = rooms.channels.list(None);
    let count = |is_counted: &dyn Fn(&lightning::ln::channel_state::ChannelDetails) -> bool| {
        u32::try_from(channels.iter().filter(|it| is_counted(it)).count()).unwrap_or(u32::MAX)
    };
    let tip = *rooms.tip.borrow();
    let synced = rooms.admission.is_synced();
    let node_id = node.id().to_string();
    let [red, green, blue] = node.config.rgb().unwrap_or_default();
    let announced = node.config.announce_addresses.iter();
    Ok(lnrpc::GetInfoResponse {
        version: version::text(),
        identity_pubkey: node_id.clone(),
        alias: node.config.alias.clone(),
        color: format!("#{red:02x}{green:02x}{blue:02x}"),
        num_pending_channels: count(&|it| !it.is_channel_ready),
        num_active_channels: count(&|it| it.is_usable),
        num_inactive_channels: count(&|it| it.is_channel_ready && !it.is_usable),
        num_peers: u32::try_from(node.peer_manager.list_peers().len()).unwrap_or(u32::MAX),
        block_height: tip.height,
        block_hash: tip.hash.to_string(),
        best_header_timestamp: tip.time.into(),
        synced_to_chain: synced,
        synced_to_graph: synced,
        testnet: node.network == bitcoin::Network::Testnet,
        chains: vec![lnrpc::Chain {
            chain: "bitcoin".to_owned(),
            network: version::network_name(node.network).to_owned(),
        }],
        uris: announced.map(|address| format!("{node_id}@{address}")).collect(),
        features: features(node.channel_manager.node_features().le_flags()),
        ..Default::default()
    })
}

/// There is no recovery by scanning: the wallet's state is in the store.
pub(super) fn recovery() -> lnrpc::GetRecoveryInfoResponse {
    lnrpc::GetRecoveryInfoResponse { recovery_mode: false, recovery_finished: false, progress: 0.0 }
}

pub(super) fn stop(rooms: &LndRooms) -> lnrpc::StopResponse {
    rooms.tasks.stop("a client of lnd's API asked for it");
    lnrpc::StopResponse { status: "shutdown initiated, check logs for progress".to_owned() }
}
