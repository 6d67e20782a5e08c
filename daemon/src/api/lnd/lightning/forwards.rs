//! What forwarding earned, and what we charge for it.

use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::policy_update_request::Scope as WireScope;
use tonic::Status;

use super::channels::short_ids;
use crate::api::lnd::read;
use crate::api::lnd::refusal::{self, refused};
use crate::api::lnd::rooms::LndRooms;
use crate::api::lnd::view::channel::outpoint;
use crate::api::status::internal;
use crate::channels::{ChannelRef, Error, PolicyChange, Scope, SetPolicy, Which, Wish};
use crate::forwards::ForwardRecord;
use crate::listing::Filter;

const DEFAULT_EVENTS: u32 = 100;
const MAX_EVENTS: u32 = 50_000;
const DAY_SECS: u64 = 24 * 3_600;
/// lnd's least delta, in blocks.
const MIN_TIME_LOCK_DELTA: u32 = 18;

pub(super) fn history(
    rooms: &LndRooms,
    request: &lnrpc::ForwardingHistoryRequest,
) -> Result<lnrpc::ForwardingHistoryResponse, Status> {
    let known = short_ids(rooms)?;
    let short =
        |id: Option<[u8; 32]>| id.and_then(|id| known.get(&id)).map_or(0, |(short, _)| *short);
    let end = if request.end_time == 0 { u64::MAX } else { request.end_time };
    let wanted = |record: &ForwardRecord| {
        let (came, left) = (&request.incoming_chan_ids, &request.outgoing_chan_ids);
        (request.start_time..=end).contains(&record.settled_at)
            && (came.is_empty() || came.contains(&short(record.settled.inbound_channel_id)))
            && (left.is_empty() || left.contains(&short(record.settled.outbound_channel_id)))
    };
    let take = match request.num_max_events {
        0 => DEFAULT_EVENTS,
        most if most > MAX_EVENTS => {
            return Err(refused(format!("maximum number of events is {MAX_EVENTS}")));
        }
        most => most,
    } as usize;
    let skip = request.index_offset as usize;
    let found = rooms.forwards.oldest_first(skip.saturating_add(take), wanted);
    let found = found.map_err(|error| internal(&error))?;
    let alias = |id: Option<[u8; 32]>| match request.peer_alias_lookup {
        true => match id.and_then(|id| known.get(&id)) {
            Some((_, node)) => rooms.alias(node),
            None => String::new(),
        },
        false => String::new(),
    };
    let event = |record: &ForwardRecord| {
        let settled = &record.settled;
        let (came_msat, left_msat) = (settled.inbound_msat(), settled.outbound_msat.unwrap_or(0));
        let fee_msat = settled.fee_msat.unwrap_or(0);
        lnrpc::ForwardingEvent {
            timestamp: record.settled_at,
            timestamp_ns: record.settled_at.saturating_mul(1_000_000_000),
            chan_id_in: short(settled.inbound_channel_id),
            chan_id_out: short(settled.outbound_channel_id),
            amt_in: came_msat / 1_000,
            amt_out: left_msat / 1_000,
            fee: fee_msat / 1_000,
            fee_msat,
            amt_in_msat: came_msat,
            amt_out_msat: left_msat,
            peer_alias_in: alias(settled.inbound_channel_id),
            peer_alias_out: alias(settled.outbound_channel_id),
            ..Default::default()
        }
    };
    let forwarding_events: Vec<_> = found.iter().skip(skip).map(event).collect();
    let last = u32::try_from(skip + forwarding_events.len()).unwrap_or(u32::MAX);
    Ok(lnrpc::ForwardingHistoryResponse { forwarding_events, last_offset_index: last })
}

pub(super) fn fee_report(rooms: &LndRooms) -> Result<lnrpc::FeeReportResponse, Status> {
    let mut report = lnrpc::FeeReportResponse::default();
    for details in rooms.open_channels() {
        let Some(config) = details.config else { continue };
        let funding = details.funding_txo.map(|txo| txo.into_bitcoin_outpoint());
        let per_million = config.forwarding_fee_proportional_millionths;
        report.channel_fees.push(lnrpc::ChannelFeeReport {
            chan_id: details.short_channel_id.or(details.outbound_scid_alias).unwrap_or(0),
            channel_point: funding.map(|funding| funding.to_string()).unwrap_or_default(),
            base_fee_msat: config.forwarding_fee_base_msat.into(),
            fee_per_mil: per_million.into(),
            fee_rate: f64::from(per_million) / 1e6,
            ..Default::default()
        });
    }
    let now = rooms.forwards.now();
    let mut token = Vec::new();
    // Newest first, so the first one that is too old ends it.
    'pages: loop {
        let page = rooms
            .forwards
            .page(&token, 1_000, &Filter::default())
            .map_err(|error| internal(&error))?;
        for (_, record) in page.items {
            let age = now.saturating_sub(record.settled_at);
            if age > 30 * DAY_SECS {
                break 'pages;
            }
            let fee_msat = record.settled.fee_msat.unwrap_or(0);
            for (days, sum) in [
                (1, &mut report.day_fee_sum),
                (7, &mut report.week_fee_sum),
                (30, &mut report.month_fee_sum),
            ] {
                if age <= days * DAY_SECS {
                    *sum = sum.saturating_add(fee_msat);
                }
            }
        }
        if page.next_token.is_empty() {
            break;
        }
        token = page.next_token;
    }
    // Whole satoshis, cut once.
    for sum in [&mut report.day_fee_sum, &mut report.week_fee_sum, &mut report.month_fee_sum] {
        *sum /= 1_000;
    }
    Ok(report)
}

