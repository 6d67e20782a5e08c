//! Payments for people: what is under way, and what came of it.
use fulmen_proto::v1::payment::{Kind, State};
use fulmen_proto::v1::payment_part::State as PartState;
use fulmen_proto::v1::{Payment, PaymentPart};

use crate::format::human;
use crate::format::names::Names;
use crate::format::table::{
    Cell, Column, Facts, Look, Tone, id, node, table, text, time, toned, words,
};

/// A payment that goes on.
pub fn under_way(payment: &Payment) -> String {
    let amount = human::msat(payment.amount_msat);
    let failed = payment.parts.iter().filter(|part| part.state() == PartState::Failed).count();
    match failed {
        0 => format!("paying {amount}"),
        failed => {
            let attempts = human::count(failed as u64, "attempt", "attempts");
            format!("paying {amount}, {attempts} failed so far")
        }
    }
}

/// A payment that has arrived.
pub fn done(payment: &Payment, look: Look) -> String {
    let parts = payment.parts.iter().filter(|part| part.state() == PartState::Succeeded).count();
    let parts = match parts {
        0 | 1 => String::new(),
        parts => format!(" in {parts} parts"),
    };
    Facts::new(look)
        .add_toned("paid", &format!("{}{parts}", human::msat(payment.amount_msat)), Tone::Good)
        .add("fee", human::msat(payment.fee_msat))
        .add("took", human::duration(payment.duration_ms))
        .add("preimage", human::hex(&payment.preimage))
        .add("payment id", human::hex(&payment.payment_id))
        .lines()
}

/// Money that has gone around to another of our channels.
pub fn moved(payment: &Payment, look: Look) -> String {
    Facts::new(look)
        .add_toned("moved", &human::msat(payment.amount_msat), Tone::Good)
        .add("fee", human::msat(payment.fee_msat))
        .add("took", human::duration(payment.duration_ms))
        .add("payment id", human::hex(&payment.payment_id))
        .lines()
}

fn state(payment: &Payment) -> Cell {
    match (payment.state(), payment.cancelling) {
        (State::Succeeded, _) => toned("paid", Tone::Good),
        (State::Failed, _) => toned("failed", Tone::Bad),
        (State::Pending, true) => toned("cancelling", Tone::Waiting),
        (State::Pending, false) => toned("pending", Tone::Waiting),
        (State::Unspecified, _) => text("unknown"),
    }
}

fn state_in_words(payment: &Payment) -> (String, Tone) {
    match (payment.state(), payment.cancelling) {
        (State::Succeeded, _) => ("paid".to_owned(), Tone::Good),
        (State::Failed, _) => (format!("failed: {}", why_failed(payment)), Tone::Bad),
        (State::Pending, true) => {
            ("cancelled, parts may still be under way".to_owned(), Tone::Waiting)
        }
        (State::Pending, false) => ("pending".to_owned(), Tone::Waiting),
        (State::Unspecified, _) => ("unknown".to_owned(), Tone::Plain),
    }
}

/// Why a payment failed, as a part of a sentence.
pub fn why_failed(payment: &Payment) -> String {
    let words = failure_in_words(&payment.failure_reason);
    match payment.no_route_words.as_str() {
        "" => words,
        why => format!("{words}: {}", human::one_line(why)),
    }
}

/// The daemon's stable word as a part of a sentence.
pub fn failure_in_words(reason: &str) -> String {
    match reason {
        "" => "no reason is known".to_owned(),
        "ROUTE_NOT_FOUND" => "no route was found".to_owned(),
        "RETRIES_EXHAUSTED" => "all attempts failed".to_owned(),
        "RECIPIENT_REJECTED" => "the recipient refused it".to_owned(),
        "PAYMENT_EXPIRED" => "the invoice or the time for it expired".to_owned(),
        "CANCELLED" => "it was cancelled".to_owned(),
        "NOT_SENT_BEFORE_RESTART" => "the daemon stopped before it was sent".to_owned(),
        "TOO_MANY_IN_FLIGHT" => "too many payments are in flight".to_owned(),
        "ONION_TOO_LARGE" => "the route or its records are too long for an onion".to_owned(),
        "UNKNOWN_REQUIRED_FEATURES" => "it needs features that we do not know".to_owned(),
        "NO_INVOICE_IN_TIME" => "no invoice came in time".to_owned(),
        "INVOICE_REFUSED" => "the payee refused to send an invoice".to_owned(),
        "NO_REPLY_PATH" => "no connected peer could lead the answer back".to_owned(),
        "INVOICE_UNACCEPTABLE" => "the invoice was not the one that was asked for".to_owned(),
        other => human::one_line(&human::word(other)),
    }
}

