//! `OpenChannel` and `OpenChannelSync`.

use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::open_status_update::Update;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::channel_point;
use crate::api::status::internal;
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::{Amount, ChannelStage, Open, OpenFollower, OpenUpdate, Policy};
use crate::usecases::open;

use bitcoin::hashes::Hash as _;

/// The delta of a channel whose fees a caller sets: a policy is set whole.
const DEFAULT_TIME_LOCK_DELTA: u32 = 80;

pub(super) async fn stream_open(
    rooms: &LndRooms,
    request: lnrpc::OpenChannelRequest,
) -> Result<ResponseStream<lnrpc::OpenStatusUpdate>, Status> {
    let follower = begin(rooms, request).await?;
    Ok(stream(Opening(follower), rooms.stopping.clone()))
}

/// Returns the funding output once it is broadcast.
pub(super) async fn open_sync(
    rooms: &LndRooms,
    request: lnrpc::OpenChannelRequest,
) -> Result<lnrpc::ChannelPoint, Status> {
    let mut opening = Opening(begin(rooms, request).await?);
    loop {
        match opening.next().await?.map(|update| update.update) {
            Some(Some(Update::ChanPending(pending))) => {
                let txid = Some(lnrpc::channel_point::FundingTxid::FundingTxidBytes(pending.txid));
                let output_index = pending.output_index;
                return Ok(lnrpc::ChannelPoint { funding_txid: txid, output_index });
            }
            Some(Some(Update::ChanOpen(open))) => {
                return Ok(open.channel_point.unwrap_or_default());
            }
            Some(Some(Update::PsbtFund(_)) | None) => (),
            None => return Err(refused("the channel was not opened")),
        }
    }
}

async fn begin(
    rooms: &LndRooms,
    request: lnrpc::OpenChannelRequest,
) -> Result<OpenFollower, Status> {
    refuse_unsupported(&request)?;
    let (sat_per_byte, node_text) = (request.sat_per_byte, &request.node_pubkey_string);
    let node_id = match request.node_pubkey.as_slice() {
        [] => read::node_id_hex(node_text)?,
        bytes => read::node_id(bytes)?,
    };
    if node_id == rooms.node.id() {
        return Err(refused("cannot open channel to self"));
    }
    let amount = match (request.fund_max, request.local_funding_amount) {
        (true, 0) => Amount::All,
        (true, _) => {
            return Err(refused("local amount cannot be set if attempting to commit the maximum"));
        }
        (false, sat) => Amount::Exactly(read::amount_sat(sat)?),
    };
    let push_sat = u64::try_from(request.push_sat).map_err(|_| refused("push_sat is negative"))?;
    let (rate, target) = (request.sat_per_vbyte, request.target_conf);
    let open = Open {
        node_id,
        amount,
        push_msat: push_sat.saturating_mul(1_000),
        announce: !request.private,
        feerate: read::feerate(&rooms.feerates, rate, sat_per_byte, target)?,
        policy: policy(&request)?,
        coins: read::coins(request.outpoints, request.min_confs, request.spend_unconfirmed)?,
        outside: false,
        zero_conf: false,
        close_script: match request.close_address.as_str() {
            "" => None,
            text => Some(read::address(text, rooms.channels.network())?.script_pubkey()),
        },
        idempotency_key: None,
    };
    open::open(&rooms.channels, &rooms.peers, open, None).await.map_err(refusal::open)
}

/// What would change where money goes or who can take it is refused, not passed over in silence.
fn refuse_unsupported(request: &lnrpc::OpenChannelRequest) -> Result<(), Status> {
    use lnrpc::CommitmentType;
    let kind = request.commitment_type();
    let unsupported = [
        (request.funding_shim.is_some(), "funding_shim"),
        (request.zero_conf, "zero_conf"),
        (request.remote_csv_delay != 0, "remote_csv_delay"),
        (request.remote_chan_reserve_sat != 0, "remote_chan_reserve_sat"),
        (
            !matches!(kind, CommitmentType::UnknownCommitmentType | CommitmentType::Anchors),
            "commitment_type",
        ),
    ];
    match unsupported.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, field)) => Err(refused(format!("{field} is not supported by this daemon"))),
        None => Ok(()),
    }
}

fn policy(request: &lnrpc::OpenChannelRequest) -> Result<Option<Policy>, Status> {
    match (request.use_base_fee, request.use_fee_rate) {
        (false, false) => Ok(None),
        (true, true) => {
            let number = |number: u64, name: &str| {
                u32::try_from(number).map_err(|_| refused(format!("{name} is too large")))
            };
            Ok(Some(Policy {
                base_fee_msat: number(request.base_fee, "base_fee")?,
                proportional_millionths: number(request.fee_rate, "fee_rate")?,
                cltv_expiry_delta: DEFAULT_TIME_LOCK_DELTA,
            }))
        }
        _ => Err(refused("base_fee and fee_rate must be set together")),
    }
}

/// The channel goes on when the caller leaves.
struct Opening(OpenFollower);

impl Steps for Opening {
    type Item = lnrpc::OpenStatusUpdate;

    async fn next(&mut self) -> Result<Option<lnrpc::OpenStatusUpdate>, Status> {
        while let Some(update) = self.0.next().await.map_err(|error| internal(&error))? {
            let record = match update {
                OpenUpdate::Stage(record) => record,
                // Asked for by a funding shim only.
                OpenUpdate::AwaitsFunding(_) => continue,
            };
            let funding = record.funding;
            let update = match (record.stage, funding) {
                (ChannelStage::Pending, Some(funding)) => {
                    Update::ChanPending(lnrpc::PendingUpdate {
                        txid: funding.txid.to_byte_array().to_vec(),
                        output_index: funding.vout,
                        ..Default::default()
                    })
                }
                (ChannelStage::Ready, Some(funding)) => {
                    Update::ChanOpen(lnrpc::ChannelOpenUpdate {
                        channel_point: Some(channel_point(&funding)),
                    })
                }
                (ChannelStage::Closed | ChannelStage::Failed, _) => {
                    return Err(refused(record.ending.unwrap_or_default()));
                }
                _ => continue,
            };
            let pending_chan_id = record.channel_id.map(|id| id.0.to_vec()).unwrap_or_default();
            return Ok(Some(lnrpc::OpenStatusUpdate { pending_chan_id, update: Some(update) }));
        }
        Ok(None)
    }
}
