//! The `ChainNotifier` service: blocks as they come.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use fulmen_lnd_proto::chainrpc;
use fulmen_lnd_proto::chainrpc::chain_notifier_server::ChainNotifier;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::rooms::LndRooms;
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::chain::Tip;

/// Serves `chainrpc.ChainNotifier`.
#[derive(Clone)]
pub struct ChainNotifierService(pub LndRooms);

#[tonic::async_trait]
impl ChainNotifier for ChainNotifierService {
    async fn register_block_epoch_ntfn(
        &self,
        _: Request<chainrpc::BlockEpoch>,
    ) -> Result<Response<ResponseStream<chainrpc::BlockEpoch>>, Status> {
        let blocks = Blocks { tip: self.0.tip.clone(), sent: None };
        Ok(Response::new(stream(blocks, self.0.stopping.clone())))
    }
}

/// The present block at once, then each new one that all listeners have seen.
struct Blocks {
    tip: watch::Receiver<Tip>,
    sent: Option<BlockHash>,
}

impl Steps for Blocks {
    type Item = chainrpc::BlockEpoch;

    async fn next(&mut self) -> Result<Option<chainrpc::BlockEpoch>, Status> {
        let sent = self.sent;
        let Ok(tip) = self.tip.wait_for(|tip| Some(tip.hash) != sent).await.map(|tip| *tip) else {
            return Ok(None);
        };
        self.sent = Some(tip.hash);
        let hash = tip.hash.to_byte_array().to_vec();
        Ok(Some(chainrpc::BlockEpoch { hash, height: tip.height }))
    }
}