/// Payments, the newest first.
pub fn list(payments: &[Payment], names: &Names, look: Look) -> String {
    if payments.is_empty() {
        return "No payments.\n".to_owned();
    }
    let columns = [
        Column::Left("started (UTC)"),
        Column::Right("amount (sat)"),
        Column::Right("fee"),
        Column::Left("state"),
        Column::Left("to"),
        Column::Left("payment hash"),
        Column::Left("for"),
    ];
    let rows = payments.iter().map(|payment| {
        let fee = match payment.state() {
            State::Succeeded => human::msat_bare(payment.fee_msat),
            _ => human::NONE.to_owned(),
        };
        [
            time(payment.created_at),
            text(human::msat_bare(payment.amount_msat)),
            text(fee),
            state(payment),
            node(names, &payment.payee),
            id(&payment.payment_hash),
            words(purpose(payment)),
        ]
    });
    table(look, columns, rows.collect())
}

/// Our own note says more than the payee's words.
fn purpose(payment: &Payment) -> &str {
    match (payment.label.as_str(), payment.kind()) {
        ("", Kind::Keysend) => "keysend",
        ("", Kind::Rebalance) => "rebalance",
        ("", Kind::Refund) if payment.description.is_empty() => "refund",
        ("", _) => &payment.description,
        (label, _) => label,
    }
}

/// The nodes that a payment names: its payee and those on the way.
pub fn nodes(payment: &Payment) -> Vec<Vec<u8>> {
    let hops = payment.parts.iter().flat_map(|part| &part.hops);
    let payee = std::iter::once(payment.payee.clone());
    payee.chain(hops.map(|hop| hop.node_id.clone())).collect()
}

/// All about one payment.
pub fn show(payment: &Payment, names: &Names, look: Look) -> String {
    let (words, tone) = state_in_words(payment);
    let kind = match payment.kind() {
        Kind::Unspecified => "unknown",
        Kind::Bolt11 => "invoice",
        Kind::Keysend => "keysend",
        Kind::Rebalance => "rebalance",
        Kind::Bolt12 => "offer",
        Kind::Refund => "refund",
    };
    let mut facts = Facts::new(look)
        .add_toned("state", &words, tone)
        .add("kind", kind)
        .add("amount", human::msat(payment.amount_msat));
    if payment.state() == State::Succeeded {
        facts = facts.add("fee", human::msat(payment.fee_msat));
    }
    facts = facts
        .add_if_any("to", human::hex(&payment.payee))
        .add_if_any("for", human::one_line(&payment.description))
        .add_if_any("label", human::one_line(&payment.label))
        .add("started (UTC)", human::time(payment.created_at))
        .add_if_any("ended (UTC)", human::time(payment.finished_at));
    if payment.finished_at > 0 {
        facts = facts.add("took", human::duration(payment.duration_ms));
    }
    let mut shown = facts
        .add("payment id", human::hex(&payment.payment_id))
        .add("payment hash", human::hex(&payment.payment_hash))
        .add_if_any("preimage", human::hex(&payment.preimage))
        .add_if_any("invoice", payment.bolt11.as_str())
        .add_if_any("note to payee", human::one_line(&payment.payer_note))
        .add_if_any("offer", payment.offer.as_str())
        .lines();
    for (number, part) in (1..).zip(&payment.parts) {
        shown.push('\n');
        shown.push_str(&part_with_hops(number, part, names, look));
    }
    shown
}

/// What proves that a payment arrived: who signed what, and the preimage that only a payment reveals.
pub fn proof(payment: &Payment, look: Look) -> String {
    Facts::new(look)
        .add("paid", human::msat(payment.amount_msat))
        .add("ended (UTC)", human::time(payment.finished_at))
        .add_if_any("to", human::hex(&payment.payee))
        .add_if_any("for", human::one_line(&payment.description))
        .add("payment hash", human::hex(&payment.payment_hash))
        .add("preimage", human::hex(&payment.preimage))
        .add_if_any("payer's key", human::hex(&payment.payer_id))
        .add_if_any("offer", payment.offer.as_str())
        .add_if_any("invoice", payment.bolt11.as_str())
        .add_if_any("invoice (BOLT 12)", human::hex(&payment.bolt12_invoice))
        .add(
            "check",
            "the preimage's SHA-256 is the payment hash, which the payee signed in the invoice",
        )
        .lines()
}

