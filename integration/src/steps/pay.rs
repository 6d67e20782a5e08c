//! Invoices, payments and keysends, followed to their final state.
use anyhow::{Context as _, Result, ensure};
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::payment_part::State as PartState;
use fulmen_proto::v1::{
    CreateInvoiceRequest, ForwardPolicy, GetInvoiceRequest, GetPaymentRequest, Invoice,
    KeysendRequest, PayRequest, Payment, create_invoice_request, get_invoice_request,
    get_payment_request,
};
use tonic::Streaming;

use crate::daemon::Node;
use crate::poll::{self, Look};

/// An invoice of `node` over an amount.
pub async fn invoice(node: &Node, amount_msat: u64) -> Result<Invoice> {
    let answer = node.invoices().create(invoice_request(amount_msat)).await;
    answer
        .with_context(|| format!("{} makes an invoice", node.name()))?
        .into_inner()
        .invoice
        .context("no invoice in the answer")
}

/// The request that makes an invoice with a description and default limits.
pub fn invoice_request(amount_msat: u64) -> CreateInvoiceRequest {
    CreateInvoiceRequest {
        amount_msat,
        describe: Some(create_invoice_request::Describe::Description("a scenario".to_owned())),
        ..CreateInvoiceRequest::default()
    }
}

/// The request that pays an invoice with default limits.
pub fn request(bolt11: &str) -> PayRequest {
    PayRequest { bolt11: bolt11.to_owned(), ..PayRequest::default() }
}

/// Pays and follows to the final state, whichever it is.
pub async fn pay(node: &Node, request: PayRequest) -> Result<Payment> {
    let stream = node.payments().pay(request).await;
    finish(stream.with_context(|| format!("{} pays", node.name()))?.into_inner()).await
}

/// Pays; it must succeed.
pub async fn succeeds(node: &Node, request: PayRequest) -> Result<Payment> {
    let payment = pay(node, request).await?;
    ensure!(
        payment.state() == State::Succeeded,
        "{}'s payment failed: {} {} {:?}",
        node.name(),
        payment.failure_reason,
        payment.no_route_words,
        payment.parts
    );
    Ok(payment)
}

/// Pays; it must fail.
pub async fn fails(node: &Node, request: PayRequest) -> Result<Payment> {
    let payment = pay(node, request).await?;
    ensure!(payment.state() == State::Failed, "a payment succeeded that must not: {payment:?}");
    ensure!(!payment.failure_reason.is_empty(), "a failed payment says no reason: {payment:?}");
    Ok(payment)
}

/// Makes an invoice at `payee` and pays it from `payer`; it must succeed, on both sides.
pub async fn transfer(payer: &Node, payee: &Node, amount_msat: u64) -> Result<Payment> {
    let invoice = invoice(payee, amount_msat).await?;
    let payment = succeeds(payer, request(&invoice.bolt11)).await?;
    ensure!(payment.amount_msat == amount_msat, "{} arrived of {amount_msat}", payment.amount_msat);
    settled(payee, &invoice.payment_hash, amount_msat).await?;
    with_parts(payer, &invoice.payment_hash).await
}

/// Waits until an invoice is settled with exactly this amount.
pub async fn settled(payee: &Node, payment_hash: &[u8], amount_msat: u64) -> Result<Invoice> {
    let invoice = poll::eventually(&format!("{}'s invoice is settled", payee.name()), async || {
        let by = get_invoice_request::By::PaymentHash(payment_hash.to_vec());
        let answer = payee.invoices().get(GetInvoiceRequest { by: Some(by) }).await?;
        let invoice = answer.into_inner().invoice.context("no invoice in the answer")?;
        Ok(if invoice.state() == fulmen_proto::v1::invoice::State::Settled {
            Look::Done(invoice)
        } else {
            Look::NotYet(invoice.state().as_str_name().to_owned())
        })
    })
    .await?;
    ensure!(invoice.received_msat == amount_msat, "{} received", invoice.received_msat);
    Ok(invoice)
}

/// The request that sends without an invoice.
pub fn keysend_request(payee: &Node, amount_msat: u64) -> KeysendRequest {
    KeysendRequest { node_id: payee.id(), amount_msat, ..KeysendRequest::default() }
}

