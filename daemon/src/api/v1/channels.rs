//! The `Channels` service.

mod decide;
mod open;

use std::time::Duration;

use bitcoin::Txid;
use fulmen_proto::v1;
use lightning::ln::channel_state::ChannelDetails;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use self::decide::Deciding;
use self::open::{BatchSteps, OpenSteps};
use super::convert::filter::{among, filter};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::access::caller::Caller;
use crate::access::caveat::CaveatRefusal;
use crate::api::auth::caller_of;
use crate::api::not_admitted::refused;
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::{
    ChannelRef, Channels, Close, CloseFollower, CloseUpdate, ClosedChannel, Found, Which,
};
use crate::listing::page_by_key;
use crate::peers::Peers;
use crate::usecases::channel_state::ChannelState;
use crate::usecases::open as open_room;

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
    type OpenBatchStream = ResponseStream<v1::OpenBatchUpdate>;
    type DecideOpensStream = ResponseStream<v1::OpenProposal>;

    async fn open(
        &self,
        request: Request<v1::OpenChannelRequest>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let caller = caller_of(&request)?;
        let request = request.into_inner();
        let address = fields::peer_address(&request.address)?.map(str::to_owned);
        let open = convert::channel::open(request, self.channels.network())?;
        caller.may_reach(&open.node_id).map_err(refused)?;
        let opening = open_room::open(&self.channels, &self.peers, open, address.as_deref()).await;
        let follower = opening.map_err(refusal::open)?;
        let steps = OpenSteps::new(follower, self.channels.network());
        Ok(Response::new(stream(steps, self.stopping.clone())))
    }

    async fn open_batch(
        &self,
        request: Request<v1::OpenBatchRequest>,
    ) -> Result<Response<Self::OpenBatchStream>, Status> {
        let network = self.channels.network();
        let (batch, addresses) = convert::channel::open_batch(request.into_inner(), network)?;
        let opening = open_room::open_batch(&self.channels, &self.peers, batch, &addresses).await;
        let steps = BatchSteps::new(opening.map_err(refusal::open)?, network);
        Ok(Response::new(stream(steps, self.stopping.clone())))
    }

    async fn fund_open(
        &self,
        request: Request<v1::FundOpenRequest>,
    ) -> Result<Response<v1::FundOpenResponse>, Status> {
        open::fund(&self.channels, request.into_inner()).await.map(Response::new)
    }

    async fn close(
        &self,
        request: Request<v1::CloseChannelRequest>,
    ) -> Result<Response<Self::CloseStream>, Status> {
        let caller = caller_of(&request)?;
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
        self.check_channel(&caller, &close.channel)?;
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
        let caller = caller_of(&request)?;
        let reference = fields::channel_ref("channel", request.into_inner().channel)?;
        self.check_channel(&caller, &reference)?;
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
        let caller = caller_of(&request)?;
        let wish = convert::policy::set(request.into_inner())?;
        match &wish.which {
            Which::These(references) => {
                for reference in references {
                    self.check_channel(&caller, reference)?;
                }
            }
            Which::Peer(_) | Which::All if caller.is_bound_to_channels() => {
                return Err(refused(CaveatRefusal::Channel));
            }
            Which::Peer(_) | Which::All => (),
        }
        let dry_run = wish.dry_run;
        let changed = self.channels.set_policy(wish).await.map_err(refusal::channels)?;
        Ok(Response::new(view::policy::set(&changed, dry_run)))
    }

    async fn decide_opens(
        &self,
        request: Request<Streaming<v1::OpenDecision>>,
    ) -> Result<Response<Self::DecideOpensStream>, Status> {
        let deciding = Deciding::begin(&self.channels, request.into_inner())?;
        Ok(Response::new(stream(deciding, self.stopping.clone())))
    }

    async fn list_new_policies(
        &self,
        _: Request<v1::ListNewPoliciesRequest>,
    ) -> Result<Response<v1::ListNewPoliciesResponse>, Status> {
        let policies = self.channels.stored_policies().map_err(refusal::channels)?;
        let policies = policies.into_iter().map(view::policy::new).collect();
        Ok(Response::new(v1::ListNewPoliciesResponse { policies }))
    }
}

/// By short id, and by channel id where there is none yet.
fn place(details: &ChannelDetails) -> Vec<u8> {
    let short = details.short_channel_id.unwrap_or(u64::MAX);
    [&short.to_be_bytes()[..], &details.channel_id.0].concat()
}

impl ChannelsService {
    /// Checks that a macaroon that is bound to channels is bound to this one.
    fn check_channel(&self, caller: &Caller, reference: &ChannelRef) -> Result<(), Status> {
        if !caller.is_bound_to_channels() {
            return Ok(());
        }
        let allowed = match self.channels.get(reference).map_err(refusal::channels)? {
            Found::Open(details) => {
                // Not the alias that the peer chose: it could choose the short id of another channel.
                let scids = [details.short_channel_id, details.outbound_scid_alias];
                let scids: Vec<u64> = scids.into_iter().flatten().collect();
                caller.may_touch(&details.channel_id.0, &scids)
            }
            Found::Closed(closed, _) => {
                let scids: Vec<u64> = closed.short_channel_id.into_iter().collect();
                caller.may_touch(&closed.channel_id.0, &scids)
            }
        };
        allowed.map_err(refused)
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
