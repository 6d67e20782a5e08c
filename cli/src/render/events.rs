//! The journal for people: one event, one line.
use fulmen_proto::v1::Event;
use fulmen_proto::v1::event::What;
use fulmen_proto::v1::payment::State;

use super::{invoices, payments};
use crate::format::human;
use crate::format::table::{Look, Tone, paint};

/// Events of a list, which has the newest first, as they happened.
pub fn list(events: &[Event], look: Look) -> String {
    match events {
        [] => "No events.\n".to_owned(),
        events => events.iter().rev().map(|event| line(event, look) + "\n").collect(),
    }
}

/// `#12  2026-11-22 13:02:11  paid 1,000 sat, fee 1 sat (payment ab…)`.
pub fn line(event: &Event, look: Look) -> String {
    let (words, tone) = match &event.what {
        Some(what) => sentence(what),
        None => (
            "something that this fulmen does not know: it is older than the daemon".into(),
            Tone::Waiting,
        ),
    };
    let number = paint(look, &format!("#{}", event.sequence), Tone::Faint);
    let time = paint(look, &human::time(event.happened_at), Tone::Faint);
    format!("{number}  {time}  {}", paint(look, &human::one_line(&words), tone))
}

fn sentence(what: &What) -> (String, Tone) {
    let id = |bytes: &[u8]| human::hex(bytes);
    match what {
        What::PaymentStarted(it) => {
            let amount = human::msat(it.amount_msat);
            (format!("paying {amount} (hash {})", id(&it.payment_hash)), Tone::Plain)
        }
        What::PaymentFinished(it) if it.state() == State::Succeeded => {
            let (amount, fee) = (human::msat(it.amount_msat), human::msat(it.fee_msat));
            (format!("paid {amount}, fee {fee} (hash {})", id(&it.payment_hash)), Tone::Good)
        }
        What::PaymentFinished(it) => {
            let (amount, hash) = (human::msat(it.amount_msat), id(&it.payment_hash));
            let why = payments::failure_in_words(&it.failure_reason);
            (format!("payment of {amount} failed: {why} (hash {hash})"), Tone::Bad)
        }
        What::InvoiceCreated(it) => {
            let amount = match it.amount_msat {
                0 => "any amount".to_owned(),
                msat => human::msat(msat),
            };
            (format!("invoice for {amount} (hash {})", id(&it.payment_hash)), Tone::Plain)
        }
        What::InvoiceSettled(it) => {
            let amount = human::msat(it.received_msat);
            (format!("received {amount} (hash {})", id(&it.payment_hash)), Tone::Good)
        }
        What::InvoiceAccepted(it) => {
            let (amount, hash) = (human::msat(it.received_msat), id(&it.payment_hash));
            let deadline = human::grouped(it.claim_deadline_height.into());
            (format!("holding {amount} until block {deadline} (hash {hash})"), Tone::Waiting)
        }
        What::InvoiceCancelled(it) => {
            let why = invoices::cancel_reason(&it.reason);
            (format!("invoice cancelled: {why} (hash {})", id(&it.payment_hash)), Tone::Waiting)
        }
        What::InvoiceExpired(it) => {
            let amount = match it.amount_msat {
                0 => "any amount".to_owned(),
                msat => human::msat(msat),
            };
            let hash = id(&it.payment_hash);
            (format!("invoice for {amount} expired unpaid (hash {hash})"), Tone::Plain)
        }
        What::HtlcRefused(it) => {
            let (amount, why) = (human::msat(it.amount_msat), human::word(&it.reason));
            let hash = id(&it.payment_hash);
            (format!("gave {amount} back: {why} (hash {hash})"), Tone::Waiting)
        }
        What::PeerConnected(it) => (format!("peer {} connected", id(&it.node_id)), Tone::Plain),
        What::PeerDisconnected(it) => {
            (format!("peer {} disconnected", id(&it.node_id)), Tone::Waiting)
        }
        What::ForwardSettled(it) => {
            let (amount, fee) = (human::msat(it.outbound_msat), human::msat(it.fee_msat));
            (format!("forwarded {amount}, earned {fee}"), Tone::Good)
        }
        What::ForwardFailed(it) => {
            let to = match it.outbound_short_channel_id {
                0 => String::new(),
                scid => format!(" to {}", human::scid(scid)),
            };
            (format!("forward{to} failed: {}", human::word(&it.reason)), Tone::Waiting)
        }
        What::ChannelOpening(it) => {
            let who = if it.outbound { "opening a channel to" } else { "channel being opened by" };
            let (node, capacity) = (id(&it.node_id), human::sat(it.capacity_sat));
            (format!("{who} {node}, {capacity} (channel {})", id(&it.channel_id)), Tone::Waiting)
        }
        What::ChannelReady(it) => {
            let (channel, node) = (id(&it.channel_id), id(&it.node_id));
            (format!("channel {channel} with {node} is ready"), Tone::Good)
        }
        What::ChannelClosed(it) => {
            let (channel, kind) = (id(&it.channel_id), human::word(it.kind().as_str_name()));
            (format!("channel {channel} is closed ({kind}): {}", it.reason), Tone::Waiting)
        }
        What::OutputSwept(it) => {
            let (amount, txid) = (human::sat(it.amount_sat), human::txid(&it.txid));
            (format!("swept {amount} of a closed channel (tx {txid})"), Tone::Good)
        }
        What::WalletSent(it) => {
            let (amount, fee) = (human::sat(it.amount_sat), human::sat(it.fee_sat));
            (
                format!("sent {amount} on chain, fee {fee} (tx {})", human::txid(&it.txid)),
                Tone::Plain,
            )
        }
        What::WalletReceived(it) => {
            let amount = human::sat(it.amount_sat);
            (format!("received {amount} on chain (tx {})", human::txid(&it.txid)), Tone::Good)
        }
        What::MirrorFailed(it) => {
            (format!("the mirror has failed, there is one copy now: {}", it.why), Tone::Bad)
        }
        What::MirrorCaughtUp(it) => {
            let rows = human::count(it.rows, "row", "rows");
            (format!("the mirror is in step again: it lacked {rows}"), Tone::Good)
        }
        What::MacaroonUsed(it) => {
            let subject = match &it.subject[..] {
                [] => String::new(),
                id => format!(", which made {}", human::hex(id)),
            };
            let who = human::hex(&it.macaroon_id);
            (format!("macaroon {who} called {}{subject}", it.method), Tone::Plain)
        }
    }
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::{ChannelClosed, PaymentFinished, WalletReceived};

    use super::*;

    #[test]
    fn one_event_is_one_line() {
        let paid = PaymentFinished {
            state: State::Succeeded.into(),
            amount_msat: 1_000_000,
            fee_msat: 1_500,
            ..Default::default()
        };
        let lost =
            PaymentFinished { failure_reason: "ROUTE_NOT_FOUND".into(), ..Default::default() };
        let closed = ChannelClosed { reason: "bye\nbye".into(), ..Default::default() };
        let received = WalletReceived { amount_sat: 5, txid: vec![0, 0xab] };
        let table = [
            (Some(What::PaymentFinished(paid)), "paid 1,000 sat, fee 1.500 sat"),
            (Some(What::PaymentFinished(lost)), "failed: no route was found"),
            (Some(What::ChannelClosed(closed)), "bye bye"),
            (Some(What::WalletReceived(received)), "received 5 sat on chain (tx ab00)"),
            (None, "older than the daemon"),
        ];
        for (what, part) in table {
            let shown = line(&Event { sequence: 12, happened_at: 1, what }, Look::default());
            assert!(shown.starts_with("#12  1970-01-01 00:00:01  "), "{shown}");
            assert!(shown.contains(part) && !shown.contains('\n'), "{part} in {shown}");
        }
    }
}
