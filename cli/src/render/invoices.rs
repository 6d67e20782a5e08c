//! Invoices for people.
use fulmen_proto::v1::invoice::{Kind, State};
use fulmen_proto::v1::{DecodeInvoiceResponse, Feature, Invoice, Received, RouteHint};

use crate::format::human;
use crate::format::table::{
    Cell, Column, Facts, Look, Tone, id, paint, table, text, time, toned, words,
};

/// A fresh invoice: its text first and alone on its line, to be copied.
pub fn fresh(invoice: &Invoice, now: u64, look: Look) -> String {
    let facts = Facts::new(look)
        .add("amount", amount(invoice.amount_msat))
        .add_if_any("for", human::one_line(&invoice.description))
        .add_if_any("for (hash)", human::hex(&invoice.description_hash))
        .add("expires", expiry(invoice.expires_at, now))
        .add("payment hash", human::hex(&invoice.payment_hash))
        .lines();
    format!("{}\n\n{facts}", invoice.bolt11)
}

/// All about one invoice.
pub fn show(invoice: &Invoice, now: u64, look: Look) -> String {
    let mut facts = Facts::new(look)
        .add_toned("state", state(invoice.state()), tone(invoice.state()))
        .add("kind", kind(invoice.kind()))
        .add("amount", amount(invoice.amount_msat));
    if invoice.received_msat > 0 {
        let parts = human::count(invoice.parts.into(), "part", "parts");
        facts = facts.add("received", format!("{} in {parts}", human::msat(invoice.received_msat)));
    }
    facts = facts
        .add_if_any("for", human::one_line(&invoice.description))
        .add_if_any("for (hash)", human::hex(&invoice.description_hash))
        .add("created (UTC)", human::time(invoice.created_at));
    if invoice.state() == State::Accepted {
        let deadline = human::grouped(invoice.claim_deadline_height.into());
        facts = facts
            .add("accepted (UTC)", human::time(invoice.accepted_at))
            .add("settle before", format!("block {deadline}"));
    }
    if invoice.state() == State::Cancelled && !invoice.cancel_reason.is_empty() {
        facts = facts.add("cancelled", cancel_reason(&invoice.cancel_reason));
    }
    if matches!(invoice.state(), State::Open) && invoice.expires_at > 0 {
        facts = facts.add("expires (UTC)", expiry(invoice.expires_at, now));
    }
    facts = facts
        .add_if_any("settled (UTC)", human::time(invoice.settled_at))
        .add("payment hash", human::hex(&invoice.payment_hash))
        .add_if_any("preimage", human::hex(&invoice.preimage));
    facts = facts
        .add_if_any("offer id", human::hex(&invoice.offer_id))
        .add_if_any("payer", human::hex(&invoice.payer_id))
        .add_if_any("payer's note", human::one_line(&invoice.payer_note))
        .add_if_any("metadata", human::hex(&invoice.payment_metadata));
    for channel_id in &invoice.received_channel_ids {
        facts = facts.add("came by", human::hex(channel_id));
    }
    for record in &invoice.custom_records {
        facts = facts.add("record", format!("{}={}", record.r#type, human::hex(&record.value)));
    }
    facts.add_if_any("invoice", invoice.bolt11.as_str()).lines()
}

fn expiry(expires_at: u64, now: u64) -> String {
    format!("{} ({})", human::time(expires_at), human::ago(now, expires_at))
}

fn amount(msat: u64) -> String {
    if msat == 0 { "any".to_owned() } else { human::msat(msat) }
}

/// Why an invoice is cancelled, in words.
pub fn cancel_reason(word: &str) -> String {
    match word {
        "BY_USER" => "by request".to_owned(),
        "DEADLINE" => "it was not settled before its deadline".to_owned(),
        "HTLCS_FAILED" => "its payment was failed back".to_owned(),
        other => other.to_ascii_lowercase().replace('_', " "),
    }
}

/// The state in a word.
pub fn state(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Open => "open",
        State::Accepted => "accepted",
        State::Claiming => "claiming",
        State::Settled => "settled",
        State::Cancelled => "cancelled",
        State::Expired => "expired",
    }
}

fn tone(state: State) -> Tone {
    match state {
        State::Settled => Tone::Good,
        State::Accepted | State::Claiming => Tone::Waiting,
        State::Open => Tone::Plain,
        State::Cancelled | State::Expired | State::Unspecified => Tone::Faint,
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unknown",
        Kind::Bolt11 => "invoice",
        Kind::Keysend => "keysend",
        Kind::Rebalance => "rebalance",
        Kind::Hold => "hold invoice",
        Kind::Bolt12 => "for an offer or a refund",
    }
}

/// What waiting for an invoice looks like.
pub fn waiting(invoice: &Invoice) -> &'static str {
    match invoice.state() {
        State::Accepted => "the money is held: settle or cancel the invoice",
        State::Claiming => "the money has arrived and is being claimed",
        _ => "waiting for the payment",
    }
}

/// Invoices and keysends.
pub fn list(invoices: &[Invoice], look: Look) -> String {
    if invoices.is_empty() {
        return "No invoices. Make one with `fulmen invoice 1000sat`.\n".to_owned();
    }
    let columns = [
        Column::Left("created (UTC)"),
        Column::Right("asked (sat)"),
        Column::Right("received"),
        Column::Left("state"),
        Column::Left("payment hash"),
        Column::Left("for"),
    ];
    let rows = invoices.iter().map(|invoice| {
        let asked = match (invoice.kind(), invoice.amount_msat) {
            (Kind::Keysend, _) => "keysend".to_owned(),
            (_, 0) => "any".to_owned(),
            (_, msat) => human::msat_bare(msat),
        };
        [
            time(invoice.created_at),
            text(asked),
            received_cell(invoice),
            toned(state(invoice.state()), tone(invoice.state())),
            id(&invoice.payment_hash),
            words(&invoice.description),
        ]
    });
    table(look, columns, rows.collect())
}

