//! Offers and refunds for people.
use fulmen_proto::v1::{GiveRefundResponse, Invoice, Offer};

use crate::format::human;
use crate::format::table::{Cell, Column, Facts, Look, Tone, id, table, text, time, toned, words};

/// A fresh offer: its text first and alone on its line, to be copied.
pub fn fresh(offer: &Offer, now: u64, look: Look) -> String {
    format!("{}\n\n{}", offer.offer, facts(offer, now, look).lines())
}

/// All about one offer.
pub fn show(offer: &Offer, now: u64, look: Look) -> String {
    facts(offer, now, look).add("offer", offer.offer.as_str()).lines()
}

fn facts(offer: &Offer, now: u64, look: Look) -> Facts {
    let (state, tone) = state(offer);
    let facts = Facts::new(look)
        .add_toned("state", state, tone)
        .add("amount", amount(offer.amount_msat))
        .add_if_any("for", human::one_line(&offer.description))
        .add_if_any("issuer", human::one_line(&offer.issuer))
        .add_if_any("items", quantity(offer.max_quantity))
        .add("created (UTC)", human::time(offer.created_at));
    let facts = match offer.expires_at {
        0 => facts,
        at => facts.add("expires (UTC)", format!("{} ({})", human::time(at), human::ago(now, at))),
    };
    facts.add("offer id", human::hex(&offer.offer_id))
}

fn state(offer: &Offer) -> (&'static str, Tone) {
    match (offer.disabled, offer.expired) {
        (true, _) => ("disabled", Tone::Faint),
        (false, true) => ("expired", Tone::Faint),
        (false, false) => ("open", Tone::Good),
    }
}

/// An amount of which 0 means any.
pub fn amount(msat: u64) -> String {
    if msat == 0 { "any".to_owned() } else { human::msat(msat) }
}

/// How many items one payment may be for; empty where it is one.
pub fn quantity(most: u64) -> String {
    match most {
        0 => "any number".to_owned(),
        1 => String::new(),
        most => format!("at most {}", human::grouped(most)),
    }
}

/// Offers, the newest first.
pub fn list(offers: &[Offer], look: Look) -> String {
    if offers.is_empty() {
        return "No offers. Make one with `fulmen offer any`.\n".to_owned();
    }
    let columns = [
        Column::Left("created (UTC)"),
        Column::Right("amount (sat)"),
        Column::Left("state"),
        Column::Left("offer id"),
        Column::Left("for"),
    ];
    let rows = offers.iter().map(|offer| {
        let (state, tone) = state(offer);
        let asked = match offer.amount_msat {
            0 => "any".to_owned(),
            msat => human::msat_bare(msat),
        };
        [
            time(offer.created_at),
            text(asked),
            toned(state, tone),
            id(&offer.offer_id),
            words(&offer.description),
        ]
    });
    table(look, columns, rows.collect())
}

/// What came in for an offer, the newest first.
pub fn received(invoices: &[Invoice], look: Look) -> String {
    if invoices.is_empty() {
        return "Nothing has come in for this offer yet.\n".to_owned();
    }
    let columns = [
        Column::Left("settled (UTC)"),
        Column::Right("received (sat)"),
        Column::Right("items"),
        Column::Left("payer"),
        Column::Left("payer's note"),
    ];
    let rows = invoices.iter().map(|invoice| {
        [
            time(invoice.settled_at),
            text(human::msat_bare(invoice.received_msat)),
            text(invoice.quantity.max(1).to_string()),
            id(&invoice.payer_id),
            note(&invoice.payer_note),
        ]
    });
    table(look, columns, rows.collect())
}

fn note(note: &str) -> Cell {
    match note {
        "" => toned(human::NONE, Tone::Faint),
        note => words(note),
    }
}

/// A refund: its text first and alone on its line, to be handed over.
pub fn refund(given: &GiveRefundResponse, look: Look) -> String {
    let payment = given.payment.clone().unwrap_or_default();
    let facts = Facts::new(look)
        .add("gives", human::msat(payment.amount_msat))
        .add_if_any("for", human::one_line(&payment.description))
        .add("payment id", human::hex(&payment.payment_id))
        .lines();
    format!("{}\n\n{facts}", given.refund)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_begins_with_what_is_to_be_copied() {
        let offer = Offer {
            offer: "lno1abc".to_owned(),
            amount_msat: 5_000,
            description: "two\ncoffees".to_owned(),
            max_quantity: 3,
            offer_id: vec![0xab; 32],
            ..Default::default()
        };
        let shown = fresh(&offer, 0, Look::default());
        assert!(shown.starts_with("lno1abc\n\n"), "{shown}");
        for part in ["5 sat", "two coffees", "at most 3", "open", &"ab".repeat(32)] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let disabled = Offer { disabled: true, amount_msat: 0, ..offer };
        let shown = list(&[disabled], Look::default());
        assert!(shown.contains("disabled") && shown.contains("any"), "{shown}");
        assert!(list(&[], Look::default()).starts_with("No offers"));
    }

    #[test]
    fn what_came_in_names_the_payer_and_the_note() {
        let invoice = Invoice {
            received_msat: 7_000,
            quantity: 2,
            payer_id: vec![2; 33],
            payer_note: "for\nbob".to_owned(),
            ..Default::default()
        };
        let shown = received(&[invoice], Look::default());
        for part in ["7", "2", "for bob"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(received(&[], Look::default()).starts_with("Nothing has come in"));
    }
}
