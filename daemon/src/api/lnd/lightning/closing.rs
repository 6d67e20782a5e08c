//! `CloseChannel`.

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::close_status_update::Update;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::status::internal;
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::{ChannelRef, Close, CloseFollower, CloseUpdate};

pub(super) async fn stream_close(
    rooms: &LndRooms,
    request: lnrpc::CloseChannelRequest,
) -> Result<ResponseStream<lnrpc::CloseStatusUpdate>, Status> {
    let sat_per_byte = request.sat_per_byte;
    let (rate, target) = (request.sat_per_vbyte, request.target_conf);
    let feerate = read::feerate(&rooms.feerates, rate, sat_per_byte, target)?;
    if request.force && feerate.is_some() {
        return Err(refused("force closing a channel uses a pre-defined fee"));
    }
    if request.max_fee_per_vbyte > 0 && request.max_fee_per_vbyte < rate {
        return Err(refused("max_fee_per_vbyte is below the fee rate"));
    }
    let script = match request.delivery_address.as_str() {
        "" => None,
        text => Some(read::address(text, rooms.channels.network())?.script_pubkey()),
    };
    let channel = ChannelRef::Funding(read::channel_point(request.channel_point)?);
    let close = Close { channel, force: request.force, feerate, script };
    let follower = rooms.channels.close(close).await.map_err(refusal::channels)?;
    let closing = Closing { follower, instant: request.no_wait, sent: None };
    Ok(stream(closing, rooms.stopping.clone()))
}

/// The close goes on when the caller leaves.
struct Closing {
    follower: CloseFollower,
    /// Whether the caller is to hear at once that the close has begun.
    instant: bool,
    /// The transaction that the caller knows.
    sent: Option<Txid>,
}

impl Steps for Closing {
    type Item = lnrpc::CloseStatusUpdate;

    async fn next(&mut self) -> Result<Option<lnrpc::CloseStatusUpdate>, Status> {
        let wire = |update| Some(lnrpc::CloseStatusUpdate { update: Some(update) });
        if std::mem::take(&mut self.instant) {
            return Ok(wire(Update::CloseInstant(lnrpc::InstantUpdate { num_pending_htlcs: 0 })));
        }
        while let Some(update) = self.follower.next().await.map_err(|error| internal(&error))? {
            match update {
                CloseUpdate::Closing { .. } | CloseUpdate::Closed { txid: None, .. } => (),
                CloseUpdate::Closed { txid: Some(txid), .. } => {
                    if self.sent.replace(txid) != Some(txid) {
                        return Ok(wire(Update::ClosePending(lnrpc::PendingUpdate {
                            txid: txid.to_byte_array().to_vec(),
                            ..Default::default()
                        })));
                    }
                }
                CloseUpdate::Confirmed { txid, .. } => {
                    return Ok(wire(Update::ChanClose(lnrpc::ChannelCloseUpdate {
                        closing_txid: txid
                            .map(|txid| txid.to_byte_array().to_vec())
                            .unwrap_or_default(),
                        success: true,
                        ..Default::default()
                    })));
                }
            }
        }
        Ok(None)
    }
}
