//! The `Forwards` service.

use fulmen_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::fields;
use super::convert::filter::{among, filter};
use super::{refusal, view};
use crate::channels::Channels;
use crate::forwards::{ForwardRecord, Forwards, Settled};

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
        let ids = page.items.iter().flat_map(|(_, record)| {
            let Settled { inbound_channel_id, outbound_channel_id, .. } = &record.settled;
            [*inbound_channel_id, *outbound_channel_id].into_iter().flatten()
        });
        let known = self.channels.identify(ids).map_err(refusal::channels)?;
        let short_id = |id: Option<[u8; 32]>| id.and_then(|id| known.get(&id)?.short_channel_id);
        let view = |(_, record): (_, ForwardRecord)| {
            let Settled { inbound_channel_id, outbound_channel_id, .. } = record.settled;
            v1::Forward {
                inbound_short_channel_id: short_id(inbound_channel_id).unwrap_or(0),
                outbound_short_channel_id: short_id(outbound_channel_id).unwrap_or(0),
                ..view::forward::forward(record)
            }
        };
        Ok(Response::new(v1::ListForwardsResponse {
            forwards: page.items.into_iter().map(view).collect(),
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
        let of_failures = failures.iter().map(|failed| failed.inbound_channel_id);
        let ids = channels.iter().map(|(id, _)| *id).chain(of_failures);
        let known = self.channels.identify(ids).map_err(refusal::channels)?;
        let identity = |id: &[u8; 32]| known.get(id).copied().unwrap_or_default();
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
                    short_channel_id: identity(&channel_id).short_channel_id.unwrap_or(0),
                    node_id: identity(&channel_id)
                        .node_id
                        .map(|node_id| node_id.serialize().to_vec())
                        .unwrap_or_default(),
                })
                .collect(),
            failures: failures
                .into_iter()
                .map(|failed| v1::FailedForwards {
                    inbound_short_channel_id: identity(&failed.inbound_channel_id)
                        .short_channel_id
                        .unwrap_or(0),
                    ..view::forward::failed(failed)
                })
                .collect(),
        }))
    }
}
