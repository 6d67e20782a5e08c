//! The `Router` service: payments and what they would cost.

use fulmen_lnd_proto::routerrpc::router_server::Router;
use fulmen_lnd_proto::{lnrpc, routerrpc};
use tonic::{Request, Response, Status};

use super::lightning::payments;
use super::rooms::LndRooms;
use crate::api::stream::ResponseStream;

/// Serves `routerrpc.Router`.
#[derive(Clone)]
pub struct RouterService(pub LndRooms);

#[tonic::async_trait]
impl Router for RouterService {
    async fn send_payment_v2(
        &self,
        request: Request<routerrpc::SendPaymentRequest>,
    ) -> Result<Response<ResponseStream<lnrpc::Payment>>, Status> {
        payments::send(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn track_payment_v2(
        &self,
        request: Request<routerrpc::TrackPaymentRequest>,
    ) -> Result<Response<ResponseStream<lnrpc::Payment>>, Status> {
        payments::track(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn track_payments(
        &self,
        request: Request<routerrpc::TrackPaymentsRequest>,
    ) -> Result<Response<ResponseStream<lnrpc::Payment>>, Status> {
        Ok(Response::new(payments::track_all(&self.0, &request.into_inner())))
    }

    async fn estimate_route_fee(
        &self,
        request: Request<routerrpc::RouteFeeRequest>,
    ) -> Result<Response<routerrpc::RouteFeeResponse>, Status> {
        payments::estimate(&self.0, &request.into_inner()).map(Response::new)
    }

    /// lnd's mission control has no counterpart: what payments taught is kept by channel, not by pairs of nodes.
    async fn query_mission_control(
        &self,
        _: Request<routerrpc::QueryMissionControlRequest>,
    ) -> Result<Response<routerrpc::QueryMissionControlResponse>, Status> {
        Ok(Response::new(routerrpc::QueryMissionControlResponse::default()))
    }
}
