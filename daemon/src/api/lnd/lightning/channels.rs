//! Channels: open, opening, closing, closed, and their balance.

use std::collections::HashMap;

use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::pending_channels_response::{
    ForceClosedChannel, PendingOpenChannel, WaitingCloseChannel,
};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use tonic::Status;

use crate::api::lnd::read;
use crate::api::lnd::refusal;
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::{self, signed, split};
use crate::api::lnd::view::closed;
use crate::api::status::internal;
use crate::channels::{ChannelRef, Found};
use crate::listing::Filter;
use crate::usecases::channel_state::ChannelState;
use crate::usecases::closing::{ClosingBalance, closing_balances};

/// Closed channels that are read from the store at once.
const PAGE: usize = 500;

pub(super) fn balance(rooms: &LndRooms) -> lnrpc::ChannelBalanceResponse {
    let (mut open, mut opening) = ([0_u64; 4], [0_u64; 2]);
    for details in rooms.channels.list(None) {
        let split = split(&details);
        if details.is_channel_ready {
            // HTLCs count for whom they will belong to.
            let parts =
                [split.local_msat, split.remote_msat, split.incoming_msat, split.outgoing_msat];
            open.iter_mut().zip(parts).for_each(|(sum, part)| *sum = sum.saturating_add(part));
        } else if details.funding_txo.is_some() {
            opening[0] = opening[0].saturating_add(split.local_msat);
            opening[1] = opening[1].saturating_add(split.remote_msat);
        }
    }
    let amount = |msat: u64| Some(lnrpc::Amount { sat: msat / 1_000, msat });
    lnrpc::ChannelBalanceResponse {
        balance: signed(open[0] / 1_000),
        pending_open_balance: signed(opening[0] / 1_000),
        local_balance: amount(open[0]),
        remote_balance: amount(open[1]),
        unsettled_local_balance: amount(open[2]),
        unsettled_remote_balance: amount(open[3]),
        pending_open_local_balance: amount(opening[0]),
        pending_open_remote_balance: amount(opening[1]),
        ..Default::default()
    }
}

pub(super) fn list(
    rooms: &LndRooms,
    request: &lnrpc::ListChannelsRequest,
) -> Result<lnrpc::ListChannelsResponse, Status> {
    let peer = match request.peer.as_slice() {
        [] => None,
        bytes => Some(read::node_id(bytes)?),
    };
    let wanted = |details: &ChannelDetails| {
        peer.is_none_or(|peer| details.counterparty.node_id == peer)
            && (!request.active_only || details.is_usable)
            && (!request.inactive_only || !details.is_usable)
            && (!request.public_only || details.is_announced)
            && (!request.private_only || !details.is_announced)
    };
    let channels = rooms.open_channels();
    let view = |details: &ChannelDetails| {
        let alias = match request.peer_alias_lookup {
            true => rooms.alias(&NodeId::from_pubkey(&details.counterparty.node_id)),
            false => String::new(),
        };
        channel::channel(details, alias)
    };
    let channels = channels.iter().filter(|details| wanted(details)).map(view).collect();
    Ok(lnrpc::ListChannelsResponse { channels })
}

pub(super) fn pending(rooms: &LndRooms) -> Result<lnrpc::PendingChannelsResponse, Status> {
    let channels = rooms.channels.list(None);
    let mut answer = lnrpc::PendingChannelsResponse::default();
    for details in &channels {
        match ChannelState::of(details) {
            ChannelState::PendingConfirmation => {
                answer.pending_open_channels.push(opening(details));
            }
            ChannelState::ShuttingDown => {
                let closing = rooms.channels.closing_tx(&details.channel_id);
                let closing = closing.map_err(refusal::channels)?;
                let pending = channel::pending(details);
                answer.waiting_close_channels.push(WaitingCloseChannel {
                    limbo_balance: pending.local_balance,
                    channel: Some(pending),
                    closing_txid: closing.map(|it| it.txid.to_string()).unwrap_or_default(),
                    ..Default::default()
                });
            }
            ChannelState::PendingOpen | ChannelState::Ready => (),
        }
    }
    forced(rooms, &channels, &mut answer)?;
    let waiting = answer.waiting_close_channels.iter().map(|it| it.limbo_balance);
    let forced = answer.pending_force_closing_channels.iter().map(|it| it.limbo_balance);
    answer.total_limbo_balance = waiting.chain(forced).fold(0, i64::saturating_add);
    Ok(answer)
}

