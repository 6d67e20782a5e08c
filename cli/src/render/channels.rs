//! Channels for people: what is on which side, in which state, at which price.
mod policies;

pub use policies::{new_policies, proposal, set_policy};

use fulmen_proto::v1::channel::State;
use fulmen_proto::v1::get_channel_response::Channel as OpenOrClosed;
use fulmen_proto::v1::{Channel, CloseOffer, ClosedChannel, ForwardPolicy, GetChannelResponse};

use crate::format::human;
use crate::format::names::Names;
use crate::format::table::{
    Cell, Column, Facts, Look, Tone, bar, channel as channel_name, id, node, table, text, time,
    toned, txid, words,
};

/// The open and pending channels, and their sum.
pub fn list(list: &[Channel], names: &Names, look: Look) -> String {
    if list.is_empty() {
        return "No channels. Open one with `fulmen open NODE_ID@HOST:PORT AMOUNT`.\n".to_owned();
    }
    let columns = [
        Column::Left("channel"),
        Column::Left("peer"),
        Column::Right("capacity"),
        Column::Right("local"),
        Column::Left("balance"),
        Column::Right("remote"),
        Column::Left("state"),
    ];
    let rows = list.iter().map(|channel| {
        [
            channel_name(channel.short_channel_id, &channel.channel_id),
            node(names, &channel.node_id),
            text(human::grouped(channel.capacity_sat)),
            text(human::grouped(channel.local_msat / 1_000)),
            bar(channel.local_msat, total_msat(channel)),
            text(human::grouped(channel.remote_msat / 1_000)),
            state(channel).cut(),
        ]
    });
    let local: u64 = list.iter().map(|channel| channel.local_msat).sum();
    let remote: u64 = list.iter().map(|channel| channel.remote_msat).sum();
    let channels = human::count(list.len() as u64, "channel", "channels");
    let rows = table(look, columns, rows.collect());
    let (local, remote) = (human::sat(local / 1_000), human::sat(remote / 1_000));
    let sum = |msat_of: fn(&Channel) -> u64| list.iter().map(msat_of).sum();
    let flying = Channel {
        in_flight_outbound_msat: sum(|channel| channel.in_flight_outbound_msat),
        in_flight_inbound_msat: sum(|channel| channel.in_flight_inbound_msat),
        ..Channel::default()
    };
    let flying = match in_flight(&flying) {
        words if words.is_empty() => words,
        words => format!("{words} in flight\n"),
    };
    format!("{rows}\n{channels}: {local} local, {remote} remote\n{flying}")
}

fn total_msat(channel: &Channel) -> u64 {
    channel.local_msat.saturating_add(channel.remote_msat)
}

fn state(channel: &Channel) -> Cell {
    let (words, tone) = state_in_words(channel);
    let private = if channel.announced { "" } else { ", private" };
    let flying = match in_flight(channel) {
        words if words.is_empty() => words,
        words => format!(", {words} in flight"),
    };
    toned(format!("{words}{private}{flying}"), tone)
}

/// `1,000 sat out, 2 sat in`; empty where nothing is.
fn in_flight(channel: &Channel) -> String {
    let ways = [(channel.in_flight_outbound_msat, "out"), (channel.in_flight_inbound_msat, "in")];
    let flying = ways.into_iter().filter(|(msat, _)| *msat > 0);
    flying.map(|(msat, way)| format!("{} {way}", human::msat(msat))).collect::<Vec<_>>().join(", ")
}

fn state_in_words(channel: &Channel) -> (String, Tone) {
    if !channel.closing_txid.is_empty() {
        return ("closing, the transaction is broadcast".to_owned(), Tone::Waiting);
    }
    match channel.state() {
        State::Ready if channel.usable => ("ready".to_owned(), Tone::Good),
        State::Ready if channel.peer_connected => ("not usable".to_owned(), Tone::Waiting),
        State::Ready => ("offline".to_owned(), Tone::Bad),
        State::PendingConfirmation => {
            let (have, need) = (channel.confirmations, channel.confirmations_required);
            (format!("confirming {have}/{need}"), Tone::Waiting)
        }
        other @ (State::PendingOpen | State::ShuttingDown | State::Unspecified) => {
            (human::word(other.as_str_name()), Tone::Waiting)
        }
    }
}

/// One channel, open or closed.
pub fn show(response: &GetChannelResponse, look: Look) -> String {
    match &response.channel {
        Some(OpenOrClosed::Open(channel)) => open(channel, look),
        Some(OpenOrClosed::Closed(channel)) => one_closed(channel, look),
        None => String::new(),
    }
}

