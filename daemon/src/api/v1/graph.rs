//! The `Graph` service.

use std::sync::Arc;

use fulmen_proto::v1;
use lightning::routing::gossip::{ChannelInfo, ChannelUpdateInfo, NodeId, NodeInfo};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::{self, fields};
use super::{liquidity, refusal, view};
use crate::api::status::{malformed, unknown};
use crate::api::stream::{ResponseStream, stream};
use crate::node::Node;
use crate::payments::{AskedLimits, Inquiry, Payments};

/// Serves `fulmen.v1.Graph`.
#[derive(Clone)]
pub struct GraphService {
    /// LDK, with the network graph and the planner.
    pub node: Arc<Node>,
    /// Plans routes.
    pub payments: Payments,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::graph_server::Graph for GraphService {
    type ExportLiquidityStream = ResponseStream<v1::ExportLiquidityResponse>;

    async fn summarize(
        &self,
        _: Request<v1::SummarizeGraphRequest>,
    ) -> Result<Response<v1::SummarizeGraphResponse>, Status> {
        let graph = self.node.graph.read_only();
        let mut summary = v1::SummarizeGraphResponse {
            nodes: graph.nodes().len() as u64,
            channels: graph.channels().len() as u64,
            ..Default::default()
        };
        for (_, channel) in graph.channels().unordered_iter() {
            summary.capacity_sat += channel.capacity_sats.unwrap_or(0);
            if channel.one_to_two.is_some() && channel.two_to_one.is_some() {
                summary.channels_with_both_policies += 1;
            }
        }
        Ok(Response::new(summary))
    }

    async fn get_node(
        &self,
        request: Request<v1::GetGraphNodeRequest>,
    ) -> Result<Response<v1::GetGraphNodeResponse>, Status> {
        let key = fields::node_id("node_id", &request.into_inner().node_id)?;
        let node_id = NodeId::from_pubkey(&key);
        let graph = self.node.graph.read_only();
        let info = graph
            .node(&node_id)
            .ok_or_else(|| unknown("NODE_UNKNOWN", format!("{key} is not in our graph")))?;
        let channels = info
            .channels
            .iter()
            .filter_map(|short| graph.channel(*short).map(|info| channel(*short, info)))
            .collect();
        Ok(Response::new(node(&node_id, info, channels)))
    }

    async fn get_channel(
        &self,
        request: Request<v1::GetGraphChannelRequest>,
    ) -> Result<Response<v1::GetGraphChannelResponse>, Status> {
        let short = request.into_inner().short_channel_id;
        if short == 0 {
            return Err(malformed("short_channel_id", "is 0"));
        }
        let graph = self.node.graph.read_only();
        let info = graph
            .channel(short)
            .ok_or_else(|| unknown("CHANNEL_UNKNOWN", "this channel is not in our graph"))?;
        let channel = Some(channel(short, info));
        Ok(Response::new(v1::GetGraphChannelResponse { channel }))
    }

    async fn find_route(
        &self,
        request: Request<v1::FindRouteRequest>,
    ) -> Result<Response<v1::FindRouteResponse>, Status> {
        let request = request.into_inner();
        let (argument, payee) = convert::route::payee(request.to)?;
        let inquiry = Inquiry {
            payee,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            payer: fields::optional_node_id("source", &request.source)?,
            limits: convert::payment::limits(request.limits),
            constraints: convert::route::constraints(request.constraints)?,
        };
        let plan = self
            .payments
            .find_route(inquiry)
            .map_err(|error| refusal::payments(argument, error))?;
        Ok(Response::new(v1::FindRouteResponse { route: Some(view::route::route(&plan)) }))
    }

    async fn export_liquidity(
        &self,
        _: Request<v1::ExportLiquidityRequest>,
    ) -> Result<Response<Self::ExportLiquidityStream>, Status> {
        let export = liquidity::Export::of(&self.node);
        Ok(Response::new(stream(export, self.stopping.clone())))
    }

    async fn import_liquidity(
        &self,
        request: Request<v1::ImportLiquidityRequest>,
    ) -> Result<Response<v1::ImportLiquidityResponse>, Status> {
        liquidity::import(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn reset_liquidity(
        &self,
        request: Request<v1::ResetLiquidityRequest>,
    ) -> Result<Response<v1::ResetLiquidityResponse>, Status> {
        liquidity::reset(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn build_route(
        &self,
        request: Request<v1::BuildRouteRequest>,
    ) -> Result<Response<v1::BuildRouteResponse>, Status> {
        let request = convert::route::to_build(request.into_inner())?;
        let plan = self.payments.build_route(request);
        let plan = plan.map_err(|error| refusal::payments("bolt11", error))?;
        Ok(Response::new(v1::BuildRouteResponse { route: Some(view::route::route(&plan)) }))
    }

    async fn estimate_fee(
        &self,
        request: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        let request = request.into_inner();
        let (argument, payee) = convert::route::payee(request.to)?;
        let limits = convert::payment::limits(request.limits);
        let any_fee = Some(fields::MAX_MONEY_SAT * 1_000);
        let inquiry = Inquiry {
            payee,
            amount_msat: fields::optional_amount_msat("amount_msat", request.amount_msat)?,
            payer: None,
            limits: AskedLimits { max_fee_msat: limits.max_fee_msat.or(any_fee), ..limits },
            constraints: convert::route::constraints(request.constraints)?,
        };
        let found =
            self.payments.estimate(inquiry).map_err(|error| refusal::payments(argument, error))?;
        Ok(Response::new(v1::EstimateFeeResponse {
            cheapest: Some(view::route::estimate(&found.cheapest)),
            usual: Some(view::route::estimate(&found.usual)),
            surest: Some(view::route::estimate(&found.surest)),
        }))
    }
}

fn node(
    node_id: &NodeId,
    info: &NodeInfo,
    channels: Vec<v1::GraphChannel>,
) -> v1::GetGraphNodeResponse {
    let bare = v1::GetGraphNodeResponse {
        node_id: node_id.as_slice().to_vec(),
        channels,
        ..Default::default()
    };
    let Some(announcement) = &info.announcement_info else { return bare };
    v1::GetGraphNodeResponse {
        // `Display` of an alias leaves out what could harm a terminal.
        alias: announcement.alias().to_string(),
        color: announcement.rgb().to_vec(),
        addresses: announcement.addresses().iter().map(ToString::to_string).collect(),
        last_update: announcement.last_update().into(),
        announced: true,
        ..bare
    }
}

fn channel(short_channel_id: u64, info: &ChannelInfo) -> v1::GraphChannel {
    v1::GraphChannel {
        short_channel_id,
        node_one: info.node_one.as_slice().to_vec(),
        node_two: info.node_two.as_slice().to_vec(),
        capacity_sat: info.capacity_sats.unwrap_or(0),
        one_to_two: info.one_to_two.as_ref().map(directed),
        two_to_one: info.two_to_one.as_ref().map(directed),
    }
}

fn directed(update: &ChannelUpdateInfo) -> v1::DirectedPolicy {
    v1::DirectedPolicy {
        policy: Some(v1::ForwardPolicy {
            base_fee_msat: update.fees.base_msat,
            proportional_millionths: update.fees.proportional_millionths,
            cltv_expiry_delta: update.cltv_expiry_delta.into(),
        }),
        enabled: update.enabled,
        htlc_minimum_msat: update.htlc_minimum_msat,
        htlc_maximum_msat: update.htlc_maximum_msat,
        last_update: update.last_update.into(),
    }
}
