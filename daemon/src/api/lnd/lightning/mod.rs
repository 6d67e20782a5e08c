//! The `Lightning` service: lnd's main one. A method reads, calls a room, and writes.

mod channels;
mod closing;
mod events;
mod forwards;
mod graph;
mod info;
pub(super) mod invoices;
mod messages;
pub(super) mod onchain;
mod opening;
pub(super) mod payments;
mod peers;

use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::lightning_server::Lightning;
use tonic::{Request, Response, Status};

use super::rooms::LndRooms;
use crate::api::stream::ResponseStream;

/// Serves `lnrpc.Lightning`.
#[derive(Clone)]
pub struct LightningService(pub LndRooms);

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Lightning for LightningService {
    async fn get_info(
        &self,
        _: Request<lnrpc::GetInfoRequest>,
    ) -> Answered<lnrpc::GetInfoResponse> {
        info::get_info(&self.0).map(Response::new)
    }

    async fn get_recovery_info(
        &self,
        _: Request<lnrpc::GetRecoveryInfoRequest>,
    ) -> Answered<lnrpc::GetRecoveryInfoResponse> {
        Ok(Response::new(info::recovery()))
    }

    async fn stop_daemon(&self, _: Request<lnrpc::StopRequest>) -> Answered<lnrpc::StopResponse> {
        Ok(Response::new(info::stop(&self.0)))
    }

    async fn wallet_balance(
        &self,
        _: Request<lnrpc::WalletBalanceRequest>,
    ) -> Answered<lnrpc::WalletBalanceResponse> {
        Ok(Response::new(onchain::balance(&self.0)))
    }

    async fn new_address(
        &self,
        request: Request<lnrpc::NewAddressRequest>,
    ) -> Answered<lnrpc::NewAddressResponse> {
        onchain::new_address(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn send_coins(
        &self,
        request: Request<lnrpc::SendCoinsRequest>,
    ) -> Answered<lnrpc::SendCoinsResponse> {
        onchain::send_coins(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_unspent(
        &self,
        request: Request<lnrpc::ListUnspentRequest>,
    ) -> Answered<lnrpc::ListUnspentResponse> {
        onchain::unspent(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn get_transactions(
        &self,
        request: Request<lnrpc::GetTransactionsRequest>,
    ) -> Answered<lnrpc::TransactionDetails> {
        onchain::transactions(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn subscribe_transactions(
        &self,
        _: Request<lnrpc::GetTransactionsRequest>,
    ) -> Answered<ResponseStream<lnrpc::Transaction>> {
        Ok(Response::new(events::transactions(&self.0)))
    }

    async fn connect_peer(
        &self,
        request: Request<lnrpc::ConnectPeerRequest>,
    ) -> Answered<lnrpc::ConnectPeerResponse> {
        peers::connect(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn disconnect_peer(
        &self,
        request: Request<lnrpc::DisconnectPeerRequest>,
    ) -> Answered<lnrpc::DisconnectPeerResponse> {
        peers::disconnect(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_peers(
        &self,
        _: Request<lnrpc::ListPeersRequest>,
    ) -> Answered<lnrpc::ListPeersResponse> {
        peers::list(&self.0).map(Response::new)
    }

    async fn channel_balance(
        &self,
        _: Request<lnrpc::ChannelBalanceRequest>,
    ) -> Answered<lnrpc::ChannelBalanceResponse> {
        Ok(Response::new(channels::balance(&self.0)))
    }

    async fn list_channels(
        &self,
        request: Request<lnrpc::ListChannelsRequest>,
    ) -> Answered<lnrpc::ListChannelsResponse> {
        channels::list(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn pending_channels(
        &self,
        _: Request<lnrpc::PendingChannelsRequest>,
    ) -> Answered<lnrpc::PendingChannelsResponse> {
        channels::pending(&self.0).map(Response::new)
    }

    async fn closed_channels(
        &self,
        request: Request<lnrpc::ClosedChannelsRequest>,
    ) -> Answered<lnrpc::ClosedChannelsResponse> {
        channels::closed(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn subscribe_channel_events(
        &self,
        _: Request<lnrpc::ChannelEventSubscription>,
    ) -> Answered<ResponseStream<lnrpc::ChannelEventUpdate>> {
        Ok(Response::new(events::channels(&self.0)))
    }

    async fn open_channel(
        &self,
        request: Request<lnrpc::OpenChannelRequest>,
    ) -> Answered<ResponseStream<lnrpc::OpenStatusUpdate>> {
        opening::stream_open(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn open_channel_sync(
        &self,
        request: Request<lnrpc::OpenChannelRequest>,
    ) -> Answered<lnrpc::ChannelPoint> {
        opening::open_sync(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn close_channel(
        &self,
        request: Request<lnrpc::CloseChannelRequest>,
    ) -> Answered<ResponseStream<lnrpc::CloseStatusUpdate>> {
        closing::stream_close(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn add_invoice(
        &self,
        request: Request<lnrpc::Invoice>,
    ) -> Answered<lnrpc::AddInvoiceResponse> {
        invoices::add(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn lookup_invoice(
        &self,
        request: Request<lnrpc::PaymentHash>,
    ) -> Answered<lnrpc::Invoice> {
        invoices::look_up(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn list_invoices(
        &self,
        request: Request<lnrpc::ListInvoiceRequest>,
    ) -> Answered<lnrpc::ListInvoiceResponse> {
        invoices::list(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn subscribe_invoices(
        &self,
        request: Request<lnrpc::InvoiceSubscription>,
    ) -> Answered<ResponseStream<lnrpc::Invoice>> {
        invoices::subscribe(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn decode_pay_req(
        &self,
        request: Request<lnrpc::PayReqString>,
    ) -> Answered<lnrpc::PayReq> {
        invoices::decode(&request.into_inner()).map(Response::new)
    }

    async fn send_payment_sync(
        &self,
        request: Request<lnrpc::SendRequest>,
    ) -> Answered<lnrpc::SendResponse> {
        payments::send_sync(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_payments(
        &self,
        request: Request<lnrpc::ListPaymentsRequest>,
    ) -> Answered<lnrpc::ListPaymentsResponse> {
        payments::list(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn describe_graph(
        &self,
        _: Request<lnrpc::ChannelGraphRequest>,
    ) -> Answered<lnrpc::ChannelGraph> {
        Ok(Response::new(graph::describe(&self.0)))
    }

    async fn get_chan_info(
        &self,
        request: Request<lnrpc::ChanInfoRequest>,
    ) -> Answered<lnrpc::ChannelEdge> {
        graph::channel(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn get_node_info(
        &self,
        request: Request<lnrpc::NodeInfoRequest>,
    ) -> Answered<lnrpc::NodeInfo> {
        graph::node(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn get_network_info(
        &self,
        _: Request<lnrpc::NetworkInfoRequest>,
    ) -> Answered<lnrpc::NetworkInfo> {
        Ok(Response::new(graph::network(&self.0)))
    }

    async fn query_routes(
        &self,
        request: Request<lnrpc::QueryRoutesRequest>,
    ) -> Answered<lnrpc::QueryRoutesResponse> {
        graph::routes(&self.0, request.into_inner()).map(Response::new)
    }

    async fn fee_report(
        &self,
        _: Request<lnrpc::FeeReportRequest>,
    ) -> Answered<lnrpc::FeeReportResponse> {
        forwards::fee_report(&self.0).map(Response::new)
    }

    async fn forwarding_history(
        &self,
        request: Request<lnrpc::ForwardingHistoryRequest>,
    ) -> Answered<lnrpc::ForwardingHistoryResponse> {
        forwards::history(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn update_channel_policy(
        &self,
        request: Request<lnrpc::PolicyUpdateRequest>,
    ) -> Answered<lnrpc::PolicyUpdateResponse> {
        forwards::update_policy(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn sign_message(
        &self,
        request: Request<lnrpc::SignMessageRequest>,
    ) -> Answered<lnrpc::SignMessageResponse> {
        messages::sign(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn verify_message(
        &self,
        request: Request<lnrpc::VerifyMessageRequest>,
    ) -> Answered<lnrpc::VerifyMessageResponse> {
        messages::verify(&self.0, &request.into_inner()).map(Response::new)
    }
}
