//! `Payments.Rebalance`: an invoice of ours, paid by ourselves.

use fulmen_proto::v1;
use tonic::Status;

use super::invoices;
use super::payments::{limits, payment, refusal};
use super::{convert::fields as convert, view::route as routes};
use crate::api::status::{internal, malformed};
use crate::api::stream::Steps;
use crate::invoices::Invoices;
use crate::payments::{Following, Payments, Rebalance, State};

/// The invoice outlives the attempts by this: HTLCs under way then may still arrive.
const GRACE_SECS: u32 = 3_600;
/// What is asked for where the call does not say how long it may take; more than any configured time.
const DEFAULT_SECS: u32 = 24 * 3_600;

/// What is told of a rebalance: the way first, then the payment.
pub struct Told {
    route: Option<v1::Route>,
    following: Option<Following>,
    /// The invoice that was made for it, to be withdrawn when the payment fails.
    invoice: Option<([u8; 32], Invoices)>,
}

/// Plans, and unless this is a dry run makes the invoice and pays it.
pub(super) async fn rebalance(
    payments: &Payments,
    books: &Invoices,
    request: v1::RebalanceRequest,
) -> Result<Told, Status> {
    for (argument, scid) in [
        ("from_short_channel_id", request.from_short_channel_id),
        ("to_short_channel_id", request.to_short_channel_id),
    ] {
        if scid == 0 {
            return Err(malformed(argument, "is 0"));
        }
    }
    let asked = Rebalance {
        from: request.from_short_channel_id,
        to: request.to_short_channel_id,
        amount_msat: convert::optional_amount_msat("amount_msat", request.amount_msat)?
            .ok_or_else(|| malformed("amount_msat", "must be more than 0"))?,
        limits: limits(request.limits),
        idempotency_key: convert::idempotency_key(request.idempotency_key)?,
        label: convert::label(request.label)?,
    };
    let refused = |error| refusal("amount_msat", error);
    if !request.dry_run
        && let Some(following) = payments.rebalanced_before(&asked).map_err(refused)?
    {
        return Ok(Told { route: None, following: Some(following), invoice: None });
    }
    let plan = payments.plan_rebalance(&asked).map_err(refused)?;
    let mut told = Told { route: Some(routes::route(&plan)), following: None, invoice: None };
    if request.dry_run {
        return Ok(told);
    }
    let expiry_secs = match asked.limits.timeout_secs {
        0 => DEFAULT_SECS,
        secs => secs.saturating_add(GRACE_SECS),
    };
    let invoice = books.ask_ourselves(asked.amount_msat, expiry_secs).await;
    let invoice = invoice.map_err(|error| invoices::refusal("amount_msat", error))?;
    let bolt11 = invoice.bolt11.as_deref().unwrap_or_default();
    told.invoice = Some((invoice.payment_hash, books.clone()));
    match payments.rebalance(asked, bolt11) {
        Ok(following) => told.following = Some(following),
        Err(error) => {
            told.withdraw().await;
            return Err(refused(error));
        }
    }
    Ok(told)
}

impl Told {
    /// Nobody will pay the invoice any more; should this fail, it expires.
    async fn withdraw(&mut self) {
        let Some((payment_hash, books)) = self.invoice.take() else { return };
        if let Err(error) = books.cancel(&payment_hash).await {
            tracing::debug!(%error, "could not withdraw the invoice of a rebalance");
        }
    }
}

impl Steps for Told {
    type Item = v1::RebalanceUpdate;

    async fn next(&mut self) -> Result<Option<v1::RebalanceUpdate>, Status> {
        if let Some(route) = self.route.take() {
            return Ok(Some(v1::RebalanceUpdate { route: Some(route), payment: None }));
        }
        let Some(following) = &mut self.following else { return Ok(None) };
        let record = Following::next(following).await.map_err(|error| internal(&error))?;
        if record.as_ref().is_some_and(|record| record.state == State::Failed) {
            // Whoever stops listening here only leaves the invoice to its expiry.
            self.withdraw().await;
        }
        Ok(record.map(|record| v1::RebalanceUpdate { route: None, payment: Some(payment(record)) }))
    }
}