fn part_with_hops(number: usize, part: &PaymentPart, names: &Names, look: Look) -> String {
    let amount = human::msat(part.amount_msat);
    let outcome = match part.state() {
        PartState::Succeeded => format!("{amount} arrived, fee {}", human::msat(part.fee_msat)),
        PartState::Failed => {
            let at = match part.failed_short_channel_id {
                0 => String::new(),
                scid => format!(" at {}", human::scid(scid)),
            };
            let why = human::one_line(&part.failure.replace('_', " "));
            format!("{amount} failed{at}: {}", human::or_none(&why))
        }
        PartState::Unspecified => format!("{amount} under way"),
    };
    let title = format!("Part {number}: {outcome}\n");
    if part.hops.is_empty() {
        return title;
    }
    let columns = [
        Column::Right("hop"),
        Column::Left("channel"),
        Column::Left("to node"),
        Column::Right("fee (sat)"),
        Column::Right("blocks"),
    ];
    let rows = (1..).zip(&part.hops).map(|(number, hop): (u32, _)| {
        let failed = part.failed_short_channel_id == hop.short_channel_id
            && part.state() == PartState::Failed
            && hop.short_channel_id != 0;
        let tone = if failed { Tone::Bad } else { Tone::Plain };
        [
            text(number.to_string()),
            toned(human::scid(hop.short_channel_id), tone),
            node(names, &hop.node_id),
            text(human::msat_bare(hop.fee_msat)),
            text(hop.cltv_expiry_delta.to_string()),
        ]
    });
    title + &table(look, columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::Hop;

    use super::*;

    fn sample() -> Payment {
        let hop = |scid, fee_msat| Hop {
            node_id: vec![2; 33],
            short_channel_id: scid,
            fee_msat,
            cltv_expiry_delta: 40,
        };
        let hops = vec![hop(539 << 40 | 1 << 16, 1_010), hop(540 << 40 | 2 << 16 | 1, 0)];
        let failed = PaymentPart {
            state: PartState::Failed.into(),
            amount_msat: 100_000,
            hops: hops.clone(),
            failed_short_channel_id: 540 << 40 | 2 << 16 | 1,
            failure: "temporary_channel_failure".to_owned(),
            ..Default::default()
        };
        let arrived = PaymentPart {
            state: PartState::Succeeded.into(),
            amount_msat: 100_000,
            fee_msat: 1_010,
            hops,
            ..Default::default()
        };
        Payment {
            payment_id: vec![1; 32],
            payment_hash: vec![0xaa; 32],
            state: State::Succeeded.into(),
            kind: Kind::Bolt11.into(),
            payee: vec![3; 33],
            amount_msat: 100_000,
            fee_msat: 1_010,
            preimage: vec![5; 32],
            created_at: 1_700_000_000,
            finished_at: 1_700_000_000,
            duration_ms: 42,
            description: "coffee".to_owned(),
            parts: vec![failed, arrived],
            ..Default::default()
        }
    }

    #[test]
    fn a_paid_payment_in_short_and_in_full() {
        let shown = done(&sample(), Look::default());
        for part in ["100 sat", "1.010 sat", "42 ms", &"05".repeat(32)] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let shown = proof(&sample(), Look::default());
        for part in [&"aa".repeat(32), &"05".repeat(32), "SHA-256"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let shown = show(&sample(), &Names::default(), Look::default());
        for part in [
            "Part 1: 100 sat failed at 540x2x1: temporary channel failure",
            "Part 2: 100 sat arrived, fee 1.010 sat",
            "539x1x0",
            "2023-11-14 22:13:20",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn the_list_fits_eighty_columns() {
        let look = Look { width: Some(80), colour: false };
        let labelled = Payment { label: "my own note".to_owned(), ..sample() };
        let pending = Payment { state: State::Pending.into(), cancelling: true, ..sample() };
        let names = Names::of(vec![3; 33], "carol");
        let shown = list(&[sample(), labelled, pending], &names, look);
        assert!(shown.lines().all(|line| human::width(line) <= 80), "{shown}");
        for part in ["paid", "cancelling", "carol 0303", "my own", "coffee"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn failures_are_told_in_words() {
        let table = [
            ("ROUTE_NOT_FOUND", "no route was found"),
            ("SOMETHING_NEW", "something new"),
            ("", "no reason is known"),
        ];
        for (reason, words) in table {
            assert_eq!(failure_in_words(reason), words);
        }
        let failed = Payment {
            state: State::Failed.into(),
            failure_reason: "RECIPIENT_REJECTED".to_owned(),
            ..sample()
        };
        assert!(
            show(&failed, &Names::default(), Look::default())
                .contains("failed: the recipient refused it")
        );
        let stuck = Payment {
            failure_reason: "ROUTE_NOT_FOUND".to_owned(),
            no_route_words: "the limit is 1 sat".to_owned(),
            ..failed.clone()
        };
        let shown = show(&stuck, &Names::default(), Look::default());
        assert!(shown.contains("failed: no route was found: the limit is 1 sat"), "{shown}");
        assert!(under_way(&failed).contains("1 attempt failed so far"));
    }
}
