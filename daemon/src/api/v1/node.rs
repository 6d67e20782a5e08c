//! The `Node` service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::hashes::Hash as _;
use fulmen_proto::v1;
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator as _};
use lightning::routing::gossip::NodeId;
use lightning::sign::NodeSigner as _;
use lightning::util::message_signing::recover_pk;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::view;
use crate::admission::{Admission, NotReady};
use crate::api::status::{internal_because, malformed};
use crate::chain::Tip;
use crate::channels::Channels;
use crate::feerates::Feerates;
use crate::node::Node;
use crate::storage::{MirrorStatus, Store};
use crate::tasks::Tasks;
use crate::usecases::balances::balances;
use crate::warnings::Warnings;

/// The longest text that is signed.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Serves `fulmen.v1.Node`.
#[derive(Clone)]
pub struct NodeService {
    /// LDK.
    pub node: Arc<Node>,
    /// The room of channels.
    pub channels: Channels,
    /// On-chain fees.
    pub feerates: Arc<Feerates>,
    /// The last block that all listeners have seen.
    pub tip: watch::Receiver<Tip>,
    /// Whether anything new may be taken on.
    pub admission: Admission,
    /// The store.
    pub store: Store,
    /// What needs the operator.
    pub warnings: Warnings,
    /// The daemon's tasks, which `Stop` ends.
    pub tasks: Tasks,
    /// The addresses at which the node listens for peers.
    pub listening: Vec<SocketAddr>,
    /// Unix time of the start.
    pub started_at: u64,
}

