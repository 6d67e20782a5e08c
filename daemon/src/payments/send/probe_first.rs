//! Probing the way of a large payment before it is sent.

use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::Payee as LdkPayee;

use super::SendRequest;
use crate::payments::Payments;
use crate::payments::check::{AskedLimits, PaymentLimits};
use crate::payments::probe::ProbeUpdate;
use crate::payments::records::record::{PaymentRecord, hex};
use crate::payments::route::{Inquiry, Payee};

/// The share of a payment's time that its probes may take.
const SHARE_OF_TIME: u64 = 2;

impl Payments {
    /// Probes the way of a payment that is large enough. The payment goes on whatever the probes find: what got stuck has
    /// taught the planner where not to go, and no money was locked at the payee.
    pub(in crate::payments) async fn probe_first(
        &self,
        record: &PaymentRecord,
        order: &SendRequest,
        limits: PaymentLimits,
    ) {
        let above_msat = self.0.config.probe_above_sat.saturating_mul(1_000);
        let is_given = self.0.node.router.is_given(&PaymentId(record.payment_id));
        if above_msat == 0 || record.amount_msat <= above_msat || is_given {
            return;
        }
        let payee = match order {
            SendRequest::Bolt11 { invoice, .. } => Payee::Invoice(invoice.to_string()),
            SendRequest::Keysend { route, .. } => match &route.payment_params.payee {
                LdkPayee::Clear { node_id, .. } => Payee::Node(*node_id),
                LdkPayee::Blinded { .. } => return,
            },
            SendRequest::Offer { .. } => return,
        };
        let secs = limits.timeout.as_secs() / SHARE_OF_TIME;
        let inquiry = Inquiry {
            payee,
            amount_msat: Some(record.amount_msat),
            payer: None,
            limits: AskedLimits {
                max_fee_msat: Some(limits.max_fee_msat),
                timeout_secs: u32::try_from(secs).unwrap_or(u32::MAX).max(1),
                max_parts: limits.max_parts.into(),
                max_total_cltv_delta: limits.max_total_cltv_delta,
            },
            constraints: record.constraints.clone().unwrap_or_default(),
        };
        let payment_id = hex(&record.payment_id);
        let mut probe = match self.probe(inquiry, 0) {
            Ok(probe) => probe,
            Err(error) => {
                tracing::debug!(%payment_id, %error, "a large payment cannot be probed first");
                return;
            }
        };
        let mut outcome = None;
        while let Some(update) = probe.next().await {
            outcome = Some(update);
        }
        let would_arrive = outcome == Some(ProbeUpdate::WouldArrive);
        tracing::debug!(%payment_id, would_arrive, "a large payment was probed first");
    }
}
