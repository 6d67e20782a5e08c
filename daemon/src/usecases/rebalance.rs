//! Moving money from one of our channels to another: an invoice of our own, paid by ourselves.

use fulmen_routing::Plan;

use crate::invoices::{self, Invoices};
use crate::payments::{self, PaymentFollower, PaymentRecord, PaymentState, Payments, Rebalance};
use crate::storage;

/// The invoice outlives the attempts by this: HTLCs under way may still arrive then.
const GRACE_SECS: u32 = 3_600;
/// The invoice's lifetime where the request has no timeout; longer than any configured one.
const DEFAULT_SECS: u32 = 24 * 3_600;

/// Why a rebalance is refused before anything is paid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payment is refused, or has no route.
    #[error(transparent)]
    Payments(#[from] payments::Error),
    /// The invoice cannot be made.
    #[error(transparent)]
    Invoices(#[from] invoices::Error),
}

/// One step of a rebalance.
#[derive(Debug)]
pub enum RebalanceUpdate {
    /// The route that it is to take; the first step, unless the payment was made before under its key.
    Planned(Plan),
    /// A state of the payment.
    Payment(Box<PaymentRecord>),
}

/// Follows a rebalance.
pub struct Rebalancing {
    plan: Option<Plan>,
    following: Option<PaymentFollower>,
    /// The invoice that was made for it, to be withdrawn when the payment fails.
    invoice: Option<([u8; 32], Invoices)>,
}

/// Plans a rebalance and pays nothing.
///
/// # Errors
/// What makes no sense in the request; no route.
pub fn preview(payments: &Payments, request: &Rebalance) -> Result<Rebalancing, Error> {
    let plan = payments.plan_rebalance(request)?;
    Ok(Rebalancing { plan: Some(plan), following: None, invoice: None })
}

/// Plans a rebalance, makes the invoice and pays it. A request that is repeated under its idempotency key follows the
/// first payment.
///
/// A crash between invoice and payment leaves an unpaid invoice, which expires.
///
/// # Errors
/// See [`Error`]; what happens after the payment is recorded is a state of the payment.
pub async fn start(
    payments: &Payments,
    invoices: &Invoices,
    request: Rebalance,
) -> Result<Rebalancing, Error> {
    if let Some(following) = payments.rebalanced_before(&request)? {
        return Ok(Rebalancing { plan: None, following: Some(following), invoice: None });
    }
    let mut rebalancing = preview(payments, &request)?;
    let expiry_secs = match request.limits.timeout_secs {
        0 => DEFAULT_SECS,
        secs => secs.saturating_add(GRACE_SECS),
    };
    let invoice = invoices.ask_ourselves(request.amount_msat, expiry_secs).await?;
    let bolt11 = invoice.bolt11.as_deref().unwrap_or_default();
    rebalancing.invoice = Some((invoice.payment_hash, invoices.clone()));
    match payments.rebalance(request, bolt11) {
        Ok(following) => rebalancing.following = Some(following),
        Err(error) => {
            rebalancing.withdraw().await;
            return Err(error.into());
        }
    }
    Ok(rebalancing)
}

impl Rebalancing {
    /// Returns the next step; none after the payment's final state. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Result<Option<RebalanceUpdate>, storage::Error> {
        if let Some(plan) = self.plan.take() {
            return Ok(Some(RebalanceUpdate::Planned(plan)));
        }
        let Some(following) = &mut self.following else { return Ok(None) };
        let record = following.next().await?;
        if record.as_ref().is_some_and(|record| record.state == PaymentState::Failed) {
            // A caller that stops following before this leaves the invoice to its expiry.
            self.withdraw().await;
        }
        Ok(record.map(|record| RebalanceUpdate::Payment(Box::new(record))))
    }

    /// Withdraws the invoice, which will not be paid; should this fail, it expires.
    async fn withdraw(&mut self) {
        let Some((payment_hash, invoices)) = self.invoice.take() else { return };
        if let Err(error) = invoices.cancel(&payment_hash).await {
            tracing::debug!(%error, "could not withdraw the invoice of a rebalance");
        }
    }
}
