//! What a text asks to be paid, for people.
use fulmen_proto::v1::decode_response::What;
use fulmen_proto::v1::{DecodeResponse, DecodedOffer, DecodedRefund};

use super::{invoices, offers};
use crate::format::human;
use crate::format::table::{Facts, Look, Tone};

/// All that a text says.
pub fn read(read: &DecodeResponse, now: u64, look: Look) -> String {
    let mut shown = match &read.what {
        Some(What::Invoice(invoice)) => invoices::decoded(invoice, now, look),
        Some(What::Offer(it)) => offer(it, now, look),
        Some(What::Refund(it)) => refund(it, now, look),
        Some(What::NodeId(node_id)) => Facts::new(look)
            .add("kind", "node, paid without an invoice")
            .add("node", human::hex(node_id))
            .lines(),
        Some(What::OnchainAddress(address)) => Facts::new(look)
            .add("kind", "address on chain")
            .add("address", address.as_str())
            .lines(),
        None => Facts::new(look).add("kind", "unknown to this fulmen").lines(),
    };
    let is_address = matches!(read.what, Some(What::OnchainAddress(_)));
    let beside = if is_address { "" } else { read.address.as_str() };
    let uri_amount = match read.amount_msat {
        0 => String::new(),
        msat => human::msat(msat),
    };
    shown.push_str(
        &Facts::new(look)
            .add_if_any("name", read.name.as_str())
            .add_if_any("URI's amount", uri_amount)
            .add_if_any("or on chain to", beside)
            .lines(),
    );
    shown
}

/// What will be paid, before it is.
pub fn proposal(
    read: &DecodeResponse,
    amount_msat: u64,
    max_fee_msat: Option<u64>,
    now: u64,
    look: Look,
) -> String {
    let max_fee = match max_fee_msat {
        Some(msat) => human::msat(msat),
        None => "as configured".to_owned(),
    };
    let facts = Facts::new(look)
        .add("amount", human::msat(amount_msat))
        .add("fee, at most", max_fee)
        .add_if_any("name", read.name.as_str());
    let (payee, description, expires_at, expired) = match &read.what {
        Some(What::Invoice(it)) => {
            (human::hex(&it.payee), it.description.as_str(), it.expires_at, it.expired)
        }
        Some(What::Offer(it)) => {
            let issuer = match it.issuer.as_str() {
                "" => human::hex(&it.issuer_id),
                issuer => human::one_line(issuer),
            };
            (issuer, it.description.as_str(), it.expires_at, it.expired)
        }
        Some(What::NodeId(node_id)) => (human::hex(node_id), "", 0, false),
        Some(What::Refund(_) | What::OnchainAddress(_)) | None => (String::new(), "", 0, false),
    };
    let facts = facts.add_if_any("to", payee).add_if_any("for", human::one_line(description));
    match (expires_at, expired) {
        (0, _) => facts,
        (at, true) => facts.add_toned("expired", &human::ago(now, at), Tone::Bad),
        (at, false) => facts.add("expires", human::ago(now, at)),
    }
    .lines()
}

fn offer(offer: &DecodedOffer, now: u64, look: Look) -> String {
    let amount = match offer.currency.as_str() {
        "" => offers::amount(offer.amount_msat),
        currency => format!("{} {currency} (smallest units)", offer.currency_amount),
    };
    let facts = Facts::new(look)
        .add("kind", "offer (BOLT 12)")
        .add("amount", amount)
        .add_if_any("for", human::one_line(&offer.description))
        .add_if_any("issuer", human::one_line(&offer.issuer))
        .add_if_any("issuer's key", human::hex(&offer.issuer_id))
        .add_if_any("items", offers::quantity(offer.max_quantity));
    expiry(facts, offer.expires_at, offer.expired, now)
        .add("blinded paths", human::grouped(offer.paths.into()))
        .add("offer id", human::hex(&offer.offer_id))
        .lines()
}

fn refund(refund: &DecodedRefund, now: u64, look: Look) -> String {
    let facts = Facts::new(look)
        .add("kind", "refund (BOLT 12)")
        .add("gives", human::msat(refund.amount_msat))
        .add_if_any("for", human::one_line(&refund.description))
        .add_if_any("issuer", human::one_line(&refund.issuer))
        .add_if_any("note", human::one_line(&refund.payer_note));
    expiry(facts, refund.expires_at, refund.expired, now)
        .add("blinded paths", human::grouped(refund.paths.into()))
        .lines()
}

fn expiry(facts: Facts, expires_at: u64, expired: bool, now: u64) -> Facts {
    let until = format!("{} ({})", human::time(expires_at), human::ago(now, expires_at));
    match (expires_at, expired) {
        (0, _) => facts,
        (_, true) => facts.add_toned("expires (UTC)", &format!("EXPIRED {until}"), Tone::Bad),
        (_, false) => facts.add("expires (UTC)", until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_understood_is_said() {
        let offer = DecodedOffer {
            amount_msat: 5_000,
            description: "tea".to_owned(),
            max_quantity: 0,
            ..Default::default()
        };
        let understood = DecodeResponse {
            what: Some(What::Offer(offer)),
            address: "bcrt1q".to_owned(),
            amount_msat: 7_000,
            name: "alice@example.com".to_owned(),
        };
        let shown = read(&understood, 0, Look::default());
        for part in ["BOLT 12", "5 sat", "tea", "any number", "bcrt1q", "7 sat", "alice@"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let shown = proposal(&understood, 5_000, None, 0, Look::default());
        for part in ["5 sat", "as configured", "alice@", "tea"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let node = DecodeResponse { what: Some(What::NodeId(vec![2; 33])), ..Default::default() };
        assert!(read(&node, 0, Look::default()).contains("without an invoice"));
    }
}
