//! Channels on their way in and out, for people.
use fulmen_proto::v1::close_channel_update::State as CloseState;
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::{CloseChannelUpdate, OpenChannelUpdate};

use crate::format::human;
use crate::format::table::{Facts, Look, Tone};

/// What an opening is doing now.
pub fn opening(update: &OpenChannelUpdate) -> String {
    match update.state() {
        OpenState::Unspecified | OpenState::Negotiating => "asking the peer".to_owned(),
        OpenState::FundingBroadcast => {
            let funding = human::outpoint(update.funding.as_ref());
            format!("waiting for confirmations of {funding}")
        }
        OpenState::AwaitingFunding => "waiting for a signed transaction".to_owned(),
        OpenState::Ready => "ready".to_owned(),
        OpenState::Failed => "failed".to_owned(),
    }
}

/// What another wallet has to pay, and how it is handed over.
pub fn awaiting(update: &OpenChannelUpdate) -> String {
    let id = human::hex(&update.channel_id);
    format!(
        "Sign a transaction that pays exactly {} to {}, and publish it nowhere: hand it over with\n  fulmen channel fund \
         {id} PSBT\nor give the channel up with\n  fulmen channel fund {id} --cancel",
        human::sat(update.capacity_sat),
        update.funding_address
    )
}

/// An opening that has come as far as we wait.
pub fn open_update(update: &OpenChannelUpdate, look: Look) -> String {
    let (words, tone) = match update.state() {
        OpenState::Ready => ("ready", Tone::Good),
        OpenState::FundingBroadcast => {
            ("funding broadcast, waits for confirmations", Tone::Waiting)
        }
        _ => ("being negotiated", Tone::Waiting),
    };
    Facts::new(look)
        .add_toned("state", words, tone)
        .add_if_any("channel", human::scid(update.short_channel_id))
        .add("channel id", human::hex(&update.channel_id))
        .add("funding", human::outpoint(update.funding.as_ref()))
        .add("capacity", human::sat(update.capacity_sat))
        .lines()
}

/// What a closing is doing now.
pub fn closing(state: CloseState) -> &'static str {
    match state {
        CloseState::Unspecified | CloseState::Closing => "closing",
        CloseState::Closed => "waiting for the closing transaction's confirmation",
        CloseState::Confirmed => "confirmed",
        CloseState::Failed => "failed",
        CloseState::Quoted => "asking what it costs",
    }
}

/// A closing that has come as far as we wait.
pub fn close_update(update: &CloseChannelUpdate, look: Look) -> String {
    let (words, tone) = match update.state() {
        CloseState::Confirmed => ("closed and confirmed", Tone::Good),
        CloseState::Closed if update.closing_txid.is_empty() => ("closed", Tone::Good),
        CloseState::Closed => ("closed, the transaction is broadcast", Tone::Good),
        CloseState::Quoted => return close_quote(update, look),
        _ => ("closing", Tone::Waiting),
    };
    let closing = Facts::new(look)
        .add_toned("state", words, tone)
        .add("channel id", human::hex(&update.channel_id));
    let tx = human::txid(&update.closing_txid);
    closing
        .add_if_any("closing tx", tx)
        .add_if_any(
            "fee",
            if update.fee_sat == 0 { String::new() } else { human::sat(update.fee_sat) },
        )
        .add_if_any("because", human::one_line(&update.reason))
        .lines()
}

/// What a close would cost.
fn close_quote(update: &CloseChannelUpdate, look: Look) -> String {
    let agreed = match update.max_fee_sat {
        0 => "nothing: the peer pays".to_owned(),
        most => format!("{}, at most {}", human::sat(update.fee_sat), human::sat(most)),
    };
    let blocks = human::grouped(update.forced_lock_blocks.into());
    let agreed_gets = match update.agreed_obstacle.as_str() {
        "" => human::sat(update.agreed_receive_sat),
        why => format!("{}, but not now: {why}", human::sat(update.agreed_receive_sat)),
    };
    let forced_gets = format!("{} after {blocks} blocks", human::sat(update.forced_receive_sat));
    Facts::new(look)
        .add("by agreement", agreed)
        .add("brings", agreed_gets)
        .add("by force", format!("about {}", human::sat(update.forced_fee_sat)))
        .add("brings", forced_gets)
        .add("locked", format!("{blocks} blocks by force"))
        .add_if_any("in flight", pending(update))
        .lines()
}

/// What an agreed close waits for, and what it means for a forced one; empty where nothing is in flight.
fn pending(update: &CloseChannelUpdate) -> String {
    if update.pending_htlcs == 0 {
        return String::new();
    }
    let (out, inside) = (update.pending_outbound_msat, update.pending_inbound_msat);
    format!(
        "{} ({} out, {} in) until block {} at the latest: an agreed close waits for them, by force {} of them cost a \
         transaction each",
        human::count(update.pending_htlcs.into(), "HTLC", "HTLCs"),
        human::msat(out),
        human::msat(inside),
        human::grouped(update.pending_until_height.into()),
        update.pending_claims
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_says_how_far_it_is() {
        let table = [
            (OpenState::Negotiating, "asking the peer", "being negotiated"),
            (OpenState::FundingBroadcast, "waiting for confirmations of -", "funding broadcast"),
            (OpenState::Ready, "ready", "ready"),
        ];
        for (state, now, at_the_end) in table {
            let update = OpenChannelUpdate { state: state.into(), ..Default::default() };
            assert_eq!(opening(&update), now);
            assert!(open_update(&update, Look::default()).contains(at_the_end));
        }
    }

    #[test]
    fn a_closing_shows_its_transaction_in_explorer_order() {
        let update = CloseChannelUpdate {
            state: CloseState::Closed.into(),
            closing_txid: vec![0, 0xab],
            ..Default::default()
        };
        let shown = close_update(&update, Look::default());
        assert!(shown.contains("ab00") && shown.contains("broadcast"), "{shown}");
    }
}