#[tonic::async_trait]
impl v1::node_server::Node for NodeService {
    async fn get_info(
        &self,
        _: Request<v1::GetInfoRequest>,
    ) -> Result<Response<v1::GetInfoResponse>, Status> {
        let node = &self.node;
        let channels = self.channels.list(None);
        let count = |which: fn(&lightning::ln::channel_state::ChannelDetails) -> bool| {
            u32::try_from(channels.iter().filter(|channel| which(channel)).count())
                .unwrap_or(u32::MAX)
        };
        let tip = *self.tip.borrow();
        let (graph_nodes, graph_channels) = {
            let graph = node.graph.read_only();
            (graph.nodes().len() as u64, graph.channels().len() as u64)
        };
        Ok(Response::new(v1::GetInfoResponse {
            node_id: node.id().serialize().to_vec(),
            alias: node.config.alias.clone(),
            color: node.config.rgb().unwrap_or_default().to_vec(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: node.network.to_string(),
            block_height: tip.height,
            block_hash: tip.hash.to_byte_array().to_vec(),
            tip_confirmed_at: unix_secs(tip.confirmed_at),
            synced_to_chain: self.admission.is_synced(),
            peers: u32::try_from(node.peer_manager.list_peers().len()).unwrap_or(u32::MAX),
            channels_ready: count(|channel| channel.is_channel_ready),
            channels_usable: count(|channel| channel.is_usable),
            channels_pending: count(|channel| !channel.is_channel_ready),
            announced_addresses: node.config.announce_addresses.clone(),
            listening_addresses: self.listening.iter().map(ToString::to_string).collect(),
            graph_nodes,
            graph_channels,
            started_at: self.started_at,
            warnings: [warnings(&self.store, &self.admission), self.warnings.now()].concat(),
        }))
    }

    async fn get_balances(
        &self,
        _: Request<v1::GetBalancesRequest>,
    ) -> Result<Response<v1::GetBalancesResponse>, Status> {
        let balances = balances(&self.node, &self.channels);
        Ok(Response::new(view::balances::balances(&balances)))
    }

    async fn get_feerates(
        &self,
        _: Request<v1::GetFeeratesRequest>,
    ) -> Result<Response<v1::GetFeeratesResponse>, Status> {
        let snapshot = self.feerates.snapshot();
        let wallet_send = v1::Feerate {
            target: "wallet_send".to_owned(),
            feerate_msat_per_vb: self.feerates.feerate_for_wallet(6).to_sat_per_kwu() * 4,
        };
        let for_ldk = TARGETS.iter().map(|(target, name)| v1::Feerate {
            target: (*name).to_owned(),
            // 1 sat per 1,000 weight units is 4 msat per virtual byte.
            feerate_msat_per_vb: u64::from(self.feerates.get_est_sat_per_1000_weight(*target)) * 4,
        });
        Ok(Response::new(v1::GetFeeratesResponse {
            feerates: for_ldk.chain([wallet_send]).collect(),
            updated_at: unix_secs(snapshot.updated_at),
        }))
    }

    async fn sign_message(
        &self,
        request: Request<v1::SignMessageRequest>,
    ) -> Result<Response<v1::SignMessageResponse>, Status> {
        let message = bounded(request.into_inner().message)?;
        let signature = self
            .node
            .keys
            .sign_message(&message)
            .map_err(|()| internal_because("the node's key could not sign a message"))?;
        Ok(Response::new(v1::SignMessageResponse { signature }))
    }

    async fn verify_message(
        &self,
        request: Request<v1::VerifyMessageRequest>,
    ) -> Result<Response<v1::VerifyMessageResponse>, Status> {
        let request = request.into_inner();
        let message = bounded(request.message)?;
        // 65 bytes in zbase32.
        if request.signature.len() != 104 {
            return Err(malformed("signature", "is not of 104 characters of zbase32"));
        }
        let signer = recover_pk(&message, &request.signature)
            .map_err(|_| malformed("signature", "is not a signature in zbase32"))?;
        let in_graph = self.node.graph.read_only().node(&NodeId::from_pubkey(&signer)).is_some();
        let node_id = signer.serialize().to_vec();
        Ok(Response::new(v1::VerifyMessageResponse { node_id, in_graph }))
    }

    async fn stop(
        &self,
        _: Request<v1::StopRequest>,
    ) -> Result<Response<v1::StopResponse>, Status> {
        self.tasks.stop("a client asked for it");
        Ok(Response::new(v1::StopResponse {}))
    }
}

/// LDK's purposes by their names in snake case.
const TARGETS: &[(ConfirmationTarget, &str)] = &[
    (ConfirmationTarget::MaximumFeeEstimate, "maximum_fee_estimate"),
    (ConfirmationTarget::UrgentOnChainSweep, "urgent_on_chain_sweep"),
    (ConfirmationTarget::MinAllowedAnchorChannelRemoteFee, "min_allowed_anchor_channel_remote_fee"),
    (
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
        "min_allowed_non_anchor_channel_remote_fee",
    ),
    (ConfirmationTarget::AnchorChannelFee, "anchor_channel_fee"),
    (ConfirmationTarget::NonAnchorChannelFee, "non_anchor_channel_fee"),
    (ConfirmationTarget::ChannelCloseMinimum, "channel_close_minimum"),
    (ConfirmationTarget::OutputSpendingFee, "output_spending_fee"),
];

/// What an operator should see to, in words.
fn warnings(store: &Store, admission: &Admission) -> Vec<String> {
    let low_space = store.low_space().borrow().as_ref().map(ToString::to_string);
    let mirror = match &*store.mirror().borrow() {
        MirrorStatus::Failed { why } => Some(format!(
            "the mirror has failed and is not written to any more; there is one copy of the store: see to its \
             disk, then start fulmend again ({why})"
        )),
        MirrorStatus::InSync { .. } | MirrorStatus::Off => None,
    };
    let unsynced = admission.unsynced().map(|why| {
        format!("{}; new channels, payments and HTLCs are refused", NotReady::NotSynced(why))
    });
    low_space.into_iter().chain(mirror).chain(unsynced).collect()
}

fn bounded(message: Vec<u8>) -> Result<Vec<u8>, Status> {
    match message.len() {
        0..=MAX_MESSAGE_BYTES => Ok(message),
        length => Err(malformed(
            "message",
            format!("has {length} bytes, at most {MAX_MESSAGE_BYTES} are taken"),
        )),
    }
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
