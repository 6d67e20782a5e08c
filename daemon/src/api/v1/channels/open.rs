//! Opens on the wire: one channel, several at once, and those that another wallet pays for.

use bitcoin::consensus::encode;
use bitcoin::{Address, Network, Psbt, Transaction};
use fulmen_proto::v1;
use fulmen_proto::v1::open_channel_update::State;
use tonic::Status;

use crate::api::status::{internal, malformed};
use crate::api::stream::Steps;
use crate::api::v1::convert::fields;
use crate::api::v1::{refusal, view};
use crate::channels::{ChannelRecord, ChannelStage, Channels, OpenFollower, OpenUpdate, Unfunded};

/// The states of one open.
pub(super) struct OpenSteps {
    follower: OpenFollower,
    sent: Sent,
}

/// The states of the opens of a batch.
pub(super) struct BatchSteps {
    opens: Vec<(OpenFollower, Sent)>,
}

/// The last state that was sent.
struct Sent {
    network: Network,
    last: Option<State>,
}

impl OpenSteps {
    pub(super) fn new(follower: OpenFollower, network: Network) -> Self {
        Self { follower, sent: Sent { network, last: None } }
    }
}

impl Steps for OpenSteps {
    type Item = v1::OpenChannelUpdate;

    async fn next(&mut self) -> Result<Option<v1::OpenChannelUpdate>, Status> {
        while let Some(update) = self.follower.next().await.map_err(|error| internal(&error))? {
            if let Some(view) = self.sent.view(update) {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }
}

impl BatchSteps {
    pub(super) fn new(followers: Vec<OpenFollower>, network: Network) -> Self {
        let opens = followers.into_iter().map(|of| (of, Sent { network, last: None }));
        Self { opens: opens.collect() }
    }
}

impl Steps for BatchSteps {
    type Item = v1::OpenBatchUpdate;

    async fn next(&mut self) -> Result<Option<v1::OpenBatchUpdate>, Status> {
        loop {
            for (index, (follower, sent)) in (0u32..).zip(&mut self.opens) {
                while let Some(update) = follower.look().map_err(|error| internal(&error))? {
                    if let Some(update) = sent.view(update) {
                        return Ok(Some(v1::OpenBatchUpdate { index, update: Some(update) }));
                    }
                }
            }
            // All of them wake on the same changes.
            let Some((follower, _)) = self.opens.iter_mut().find(|(of, _)| !of.has_ended()) else {
                return Ok(None);
            };
            follower.changed().await;
        }
    }
}

impl Sent {
    /// Writes an update; none if the caller knows its state already.
    fn view(&mut self, update: OpenUpdate) -> Option<v1::OpenChannelUpdate> {
        let view = match update {
            OpenUpdate::Stage(record) => stage(record),
            OpenUpdate::AwaitsFunding(channel) => awaiting(&channel, self.network),
        };
        (self.last.replace(view.state()) != Some(view.state())).then_some(view)
    }
}

fn stage(record: ChannelRecord) -> v1::OpenChannelUpdate {
    let state = match record.stage {
        // Signed, but not broadcast yet.
        ChannelStage::Negotiating | ChannelStage::Funded => State::Negotiating,
        ChannelStage::Pending => State::FundingBroadcast,
        ChannelStage::Ready => State::Ready,
        ChannelStage::Closed | ChannelStage::Failed => State::Failed,
    };
    v1::OpenChannelUpdate {
        state: state.into(),
        channel_id: record.channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
        funding: record.funding.as_ref().map(view::ids::outpoint),
        short_channel_id: record.short_channel_id.unwrap_or(0),
        failure: record.ending.unwrap_or_default(),
        capacity_sat: record.capacity_sat,
        funding_address: String::new(),
    }
}

fn awaiting(channel: &Unfunded, network: Network) -> v1::OpenChannelUpdate {
    let address = Address::from_script(&channel.script, network);
    v1::OpenChannelUpdate {
        state: State::AwaitingFunding.into(),
        channel_id: channel.temporary_channel_id.0.to_vec(),
        capacity_sat: channel.capacity_sat,
        funding_address: address.map(|address| address.to_string()).unwrap_or_default(),
        ..Default::default()
    }
}

/// Funds a channel with a transaction of another wallet, or gives it up.
pub(super) async fn fund(
    channels: &Channels,
    request: v1::FundOpenRequest,
) -> Result<v1::FundOpenResponse, Status> {
    use v1::fund_open_request::By;
    let id = fields::channel_id("channel_id", &request.channel_id)?;
    let transaction = match request.by {
        Some(By::Psbt(psbt)) => read_psbt(&psbt)?,
        Some(By::Transaction(bytes)) => encode::deserialize(&bytes)
            .map_err(|error| malformed("transaction", format!("cannot be read: {error}")))?,
        Some(By::Cancel(true)) => {
            let why = "the operator gave it up before it was funded";
            channels.cancel_outside(&id, why).await.map_err(refusal::channels)?;
            return Ok(v1::FundOpenResponse { funding: None });
        }
        Some(By::Cancel(false)) | None => {
            return Err(malformed("psbt", "is needed, or a transaction, or cancel"));
        }
    };
    let funded = channels.fund_from_outside(&id, transaction).await.map_err(refusal::channels)?;
    Ok(v1::FundOpenResponse { funding: Some(view::ids::outpoint(&funded)) })
}

fn read_psbt(bytes: &[u8]) -> Result<Transaction, Status> {
    let psbt = Psbt::deserialize(bytes)
        .map_err(|error| malformed("psbt", format!("cannot be read: {error}")))?;
    match psbt.fee() {
        // A fee that is known must not be absurd.
        Ok(_) => psbt.extract_tx().map_err(|error| malformed("psbt", error)),
        Err(_) => Ok(psbt.extract_tx_unchecked_fee_rate()),
    }
}