pub(super) async fn update_policy(
    rooms: &LndRooms,
    request: lnrpc::PolicyUpdateRequest,
) -> Result<lnrpc::PolicyUpdateResponse, Status> {
    let change = change(&request)?;
    let (which, point) = match request.scope {
        Some(WireScope::Global(_)) => (Which::All, None),
        Some(WireScope::ChanPoint(point)) => {
            let point = read::channel_point(Some(point))?;
            (Which::These(vec![ChannelRef::Funding(point)]), Some(point))
        }
        None => return Err(refused("unknown scope: nil")),
    };
    let failed = |reason: lnrpc::UpdateFailure, words: String| lnrpc::PolicyUpdateResponse {
        failed_updates: vec![lnrpc::FailedUpdate {
            outpoint: point.as_ref().map(outpoint),
            reason: reason.into(),
            update_error: words,
        }],
    };
    let wish = Wish::Change(change);
    let wish = SetPolicy { which, scope: Scope::Open, wish, dry_run: false };
    match rooms.channels.set_policy(wish).await {
        Ok(_) => Ok(lnrpc::PolicyUpdateResponse::default()),
        Err(Error::Unknown | Error::AlreadyClosed { .. }) => {
            Ok(failed(lnrpc::UpdateFailure::NotFound, "not found".to_owned()))
        }
        Err(Error::Argument(_, why)) => Err(refused(why)),
        Err(error @ Error::Ldk(_)) => {
            Ok(failed(lnrpc::UpdateFailure::InternalErr, error.to_string()))
        }
        Err(error) => Err(refusal::channels(error)),
    }
}

fn change(request: &lnrpc::PolicyUpdateRequest) -> Result<PolicyChange, Status> {
    let inbound = request.inbound_fee.unwrap_or_default();
    for (is_asked, field) in [
        (request.max_htlc_msat != 0, "max_htlc_msat"),
        (request.min_htlc_msat_specified, "min_htlc_msat"),
        (inbound.base_fee_msat != 0 || inbound.fee_rate_ppm != 0, "inbound_fee"),
    ] {
        if is_asked {
            return Err(refused(format!("{field} is not supported by this daemon")));
        }
    }
    if request.time_lock_delta < MIN_TIME_LOCK_DELTA {
        let delta = request.time_lock_delta;
        return Err(refused(format!(
            "time lock delta of {delta} is too small, minimum supported is {MIN_TIME_LOCK_DELTA}"
        )));
    }
    let per_million = match (request.fee_rate, request.fee_rate_ppm) {
        (rate, 0) => {
            let millionths = (rate * 1e6).round();
            if !(0.0..=1e6).contains(&millionths) {
                return Err(refused(format!("fee rate {rate} is not between 0 and 1")));
            }
            millionths as u32
        }
        (0.0, millionths) => millionths,
        _ => return Err(refused("cannot set both FeeRate and FeeRatePpm at the same time")),
    };
    let base =
        u32::try_from(request.base_fee_msat).map_err(|_| refused("base fee is out of range"))?;
    Ok(PolicyChange {
        base_fee_msat: Some(base),
        proportional_millionths: Some(per_million),
        cltv_expiry_delta: Some(request.time_lock_delta),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_in_both_forms_of_its_rate() {
        let request = lnrpc::PolicyUpdateRequest {
            base_fee_msat: 1_000,
            time_lock_delta: 80,
            ..Default::default()
        };
        let rate = |fee_rate, fee_rate_ppm| {
            let request = lnrpc::PolicyUpdateRequest { fee_rate, fee_rate_ppm, ..request.clone() };
            change(&request).map(|change| change.proportional_millionths)
        };
        assert_eq!(rate(0.000_001, 0).expect("fine"), Some(1));
        assert_eq!(rate(0.0, 250).expect("fine"), Some(250));
        for (fee_rate, ppm) in [(0.1, 1), (-0.1, 0), (f64::NAN, 0), (f64::INFINITY, 0), (1.1, 0)] {
            assert!(rate(fee_rate, ppm).is_err(), "{fee_rate} {ppm}");
        }
        let low = lnrpc::PolicyUpdateRequest { time_lock_delta: 17, ..request };
        let words = "time lock delta of 17 is too small, minimum supported is 18";
        assert_eq!(change(&low).expect_err("too small").message(), words);
    }
}
