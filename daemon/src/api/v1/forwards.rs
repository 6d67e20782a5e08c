//! The `Forwards` service.

use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::fields;
use super::convert::filter::{among, filter};
use super::{refusal, view};
use crate::channels::Channels;
use crate::forwards::{ForwardRecord, Forwards};

/// How far back failed forwards are listed.
const DAY_SECS: u64 = 24 * 3_600;

/// Serves `fulmen.v1.Forwards`.
#[derive(Clone)]
pub struct ForwardsService {
    /// The room that it serves.
    pub forwards: Forwards,
    /// Knows the names of channels, by which forwards are filtered.
    pub channels: Channels,
}

#[tonic::async_trait]
impl v1::forwards_server::Forwards for ForwardsService {
    async fn list(
        &self,
        request: Request<v1::ListForwardsRequest>,
    ) -> Result<Response<v1::ListForwardsResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page(request.page)?;
        let wanted = filter::<ForwardRecord>(request.filter, among(&self.channels))?;
        let page = self.forwards.page(&page.token, page.limit, &wanted);
        let page = page.map_err(refusal::stored_page)?;
        Ok(Response::new(v1::ListForwardsResponse {
            forwards: page
                .items
                .into_iter()
                .map(|(_, record)| view::forward::forward(record))
                .collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn summarize(
        &self,
        _: Request<v1::SummarizeForwardsRequest>,
    ) -> Result<Response<v1::SummarizeForwardsResponse>, Status> {
        let totals = self.forwards.totals().map_err(refusal::stored_page)?;
        let channels = self.forwards.totals_by_channel().map_err(refusal::stored_page)?;
        let since = self.forwards.now().saturating_sub(DAY_SECS);
        let failures = self.forwards.failures(since).map_err(refusal::stored_page)?;
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
            failures: failures.into_iter().map(view::forward::failed).collect(),
        }))
    }
}
