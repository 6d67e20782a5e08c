//! The `Channels` service.

use std::time::Duration;

use bitcoin::Txid;
use fulmen_proto::v1;
use lightning::ln::channel_state::ChannelDetails;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::filter::{among, filter};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::{
    ChannelStage, Channels, Close, CloseFollower, CloseUpdate, ClosedChannel, Found, OpenFollower,
    PolicyChange, Which,
};
use crate::listing::page_by_key;
use crate::peers::Peers;
use crate::usecases::channel_state::ChannelState;
use crate::usecases::open;

/// How long a close is followed without `wait_confirmed`, so that most callers learn that the peer has agreed, and which
/// transaction closes the channel.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Serves `fulmen.v1.Channels`.
#[derive(Clone)]
pub struct ChannelsService {
    /// The room that it serves.
    pub channels: Channels,
    /// Connects to peers.
    pub peers: Peers,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::channels_server::Channels for ChannelsService {
    type OpenStream = ResponseStream<v1::OpenChannelUpdate>;
    type CloseStream = ResponseStream<v1::CloseChannelUpdate>;

    async fn open(
        &self,
        request: Request<v1::OpenChannelRequest>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let request = request.into_inner();
        let address = fields::peer_address(&request.address)?.map(str::to_owned);
        let open = convert::channel::open(request)?;
        let opening = open::open(&self.channels, &self.peers, open, address.as_deref()).await;
        let follower = opening.map_err(refusal::open)?;
        let steps = OpenSteps { follower, sent: None };
        Ok(Response::new(stream(steps, self.stopping.clone())))
    }

    async fn close(
        &self,
        request: Request<v1::CloseChannelRequest>,
    ) -> Result<Response<Self::CloseStream>, Status> {
        let request = request.into_inner();
        let script = match request.address.as_str() {
            "" => None,
            text => {
                let address = fields::address("address", text, self.channels.network())?;
                Some(address.script_pubkey())
            }
        };
        let close = Close {
            channel: fields::channel_ref("channel", request.channel)?,
            force: request.force,
            feerate: fields::feerate("feerate_msat_per_vb", request.feerate_msat_per_vb)?,
            script,
        };
        if request.dry_run {
            let quote = self.channels.quote_close(&close).map_err(refusal::channels)?;
            let only = Only(Some(view::channel::close_quote(quote)));
            return Ok(Response::new(stream(only, self.stopping.clone())));
        }
        let follower = self.channels.close(close).await.map_err(refusal::channels)?;
        let until = (!request.wait_confirmed).then(|| Instant::now() + CLOSE_PATIENCE);
        let steps = CloseSteps { follower, until, ended: false };
        Ok(Response::new(stream(steps, self.stopping.clone())))
    }

    async fn list(
        &self,
        request: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        let request = request.into_inner();
        let with = fields::optional_node_id("node_id", &request.node_id)?;
        let state = v1::channel::State::try_from(request.state)
            .map_err(|_| malformed("state", "is not a state of a channel"))?;
        let page = fields::page_or_all(request.page)?;
        let wanted = filter::<ChannelDetails>(request.filter, among(&self.channels))?;
        let is_wanted = |details: &ChannelDetails| {
            let of_it = view::channel::state(ChannelState::of(details));
            wanted.passes(details) && (state == v1::channel::State::Unspecified || state == of_it)
        };
        let channels = self.channels.list(with.as_ref()).into_iter().filter(is_wanted);
        let (channels, next_page_token) = page_by_key(channels, place, &page.token, page.limit)
            .map_err(|_| refusal::bad_token())?;
        let connected = self.channels.connected_peers();
        let view = |details: &ChannelDetails| {
            let closing =
                self.channels.closing_tx(&details.channel_id).map_err(refusal::channels)?;
            let offers = self.channels.close_negotiation(&details.channel_id);
            Ok::<_, Status>(view::channel::open(details, &connected, closing, offers))
        };
        let channels = channels.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Response::new(v1::ListChannelsResponse { channels, next_page_token }))
    }

    async fn get(
        &self,
        request: Request<v1::GetChannelRequest>,
    ) -> Result<Response<v1::GetChannelResponse>, Status> {
        use v1::get_channel_response::Channel;
        let reference = fields::channel_ref("channel", request.into_inner().channel)?;
        let channel = match self.channels.get(&reference).map_err(refusal::channels)? {
            Found::Open(details) => {
                let closing =
                    self.channels.closing_tx(&details.channel_id).map_err(refusal::channels)?;
                Channel::Open(view::channel::open(
                    &details,
                    &self.channels.connected_peers(),
                    closing,
                    self.channels.close_negotiation(&details.channel_id),
                ))
            }
            Found::Closed(closed, closing) => {
                Channel::Closed(view::channel::closed(*closed, closing))
            }
        };
        Ok(Response::new(v1::GetChannelResponse { channel: Some(channel) }))
    }

