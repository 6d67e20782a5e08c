//! The `Channels` service.

use std::time::Duration;

use fulmen_proto::v1;
use lightning::ln::channel_state::ChannelDetails;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::view::channel as view;
use super::{convert::fields as convert, peers};
use crate::api::status::{internal, malformed, refuse, unknown};
use crate::api::stream::{Answers, Steps, stream};
use crate::channels::{
    Amount, Channels, Close, CloseFollower, CloseUpdate, Error, Found, Open, OpenFollower, Policy,
    PolicyChange, Stage, Which,
};
use crate::peers::Peers;
use crate::wallet;

/// How long a close that is not to be waited for is still followed, so that most callers learn that
/// the peer has agreed, and which transaction closes the channel.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Serves `fulmen.v1.Channels`.
#[derive(Clone)]
pub struct ChannelsService {
    /// The room behind it.
    pub channels: Channels,
    /// Connects to whom a channel is to be opened.
    pub peers: Peers,
    /// Cancelled when calls are to end.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::channels_server::Channels for ChannelsService {
    type OpenStream = Answers<v1::OpenChannelUpdate>;
    type CloseStream = Answers<v1::CloseChannelUpdate>;

    async fn open(
        &self,
        request: Request<v1::OpenChannelRequest>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let request = request.into_inner();
        let address = peers::optional_address(&request.address)?.map(str::to_owned);
        let open = read_open(request)?;
        let repeated = match &open.idempotency_key {
            Some(key) => self.channels.knows_key(key).map_err(refusal)?,
            None => false,
        };
        if !repeated {
            self.channels.check_request(&open).map_err(refusal)?;
            self.peers.connect(open.node_id, address.as_deref()).await.map_err(peers::refusal)?;
        }
        let follower = self.channels.open(open).await.map_err(refusal)?;
        let steps = OpenSteps { follower, told: None };
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
                let address = convert::address("address", text, self.channels.network())?;
                Some(address.script_pubkey())
            }
        };
        let close = Close {
            channel: convert::channel_ref("channel", request.channel)?,
            force: request.force,
            feerate: convert::feerate("feerate_msat_per_vb", request.feerate_msat_per_vb)?,
            script,
        };
        let follower = self.channels.close(close).await.map_err(refusal)?;
        let until = (!request.wait_confirmed).then(|| Instant::now() + CLOSE_PATIENCE);
        let steps = CloseSteps { follower, until, ended: false };
        Ok(Response::new(stream(steps, self.stopping.clone())))
    }

    async fn list(
        &self,
        request: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        let with = convert::optional_node_id("node_id", &request.into_inner().node_id)?;
        let channels = self.channels.list(with.as_ref());
        let connected = self.channels.connected_peers();
        let view = |details: &ChannelDetails| {
            let closing = self.channels.closing_tx(&details.channel_id).map_err(refusal)?;
            Ok::<_, Status>(view::open(details, &connected, closing))
        };
        let channels = channels.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Response::new(v1::ListChannelsResponse { channels }))
    }

    async fn get(
        &self,
        request: Request<v1::GetChannelRequest>,
    ) -> Result<Response<v1::GetChannelResponse>, Status> {
        use v1::get_channel_response::Channel;
        let reference = convert::channel_ref("channel", request.into_inner().channel)?;
        let channel = match self.channels.get(&reference).map_err(refusal)? {
            Found::Open(details) => {
                let closing = self.channels.closing_tx(&details.channel_id).map_err(refusal)?;
                Channel::Open(view::open(&details, &self.channels.connected_peers(), closing))
            }
            Found::Closed(closed, closing) => Channel::Closed(view::closed(*closed, closing)),
        };
        Ok(Response::new(v1::GetChannelResponse { channel: Some(channel) }))
    }

    async fn list_closed(
        &self,
        request: Request<v1::ListClosedChannelsRequest>,
    ) -> Result<Response<v1::ListClosedChannelsResponse>, Status> {
        let page = convert::page(request.into_inner().page)?;
        let page = self.channels.closed_page(&page.token, page.limit).map_err(refusal)?;
        let view = |(_, (closed, closing))| view::closed(closed, closing);
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
                Which::One(convert::channel_ref("channel", Some(channel))?)
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
        let channels_changed = self.channels.set_policy(which, change).map_err(refusal)?;
        Ok(Response::new(v1::SetPolicyResponse { channels_changed }))
    }
}

