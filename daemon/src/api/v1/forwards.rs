//! The `Forwards` service.

use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::fields as convert;
use crate::api::status::{internal, malformed};
use crate::forwards::{ForwardRecord, Forwards};
use crate::storage;

/// Serves `fulmen.v1.Forwards`.
#[derive(Clone)]
pub struct ForwardsService {
    /// The room behind it.
    pub forwards: Forwards,
}

#[tonic::async_trait]
impl v1::forwards_server::Forwards for ForwardsService {
    async fn list(
        &self,
        request: Request<v1::ListForwardsRequest>,
    ) -> Result<Response<v1::ListForwardsResponse>, Status> {
        let page = convert::page(request.into_inner().page)?;
        let page = self.forwards.page(&page.token, page.limit).map_err(refusal)?;
        Ok(Response::new(v1::ListForwardsResponse {
            forwards: page.items.into_iter().map(|(_, record)| forward(record)).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn summarize(
        &self,
        _: Request<v1::SummarizeForwardsRequest>,
    ) -> Result<Response<v1::SummarizeForwardsResponse>, Status> {
        let totals = self.forwards.totals().map_err(refusal)?;
        let channels = self.forwards.totals_by_channel().map_err(refusal)?;
        Ok(Response::new(v1::SummarizeForwardsResponse {
            count: totals.count,
            inbound_msat: totals.inbound_msat,
            outbound_msat: totals.outbound_msat,
            fee_msat: totals.fee_msat,
            failed_count: totals.failed_count,
            channels: channels
                .into_iter()
                .map(|(channel_id, totals)| v1::ChannelTotals {
                    channel_id: channel_id.to_vec(),
                    inbound_count: totals.inbound_count,
                    inbound_msat: totals.inbound_msat,
                    outbound_count: totals.outbound_count,
                    outbound_msat: totals.outbound_msat,
                    fee_msat: totals.fee_msat,
                })
                .collect(),
        }))
    }
}

fn refusal(error: storage::Error) -> Status {
    match error {
        storage::Error::BadToken => malformed("page_token", error),
        error => internal(&error),
    }
}

/// A settled forward on the wire.
pub(super) fn forward(record: ForwardRecord) -> v1::Forward {
    let ForwardRecord { settled_at, settled, .. } = record;
    let bytes = |id: Option<[u8; 32]>| id.map(Vec::from).unwrap_or_default();
    v1::Forward {
        settled_at,
        inbound_channel_id: bytes(settled.inbound_channel_id),
        outbound_channel_id: bytes(settled.outbound_channel_id),
        inbound_node_id: settled
            .inbound_node_id
            .map(|id| id.serialize().to_vec())
            .unwrap_or_default(),
        outbound_node_id: settled
            .outbound_node_id
            .map(|id| id.serialize().to_vec())
            .unwrap_or_default(),
        inbound_msat: settled.inbound_msat(),
        outbound_msat: settled.outbound_msat.unwrap_or(0),
        fee_msat: settled.fee_msat.unwrap_or(0),
        claimed_onchain: settled.claimed_onchain,
    }
}