fn open(channel: &Channel, look: Look) -> String {
    let (words, tone) = state_in_words(channel);
    let reserve = |sat: u64| format!("({} reserve)", human::sat(sat));
    let (local, remote) = (reserve(channel.local_reserve_sat), reserve(channel.remote_reserve_sat));
    let mut shown = Facts::new(look)
        .add("channel", human::scid(channel.short_channel_id))
        .add("channel id", human::hex(&channel.channel_id))
        .add("funding", human::outpoint(channel.funding.as_ref()))
        .add("peer", human::hex(&channel.node_id))
        .add_toned("state", &words, tone)
        .add("kind", kind(channel))
        .add("capacity", human::sat(channel.capacity_sat))
        .add("local", format!("{} {local}", human::msat(channel.local_msat)))
        .add("balance", human::bar(channel.local_msat, total_msat(channel), 10))
        .add("remote", format!("{} {remote}", human::msat(channel.remote_msat)))
        .add_if_any("in flight", in_flight(channel))
        .add("can send", human::msat(channel.outbound_capacity_msat))
        .add("can receive", human::msat(channel.inbound_capacity_msat))
        .add("largest HTLC", human::msat(channel.next_outbound_htlc_limit_msat))
        .add("we charge", policy(channel.policy.as_ref()))
        .add("peer charges", policy(channel.counterparty_policy.as_ref()))
        .add("confirmations", human::grouped(channel.confirmations.into()))
        .add(
            "force close",
            format!("locks our money {} blocks", channel.force_close_spend_delay_blocks),
        )
        .add_if_any("closing tx", human::txid(&channel.closing_txid))
        .add_if_any("close", negotiation(channel))
        .add_if_any("alias, ours", human::scid(channel.outbound_scid_alias))
        .add_if_any("alias, peer's", human::scid(channel.inbound_scid_alias))
        .lines();
    if !channel.htlcs.is_empty() {
        shown.push('\n');
        shown.push_str(&htlcs(channel, look));
    }
    shown
}

/// The last offers for the fee of a close, and why there is no agreement.
fn negotiation(channel: &Channel) -> String {
    let Some(negotiation) = &channel.close_negotiation else { return String::new() };
    let offer = |who: &str, offer: &Option<CloseOffer>| {
        offer.as_ref().map(|offer| format!("{who} offered {}", human::sat(offer.fee_sat)))
    };
    let offers = [offer("we", &negotiation.ours), offer("the peer", &negotiation.theirs)];
    let stuck = Some(human::one_line(&negotiation.stuck)).filter(|words| !words.is_empty());
    offers.into_iter().flatten().chain(stuck).collect::<Vec<_>>().join("; ")
}

fn kind(channel: &Channel) -> String {
    let who = if channel.outbound { "opened by us" } else { "opened by the peer" };
    let seen = if channel.announced { "public" } else { "private" };
    match channel.channel_type.as_str() {
        "" => format!("{seen}, {who}"),
        kind => format!("{seen}, {who}, {}", human::one_line(&kind.replace('_', " "))),
    }
}

fn htlcs(channel: &Channel, look: Look) -> String {
    let columns = [
        Column::Left("HTLC"),
        Column::Right("amount (sat)"),
        Column::Right("expires at block"),
        Column::Left("state"),
        Column::Left("payment hash"),
    ];
    let rows = channel.htlcs.iter().map(|htlc| {
        [
            text(if htlc.inbound { "in" } else { "out" }),
            text(human::msat_bare(htlc.amount_msat)),
            text(human::grouped(htlc.cltv_expiry.into())),
            text(human::word(htlc.state().as_str_name())),
            id(&htlc.payment_hash),
        ]
    });
    table(look, columns, rows.collect())
}

/// `1 sat + 100 ppm, 40 blocks`.
pub fn policy(policy: Option<&ForwardPolicy>) -> String {
    match policy {
        None => human::NONE.to_owned(),
        Some(policy) => {
            let base = human::msat(policy.base_fee_msat.into());
            let ppm = human::grouped(policy.proportional_millionths.into());
            format!("{base} + {ppm} ppm, {} blocks", policy.cltv_expiry_delta)
        }
    }
}

fn one_closed(channel: &ClosedChannel, look: Look) -> String {
    let opener = if channel.outbound { "us" } else { "the peer" };
    Facts::new(look)
        .add("channel", human::scid(channel.short_channel_id))
        .add("channel id", human::hex(&channel.channel_id))
        .add("funding", human::outpoint(channel.funding.as_ref()))
        .add("peer", human::hex(&channel.node_id))
        .add("state", format!("closed: {}", human::word(channel.kind().as_str_name())))
        .add("because", human::one_line(&channel.reason))
        .add("closed (UTC)", human::time(channel.closed_at))
        .add("closing tx", closing_tx(channel))
        .add_if_any("closing fee", channel.closing_fee_sat.map(human::sat).unwrap_or_default())
        .add("capacity", human::sat(channel.capacity_sat))
        .add("was ours", human::msat(channel.local_msat))
        .add("opened by", opener)
        .lines()
}

fn closing_tx(channel: &ClosedChannel) -> String {
    let txid = human::or_none(&human::txid(&channel.closing_txid)).to_string();
    match (channel.closing_txid.is_empty(), channel.closing_height) {
        (true, _) => txid,
        (false, 0) => format!("{txid} (unconfirmed)"),
        (false, height) => format!("{txid} in block {}", human::grouped(height.into())),
    }
}