fn read_open(request: v1::OpenChannelRequest) -> Result<Open, Status> {
    use v1::open_channel_request::Amount as Wire;
    let amount = match request.amount {
        Some(Wire::CapacitySat(sat)) => Amount::Exactly(convert::amount_sat("capacity_sat", sat)?),
        Some(Wire::All(true)) => Amount::All,
        Some(Wire::All(false)) | None => {
            return Err(malformed("amount", "a capacity or all is needed"));
        }
    };
    let push_msat = convert::optional_amount_msat("push_msat", request.push_msat)?;
    Ok(Open {
        node_id: convert::node_id("node_id", &request.node_id)?,
        amount,
        push_msat: push_msat.unwrap_or(0),
        announce: request.announce,
        feerate: convert::feerate("feerate_msat_per_vb", request.feerate_msat_per_vb)?,
        policy: request.policy.map(|policy| Policy {
            base_fee_msat: policy.base_fee_msat,
            proportional_millionths: policy.proportional_millionths,
            cltv_expiry_delta: policy.cltv_expiry_delta,
        }),
        idempotency_key: convert::idempotency_key(request.idempotency_key)?,
    })
}

/// Puts the room's error on the wire.
fn refusal(error: Error) -> Status {
    let words = error.to_string();
    let precondition = |reason| refuse(Code::FailedPrecondition, reason, words.clone());
    match error {
        Error::Argument(argument, why) => malformed(argument, why),
        Error::KeyReused { .. } => {
            refuse(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", words.clone())
        }
        Error::Unknown => unknown("CHANNEL_UNKNOWN", words.clone()),
        Error::AlreadyClosed { .. } => precondition("CHANNEL_CLOSED"),
        Error::NotConnected(_) => precondition("PEER_NOT_CONNECTED"),
        Error::NotReady(not) => precondition(not.word()),
        Error::TooManyPending { .. } => {
            refuse(Code::ResourceExhausted, "TOO_MANY_PENDING_CHANNELS", words.clone())
        }
        Error::AddressFixed => precondition("CLOSE_ADDRESS_FIXED"),
        Error::Wallet(error) => wallet_refusal(error),
        Error::Busy => refuse(Code::Unavailable, "CHANNEL_BUSY", words.clone()),
        Error::Ldk(_) => precondition("CHANNEL_REFUSED"),
        Error::Store(error) => internal(&error),
    }
}

fn wallet_refusal(error: wallet::Error) -> Status {
    let words = error.to_string();
    match error {
        wallet::Error::InsufficientFunds { .. } => {
            refuse(Code::FailedPrecondition, "INSUFFICIENT_FUNDS", words)
        }
        wallet::Error::Dust { .. } => malformed("capacity_sat", words),
        wallet::Error::Starting => refuse(Code::Unavailable, "STARTING", words),
        other => internal(&other),
    }
}

struct OpenSteps {
    follower: OpenFollower,
    told: Option<v1::open_channel_update::State>,
}

impl Steps for OpenSteps {
    type Item = v1::OpenChannelUpdate;

    async fn next(&mut self) -> Result<Option<v1::OpenChannelUpdate>, Status> {
        use v1::open_channel_update::State;
        while let Some(record) = self.follower.next().await.map_err(|error| internal(&error))? {
            let state = match record.stage {
                // Signed, but nobody but LDK has it yet.
                Stage::Negotiating | Stage::Funded => State::Negotiating,
                Stage::Pending => State::FundingBroadcast,
                Stage::Ready => State::Ready,
                Stage::Closed | Stage::Failed => State::Failed,
            };
            if self.told.replace(state) == Some(state) {
                continue;
            }
            return Ok(Some(v1::OpenChannelUpdate {
                state: state.into(),
                channel_id: record.channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
                funding: record.funding.as_ref().map(convert::outpoint),
                short_channel_id: record.short_channel_id.unwrap_or(0),
                failure: record.ending.unwrap_or_default(),
                capacity_sat: record.capacity_sat,
            }));
        }
        Ok(None)
    }
}

struct CloseSteps {
    follower: CloseFollower,
    /// How long a close is followed that is not to be waited for, if its transaction is not seen before.
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
    let (state, txid, reason) = match update {
        CloseUpdate::Closing => (State::Closing, None, String::new()),
        CloseUpdate::Closed { txid, reason } => (State::Closed, txid, reason),
        CloseUpdate::Confirmed { txid, reason } => (State::Confirmed, txid, reason),
    };
    v1::CloseChannelUpdate {
        state: state.into(),
        channel_id,
        closing_txid: txid.as_ref().map(convert::txid_bytes).unwrap_or_default(),
        reason,
    }
}
