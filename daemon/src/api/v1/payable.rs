//! Anything payable on the wire: read for `Decode`, and paid for `Pay`.

use fulmen_proto::v1;
use fulmen_proto::v1::decode_response::What;
use tonic::{Code, Status};

use super::convert::payment::{custom_records, limits};
use super::convert::{self, fields};
use super::{refusal, view};
use crate::api::status::{malformed, refuse};
use crate::payments::{
    Keysend, NotUnderstood, Pay, PayOffer, Payable, PaymentFollower, Payments, Understood,
};

/// Reads a text; names are resolved.
pub(super) async fn decode(payments: &Payments, text: &str) -> Result<v1::DecodeResponse, Status> {
    let understood = understand(payments, text).await?;
    let now = payments.now();
    let what = match understood.what {
        Payable::Invoice(invoice) => What::Invoice(view::decoded::decoded(&invoice, now)),
        Payable::Offer(offer) => What::Offer(view::decoded::offer(&offer, now)),
        Payable::Refund(refund) => What::Refund(view::decoded::refund(&refund, now)),
        Payable::Node(node_id) => What::NodeId(node_id.serialize().to_vec()),
        Payable::Address(address) => What::OnchainAddress(address),
    };
    Ok(v1::DecodeResponse {
        what: Some(what),
        address: understood.address.unwrap_or_default(),
        amount_msat: understood.amount_msat.unwrap_or(0),
        name: understood.name.unwrap_or_default(),
    })
}

/// Pays what a text asks for, over Lightning.
pub(super) async fn pay(
    payments: &Payments,
    request: v1::PayRequest,
) -> Result<PaymentFollower, Status> {
    let Understood { what, amount_msat, .. } = understand(payments, &request.to).await?;
    let given_msat = fields::optional_amount_msat("amount_msat", request.amount_msat)?;
    let limits = limits(request.limits);
    let constraints = convert::route::constraints(request.constraints)?;
    let idempotency_key = fields::idempotency_key(request.idempotency_key)?;
    let label = fields::label(request.label)?;
    let is_for_offers = !request.payer_note.is_empty() || request.quantity != 0;
    if is_for_offers && !matches!(what, Payable::Offer(_)) {
        return Err(malformed("payer_note", "it and a quantity are for offers only"));
    }
    if !matches!(what, Payable::Node(_)) && !request.custom_records.is_empty() {
        return Err(malformed("custom_records", "are for payments to a node id only"));
    }
    let following = match what {
        Payable::Invoice(invoice) => {
            let pay = Pay {
                // A URI's amount completes an invoice that leaves it open.
                amount_msat: given_msat
                    .or(amount_msat.filter(|_| invoice.amount_milli_satoshis().is_none())),
                bolt11: invoice.to_string(),
                limits,
                constraints,
                idempotency_key,
                label,
            };
            payments.pay(pay).await
        }
        Payable::Offer(offer) => {
            let pay = PayOffer {
                amount_msat: given_msat.or(amount_msat.filter(|_| offer.amount().is_none())),
                offer: offer.to_string(),
                quantity: Some(request.quantity).filter(|quantity| *quantity > 0),
                payer_note: request.payer_note,
                limits,
                constraints,
                idempotency_key,
                label,
            };
            payments.pay_offer(pay).await
        }
        Payable::Node(node_id) => {
            let keysend = Keysend {
                node_id,
                amount_msat: given_msat
                    .ok_or_else(|| malformed("amount_msat", "a node id leaves it to you"))?,
                limits,
                constraints,
                custom_records: custom_records(request.custom_records)?,
                idempotency_key,
                label,
            };
            payments.keysend(keysend).await
        }
        Payable::Refund(_) => {
            let words = "to: this is a refund, which gives you money: redeem it";
            return Err(refuse(Code::FailedPrecondition, "IS_A_REFUND", words));
        }
        Payable::Address(_) => {
            let words = "to: this can be paid on chain only";
            return Err(refuse(Code::FailedPrecondition, "ONCHAIN_ONLY", words));
        }
    };
    following.map_err(|error| refusal::payments("to", error))
}

async fn understand(payments: &Payments, text: &str) -> Result<Understood, Status> {
    payments.understand(text).await.map_err(|error| {
        let named = format!("to: {error}");
        match error {
            NotUnderstood::OtherNetwork(_) => refuse(Code::InvalidArgument, "OTHER_NETWORK", named),
            NotUnderstood::Name(_) => refuse(Code::FailedPrecondition, "NAME_NOT_RESOLVED", named),
            NotUnderstood::NotCarried(_) => refuse(Code::InvalidArgument, "NOT_CARRIED", named),
            NotUnderstood::Expired => refuse(Code::FailedPrecondition, "INVOICE_EXPIRED", named),
            NotUnderstood::RequiredParameter => {
                refuse(Code::InvalidArgument, "UNKNOWN_REQUIRED_PARAMETER", named)
            }
            NotUnderstood::Nothing | NotUnderstood::Broken { .. } | NotUnderstood::Senseless(_) => {
                malformed("to", error)
            }
        }
    })
}