fn received_cell(invoice: &Invoice) -> Cell {
    match invoice.received_msat {
        0 => toned(human::NONE, Tone::Faint),
        msat => text(human::msat_bare(msat)),
    }
}

/// `#12  2026-11-22 13:02:11  1,000 sat  keysend  coffee (hash ab…)`.
pub fn received(received: &Received, look: Look) -> String {
    let (kind, words) = match &received.invoice {
        Some(invoice) if invoice.payer_note.is_empty() => {
            (kind(invoice.kind()), human::one_line(&invoice.description))
        }
        Some(invoice) => (kind(invoice.kind()), human::one_line(&invoice.payer_note)),
        None => ("forgotten", String::new()),
    };
    let words = if words.is_empty() { words } else { format!("  {words}") };
    let number = paint(look, &format!("#{}", received.index), Tone::Faint);
    let time = paint(look, &human::time(received.received_at), Tone::Faint);
    let amount = paint(look, &human::msat(received.received_msat), Tone::Good);
    let hash = human::hex(&received.payment_hash);
    format!("{number}  {time}  {amount}  {kind}{words} (hash {hash})")
}

/// Anybody's invoice, read.
pub fn decoded(invoice: &DecodeInvoiceResponse, now: u64, look: Look) -> String {
    let until = expiry(invoice.expires_at, now);
    let (expires, tone) = match invoice.expired {
        true => (format!("EXPIRED {until}"), Tone::Bad),
        false => (until, Tone::Plain),
    };
    let mut shown = Facts::new(look)
        .add("payee", human::hex(&invoice.payee))
        .add("amount", amount(invoice.amount_msat))
        .add_if_any("for", human::one_line(&invoice.description))
        .add_if_any("for (hash)", human::hex(&invoice.description_hash))
        .add("network", invoice.network.as_str())
        .add("created (UTC)", human::time(invoice.created_at))
        .add_toned("expires (UTC)", &expires, tone)
        .add("payment hash", human::hex(&invoice.payment_hash))
        .add_if_any("fallback", invoice.fallback_addresses.join(", "))
        .add_if_any("metadata", human::hex(&invoice.payment_metadata))
        .add("final delta", format!("{} blocks", invoice.min_final_cltv_expiry_delta))
        .add_if_any("features", features(&invoice.features))
        .lines();
    shown.push_str(&hints(&invoice.route_hints, look));
    shown
}

/// The hops of route hints, one a line; nothing where there are none.
fn hints(hints: &[RouteHint], look: Look) -> String {
    if hints.is_empty() {
        return String::new();
    }
    let columns = [
        Column::Right("hint"),
        Column::Left("through node"),
        Column::Left("channel"),
        Column::Left("charges"),
    ];
    let rows = (1_u64..).zip(hints).flat_map(|(number, hint)| {
        hint.hops.iter().map(move |hop| {
            [
                text(human::grouped(number)),
                id(&hop.node_id),
                text(human::scid(hop.short_channel_id)),
                text(super::channels::policy(hop.policy.as_ref())),
            ]
        })
    });
    format!("\n{}", table(look, columns, rows.collect()))
}

/// `payment_secret (required), basic_mpp, 100`.
fn features(features: &[Feature]) -> String {
    let words = features.iter().map(|feature| {
        let number = feature.bit.to_string();
        let name = if feature.name.is_empty() { &number } else { &feature.name };
        let required = if feature.required { " (required)" } else { "" };
        format!("{name}{required}")
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Invoice {
        Invoice {
            payment_hash: vec![0xaa; 32],
            state: State::Settled.into(),
            kind: Kind::Bolt11.into(),
            bolt11: "lnbcrt1abc".to_owned(),
            amount_msat: 1_000_000,
            received_msat: 1_000_500,
            parts: 2,
            description: "two\ncoffees".to_owned(),
            expires_at: 3_600,
            ..Default::default()
        }
    }

    #[test]
    fn a_fresh_invoice_begins_with_what_is_to_be_copied() {
        let shown = fresh(&sample(), 0, Look::default());
        assert!(shown.starts_with("lnbcrt1abc\n\n"), "{shown}");
        assert!(shown.contains("1,000 sat") && shown.contains("in 60 min"), "{shown}");
    }

    #[test]
    fn what_came_in_is_shown_exactly() {
        let shown = show(&sample(), 0, Look::default());
        for part in ["settled", "1,000.500 sat in 2 parts", "two coffees"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let keysend = Invoice { kind: Kind::Keysend.into(), amount_msat: 0, ..sample() };
        let shown = list(&[sample(), keysend], Look::default());
        assert!(shown.contains("keysend") && shown.contains("1,000.500"), "{shown}");
        assert!(list(&[], Look::default()).starts_with("No invoices"));
    }

    #[test]
    fn an_expired_invoice_stands_out() {
        let invoice = DecodeInvoiceResponse { expired: true, expires_at: 5, ..Default::default() };
        let shown = decoded(&invoice, 65, Look::default());
        assert!(shown.contains("EXPIRED 1970-01-01 00:00:05 (60 s ago)"), "{shown}");
        assert!(shown.contains("any"), "{shown}");
    }
}