/// Sends without an invoice; it must succeed.
pub async fn keysend(payer: &Node, payee: &Node, amount_msat: u64) -> Result<Payment> {
    let stream = payer.payments().keysend(keysend_request(payee, amount_msat)).await;
    let stream = stream.with_context(|| format!("{} sends", payer.name()))?;
    let payment = finish(stream.into_inner()).await?;
    ensure!(
        payment.state() == State::Succeeded,
        "a keysend failed: {} {:?}",
        payment.failure_reason,
        payment.parts
    );
    Ok(payment)
}

/// The payment as the daemon has it recorded.
pub async fn recorded(node: &Node, payment_hash: &[u8]) -> Result<Payment> {
    let by = get_payment_request::By::PaymentHash(payment_hash.to_vec());
    let answer = node.payments().get(GetPaymentRequest { by: Some(by) }).await?;
    answer.into_inner().payment.context("no payment in the answer")
}

/// Waits until the record of a succeeded payment has all its parts: LDK reports the money first and
/// of its ways afterwards.
pub async fn with_parts(node: &Node, payment_hash: &[u8]) -> Result<Payment> {
    poll::eventually(&format!("{}'s payment has its parts", node.name()), async || {
        let payment = recorded(node, payment_hash).await?;
        let settled_msat: u64 = payment
            .parts
            .iter()
            .filter(|part| part.state() == PartState::Succeeded)
            .map(|part| part.amount_msat)
            .sum();
        Ok(if settled_msat == payment.amount_msat {
            Look::Done(payment)
        } else {
            Look::NotYet(format!("parts of {settled_msat} msat"))
        })
    })
    .await
}

/// Waits until a recorded payment has a final state.
pub async fn finished(node: &Node, payment_hash: &[u8]) -> Result<Payment> {
    poll::eventually(&format!("{}'s payment has ended", node.name()), async || {
        let payment = recorded(node, payment_hash).await?;
        Ok(if is_final(&payment) {
            Look::Done(payment)
        } else {
            Look::NotYet(payment.state().as_str_name().to_owned())
        })
    })
    .await
}

/// Follows a stream to its final state.
pub async fn finish(mut stream: Streaming<Payment>) -> Result<Payment> {
    poll::bounded("the payment ends", async {
        let mut last = None;
        while let Some(payment) = stream.message().await? {
            last = Some(payment);
        }
        let last = last.context("the stream said nothing")?;
        ensure!(is_final(&last), "the stream ended in {}", last.state().as_str_name());
        Ok(last)
    })
    .await
}

/// Whether nothing will change any more.
pub fn is_final(payment: &Payment) -> bool {
    matches!(payment.state(), State::Succeeded | State::Failed)
}

/// What each forwarding node must get, from the first to the last, so that `amount_msat` arrives
/// (BOLT 7: base + amount to forward × rate ÷ 1,000,000, rounded down, on top of one another).
pub fn exact_fees_msat(amount_msat: u64, policies: &[ForwardPolicy]) -> Vec<u64> {
    let mut forwarded_msat = amount_msat;
    let mut fees: Vec<u64> = policies
        .iter()
        .rev()
        .map(|policy| {
            let proportional =
                forwarded_msat * u64::from(policy.proportional_millionths) / 1_000_000;
            let fee_msat = u64::from(policy.base_fee_msat) + proportional;
            forwarded_msat += fee_msat;
            fee_msat
        })
        .collect();
    fees.reverse();
    fees
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_stack_from_the_last_hop_to_the_first() {
        let policy = |base_fee_msat, proportional_millionths| ForwardPolicy {
            base_fee_msat,
            proportional_millionths,
            cltv_expiry_delta: 72,
        };
        assert_eq!(exact_fees_msat(1_000_000, &[]), Vec::<u64>::new());
        assert_eq!(exact_fees_msat(1_000_000, &[policy(1_000, 100)]), [1_100]);
        // The first forwards 1,000,000 + 10,000 and takes 1 % of that.
        assert_eq!(
            exact_fees_msat(1_000_000, &[policy(0, 10_000), policy(0, 10_000)]),
            [10_100, 10_000]
        );
    }
}
