//! The `State` service, which answers from the first moment and needs no macaroon.

use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::WalletState;
use fulmen_lnd_proto::lnrpc::state_server::State;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::api::starting::Starting;
use crate::api::stream::{ResponseStream, Steps, stream};

/// Serves `lnrpc.State`.
#[derive(Clone)]
pub struct StateService {
    /// What the start waits for.
    pub starting: Starting,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

impl StateService {
    /// The wallet is open from the beginning; calls are served once the start has ended.
    fn now(&self) -> WalletState {
        match self.starting.phase() {
            Some(_) => WalletState::Unlocked,
            None => WalletState::ServerActive,
        }
    }
}

#[tonic::async_trait]
impl State for StateService {
    async fn get_state(
        &self,
        _: Request<lnrpc::GetStateRequest>,
    ) -> Result<Response<lnrpc::GetStateResponse>, Status> {
        Ok(Response::new(lnrpc::GetStateResponse { state: self.now().into() }))
    }

    async fn subscribe_state(
        &self,
        _: Request<lnrpc::SubscribeStateRequest>,
    ) -> Result<Response<ResponseStream<lnrpc::SubscribeStateResponse>>, Status> {
        let states = States { service: self.clone(), sent: None };
        Ok(Response::new(stream(states, self.stopping.clone())))
    }
}

struct States {
    service: StateService,
    sent: Option<WalletState>,
}

impl Steps for States {
    type Item = lnrpc::SubscribeStateResponse;

    async fn next(&mut self) -> Result<Option<lnrpc::SubscribeStateResponse>, Status> {
        if self.sent.is_some() {
            self.service.starting.finished().await;
        }
        let now = self.service.now();
        if self.sent == Some(now) {
            return std::future::pending().await;
        }
        self.sent = Some(now);
        Ok(Some(lnrpc::SubscribeStateResponse { state: now.into() }))
    }
}