/// Closed channels whose money has not come back yet.
fn forced(
    rooms: &LndRooms,
    open: &[ChannelDetails],
    answer: &mut lnrpc::PendingChannelsResponse,
) -> Result<(), Status> {
    let agreed = |id: ChannelId| rooms.channels.leaves_no_claims(&id);
    let mut by_channel: HashMap<ChannelId, Vec<ClosingBalance>> = HashMap::new();
    for balance in closing_balances(&rooms.node, open, agreed).balances {
        if let Some(id) = balance.channel_id {
            by_channel.entry(id).or_default().push(balance);
        }
    }
    let height = rooms.height();
    for (id, balances) in by_channel {
        // A record of it may not be there yet: LDK's event is being handled.
        let Ok(Found::Closed(record, closing)) = rooms.channels.get(&ChannelRef::Id(id)) else {
            continue;
        };
        let sure = balances.iter().filter(|balance| balance.is_sure);
        let limbo_balance = signed(sure.map(|balance| balance.amount_sat).sum());
        let channel = Some(closed::pending(&record));
        let closing_txid = closing.map(|it| it.txid.to_string()).unwrap_or_default();
        if closing.is_none_or(|closing| closing.height.is_none()) {
            answer.waiting_close_channels.push(WaitingCloseChannel {
                channel,
                limbo_balance,
                closing_txid,
                ..Default::default()
            });
            continue;
        }
        let maturity = balances.iter().map(|balance| balance.claimable_height).max().unwrap_or(0);
        answer.pending_force_closing_channels.push(ForceClosedChannel {
            channel,
            closing_txid,
            limbo_balance,
            maturity_height: maturity,
            blocks_til_maturity: i32::try_from(i64::from(maturity) - i64::from(height))
                .unwrap_or(0),
            ..Default::default()
        });
    }
    Ok(())
}

fn opening(details: &ChannelDetails) -> PendingOpenChannel {
    let split = split(details);
    let (needed, has) = (details.confirmations_required, details.confirmations);
    PendingOpenChannel {
        channel: Some(channel::pending(details)),
        commit_fee: signed(split.commit_fee_sat),
        commit_weight: signed(split.weight),
        fee_per_kw: details.feerate_sat_per_1000_weight.unwrap_or(0).into(),
        confirmations_until_active: needed.unwrap_or(0).saturating_sub(has.unwrap_or(0)),
        ..Default::default()
    }
}

pub(super) fn closed(
    rooms: &LndRooms,
    request: &lnrpc::ClosedChannelsRequest,
) -> Result<lnrpc::ClosedChannelsResponse, Status> {
    use lnrpc::channel_close_summary::ClosureType as Kind;
    let asked = [
        (request.cooperative, Kind::CooperativeClose),
        (request.local_force, Kind::LocalForceClose),
        (request.remote_force, Kind::RemoteForceClose),
        (request.breach, Kind::BreachClose),
        (request.funding_canceled, Kind::FundingCanceled),
        (request.abandoned, Kind::Abandoned),
    ];
    let any = asked.iter().all(|(is_asked, _)| !is_asked);
    let (mut channels, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = rooms
            .channels
            .closed_page(&token, PAGE, &Filter::default(), |_| true)
            .map_err(refusal::channels)?;
        for (_, (record, closing)) in page.items {
            let kind = closed::kind(&record.kind);
            if any || asked.contains(&(true, kind)) {
                channels.push(closed::summary(&record, closing, rooms.node.network));
            }
        }
        if page.next_token.is_empty() {
            break;
        }
        token = page.next_token;
    }
    // Oldest first, as lnd lists them.
    channels.reverse();
    Ok(lnrpc::ClosedChannelsResponse { channels })
}

/// The short ids of all channels that there are and were, by their ids: forwards name a channel by its id.
pub(super) fn short_ids(rooms: &LndRooms) -> Result<HashMap<[u8; 32], (u64, NodeId)>, Status> {
    let mut known = HashMap::new();
    let mut token = Vec::new();
    loop {
        let page = rooms.channels.closed_page(&token, PAGE, &Filter::default(), |_| true);
        let page = page.map_err(|error| internal(&error))?;
        for (_, (record, _)) in page.items {
            if let (Some(short), Some(node)) = (record.short_channel_id, record.node_id) {
                known.insert(record.channel_id.0, (short, NodeId::from_pubkey(&node)));
            }
        }
        if page.next_token.is_empty() {
            break;
        }
        token = page.next_token;
    }
    for details in rooms.channels.list(None) {
        let short = details.short_channel_id.or(details.outbound_scid_alias).unwrap_or(0);
        let node = NodeId::from_pubkey(&details.counterparty.node_id);
        known.insert(details.channel_id.0, (short, node));
    }
    Ok(known)
}