    async fn list_closed(
        &self,
        request: Request<v1::ListClosedChannelsRequest>,
    ) -> Result<Response<v1::ListClosedChannelsResponse>, Status> {
        use v1::closed_channel::Kind;
        let request = request.into_inner();
        let page = fields::page(request.page)?;
        let kind = Kind::try_from(request.kind)
            .map_err(|_| malformed("kind", "is not a way in which channels close"))?;
        let wanted = filter::<ClosedChannel>(request.filter, among(&self.channels))?;
        let also = |closed: &ClosedChannel| {
            kind == Kind::Unspecified || kind == view::channel::kind(&closed.kind)
        };
        let page = self.channels.closed_page(&page.token, page.limit, &wanted, also);
        let page = page.map_err(refusal::channels)?;
        let view = |(_, (closed, closing))| view::channel::closed(closed, closing);
        Ok(Response::new(v1::ListClosedChannelsResponse {
            channels: page.items.into_iter().map(view).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn set_policy(
        &self,
        request: Request<v1::SetPolicyRequest>,
    ) -> Result<Response<v1::SetPolicyResponse>, Status> {
        use v1::set_policy_request::Which as Wire;
        let request = request.into_inner();
        let which = match request.which {
            Some(Wire::Channel(channel)) => {
                Which::One(fields::channel_ref("channel", Some(channel))?)
            }
            Some(Wire::All(true)) => Which::All,
            Some(Wire::All(false)) | None => {
                return Err(malformed("which", "a channel or all of them must be named"));
            }
        };
        let change = PolicyChange {
            base_fee_msat: request.base_fee_msat,
            proportional_millionths: request.proportional_millionths,
            cltv_expiry_delta: request.cltv_expiry_delta,
        };
        let channels_changed =
            self.channels.set_policy(which, change).await.map_err(refusal::channels)?;
        Ok(Response::new(v1::SetPolicyResponse { channels_changed }))
    }
}

/// By short id, and by channel id where there is none yet.
fn place(details: &ChannelDetails) -> Vec<u8> {
    let short = details.short_channel_id.unwrap_or(u64::MAX);
    [&short.to_be_bytes()[..], &details.channel_id.0].concat()
}

struct OpenSteps {
    follower: OpenFollower,
    /// The last state that was sent.
    sent: Option<v1::open_channel_update::State>,
}

impl Steps for OpenSteps {
    type Item = v1::OpenChannelUpdate;

    async fn next(&mut self) -> Result<Option<v1::OpenChannelUpdate>, Status> {
        use v1::open_channel_update::State;
        while let Some(record) = self.follower.next().await.map_err(|error| internal(&error))? {
            let state = match record.stage {
                // Signed, but not broadcast yet.
                ChannelStage::Negotiating | ChannelStage::Funded => State::Negotiating,
                ChannelStage::Pending => State::FundingBroadcast,
                ChannelStage::Ready => State::Ready,
                ChannelStage::Closed | ChannelStage::Failed => State::Failed,
            };
            if self.sent.replace(state) == Some(state) {
                continue;
            }
            return Ok(Some(v1::OpenChannelUpdate {
                state: state.into(),
                channel_id: record.channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
                funding: record.funding.as_ref().map(view::ids::outpoint),
                short_channel_id: record.short_channel_id.unwrap_or(0),
                failure: record.ending.unwrap_or_default(),
                capacity_sat: record.capacity_sat,
            }));
        }
        Ok(None)
    }
}

/// A stream of one answer.
struct Only(Option<v1::CloseChannelUpdate>);

impl Steps for Only {
    type Item = v1::CloseChannelUpdate;

    async fn next(&mut self) -> Result<Option<v1::CloseChannelUpdate>, Status> {
        Ok(self.0.take())
    }
}

struct CloseSteps {
    follower: CloseFollower,
    /// Until when a close is followed without `wait_confirmed`, unless its transaction is seen before.
    until: Option<Instant>,
    ended: bool,
}

impl Steps for CloseSteps {
    type Item = v1::CloseChannelUpdate;

    async fn next(&mut self) -> Result<Option<v1::CloseChannelUpdate>, Status> {
        if self.ended {
            return Ok(None);
        }
        let next = match self.until {
            None => self.follower.next().await,
            Some(until) => match tokio::time::timeout_at(until, self.follower.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(None),
            },
        };
        let update = next.map_err(|error| internal(&error))?;
        if self.until.is_some() {
            self.ended = matches!(&update, Some(CloseUpdate::Closed { txid: Some(_), .. }));
        }
        let channel_id = self.follower.channel_id().0.to_vec();
        Ok(update.map(|update| close_update(channel_id, update)))
    }
}

fn close_update(channel_id: Vec<u8>, update: CloseUpdate) -> v1::CloseChannelUpdate {
    use v1::close_channel_update::State;
    let blank = v1::CloseChannelUpdate { channel_id, ..Default::default() };
    let txid = |txid: Option<Txid>| txid.as_ref().map(view::ids::txid_bytes).unwrap_or_default();
    match update {
        CloseUpdate::Closing { fees, stuck } => v1::CloseChannelUpdate {
            state: State::Closing.into(),
            fee_sat: fees.map_or(0, |fees| fees.offer_sat),
            max_fee_sat: fees.map_or(0, |fees| fees.most_sat),
            reason: stuck.unwrap_or_default(),
            ..blank
        },
        CloseUpdate::Closed { txid: closing, fee_sat, reason } => v1::CloseChannelUpdate {
            state: State::Closed.into(),
            closing_txid: txid(closing),
            fee_sat: fee_sat.unwrap_or(0),
            reason,
            ..blank
        },
        CloseUpdate::Confirmed { txid: closing, fee_sat, reason } => v1::CloseChannelUpdate {
            state: State::Confirmed.into(),
            closing_txid: txid(closing),
            fee_sat: fee_sat.unwrap_or(0),
            reason,
            ..blank
        },
    }
}