/// The closed channels.
pub fn closed(channels: &[ClosedChannel], names: &Names, look: Look) -> String {
    if channels.is_empty() {
        return "No closed channels.\n".to_owned();
    }
    let columns = [
        Column::Left("closed (UTC)"),
        Column::Left("channel"),
        Column::Left("peer"),
        Column::Right("was ours"),
        Column::Right("fee"),
        Column::Left("closing tx"),
        Column::Left("why"),
    ];
    let rows = channels.iter().map(|channel| {
        [
            time(channel.closed_at),
            channel_name(channel.short_channel_id, &channel.channel_id),
            node(names, &channel.node_id),
            text(human::grouped(channel.local_msat / 1_000)),
            text(channel.closing_fee_sat.map_or_else(|| human::NONE.to_owned(), human::grouped)),
            txid(&channel.closing_txid),
            words(&channel.reason),
        ]
    });
    table(look, columns, rows.collect())
}

/// What all channels charge.
pub fn policies(list: &[Channel], names: &Names, look: Look) -> String {
    if list.is_empty() {
        return "No channels.\n".to_owned();
    }
    let columns = [
        Column::Left("channel"),
        Column::Left("peer"),
        Column::Left("we charge"),
        Column::Left("peer charges"),
    ];
    let rows = list.iter().map(|channel| {
        [
            channel_name(channel.short_channel_id, &channel.channel_id),
            node(names, &channel.node_id),
            text(policy(channel.policy.as_ref())),
            text(policy(channel.counterparty_policy.as_ref())),
        ]
    });
    table(look, columns, rows.collect())
}

/// What one channel charges.
pub fn one_policy(response: &GetChannelResponse, look: Look) -> String {
    match &response.channel {
        Some(OpenOrClosed::Open(channel)) => Facts::new(look)
            .add("we charge", policy(channel.policy.as_ref()))
            .add("peer charges", policy(channel.counterparty_policy.as_ref()))
            .lines(),
        _ => "The channel is closed.\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::closed_channel::Kind;
    use fulmen_proto::v1::{Htlc, OutPoint};

    use super::*;

    fn sample() -> Channel {
        Channel {
            channel_id: vec![0xcc; 32],
            short_channel_id: 539 << 40 | 1 << 16,
            node_id: vec![2; 33],
            funding: Some(OutPoint { txid: vec![1; 32], vout: 0 }),
            capacity_sat: 1_000_000,
            local_msat: 750_000_500,
            remote_msat: 249_999_500,
            announced: true,
            state: State::Ready.into(),
            usable: true,
            peer_connected: true,
            policy: Some(ForwardPolicy {
                base_fee_msat: 1_000,
                proportional_millionths: 100,
                cltv_expiry_delta: 40,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_list_fits_eighty_columns_with_names_and_short_ids() {
        let private = Channel { announced: false, ..sample() };
        let channels = vec![sample(), private, Channel { short_channel_id: 0, ..sample() }];
        let look = Look { width: Some(80), colour: false };
        let shown = list(&channels, &Names::of(vec![2; 33], "alice"), look);
        assert!(shown.lines().all(|line| human::width(line) <= 80), "{shown}");
        for part in [
            "539x1x0",
            "alice 0202",
            "750,000",
            "ready, private",
            "3 channels: 2,250,001 sat local",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn each_state_has_its_words() {
        let with = |change: fn(&mut Channel)| {
            let mut channel = sample();
            change(&mut channel);
            state_in_words(&channel)
        };
        let table = [
            (with(|_| ()), "ready", Tone::Good),
            (with(|c| c.usable = false), "not usable", Tone::Waiting),
            (with(|c| (c.usable, c.peer_connected) = (false, false)), "offline", Tone::Bad),
            (with(|c| c.state = State::ShuttingDown.into()), "shutting down", Tone::Waiting),
            (
                with(|c| {
                    c.state = State::PendingConfirmation.into();
                    (c.confirmations, c.confirmations_required) = (1, 3);
                }),
                "confirming 1/3",
                Tone::Waiting,
            ),
        ];
        for ((words, tone), expected, expected_tone) in table {
            assert_eq!((words.as_str(), tone), (expected, expected_tone));
        }
    }

    #[test]
    fn one_channel_shows_exact_amounts_and_its_htlcs() {
        let htlc = Htlc { amount_msat: 1_500, payment_hash: vec![9; 32], ..Default::default() };
        let channel = Channel { htlcs: vec![htlc], ..sample() };
        let response = GetChannelResponse { channel: Some(OpenOrClosed::Open(channel)) };
        let shown = show(&response, Look::default());
        for part in ["750,000.500 sat", "1 sat + 100 ppm, 40 blocks", "1.500", &"09".repeat(32)] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn a_closed_channel_says_why() {
        let channel = ClosedChannel {
            kind: Kind::CounterpartyForceClosed.into(),
            reason: "the peer said: bye".to_owned(),
            ..Default::default()
        };
        let response = GetChannelResponse { channel: Some(OpenOrClosed::Closed(channel.clone())) };
        assert!(show(&response, Look::default()).contains("closed: counterparty force closed"));
        assert!(
            closed(&[channel], &Names::default(), Look::default()).contains("the peer said: bye")
        );
    }
}
