//! Which payments may be removed: those that ended, and that neither a payer nor LDK can bring up again.

use std::str::FromStr as _;
use std::time::Duration;

use lightning_invoice::Bolt11Invoice;

use super::known_to_ldk::KnownToLdk;
use super::record::{PaymentKind, PaymentRecord, PaymentState};
use crate::payments::Payments;
use crate::storage::{PruneDecision, RetentionClass};

impl Payments {
    /// Payments that have ended, kept for so many days; 0 forever.
    pub fn history(&self, keep_days: u32) -> RetentionClass {
        let payments = self.clone();
        RetentionClass::new("payments", keep_days, move |before, from| {
            let known_to_ldk = KnownToLdk::of(&payments.0.node);
            let now = payments.0.clock.since_epoch();
            payments.0.book.forget(before, from, now, &known_to_ldk)
        })
    }
}

/// Decides about a payment; `before_ms` is in milliseconds since 1970.
///
/// The record of an invoice is what keeps it from being paid twice, so it stays for as long as the invoice can be paid.
pub fn decide(
    record: &PaymentRecord,
    before_ms: u64,
    now: Duration,
    known_to_ldk: &KnownToLdk,
) -> PruneDecision {
    if record.created_at_ms >= before_ms {
        return PruneDecision::Stop;
    }
    let is_over = match record.state {
        PaymentState::Pending => false,
        PaymentState::Failed => true,
        // What was paid is known by its hash alone: perhaps an invoice that can still be paid.
        PaymentState::Succeeded => record.kind != PaymentKind::Unknown,
    };
    let is_old = record.finished_at_ms.is_some_and(|finished_at_ms| finished_at_ms < before_ms);
    match is_over && is_old && !known_to_ldk.contains(record) && !can_be_paid(record, now) {
        true => PruneDecision::Remove,
        false => PruneDecision::Keep,
    }
}

fn can_be_paid(record: &PaymentRecord, now: Duration) -> bool {
    let invoice = record.bolt11.as_deref().map(Bolt11Invoice::from_str);
    invoice.is_some_and(|read| read.is_ok_and(|invoice| !invoice.would_expire(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::records::record::tests::whole;

    /// Of BOLT 11's examples: made at 1496314658, expires after 60 seconds.
    const EXPIRES: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    const EXPIRED_AT: u64 = 1_496_314_658 + 61;

    #[test]
    fn only_what_is_over_and_cannot_be_paid_again_goes() {
        let over = PaymentRecord {
            kind: PaymentKind::Bolt11,
            created_at_ms: 1_000,
            finished_at_ms: Some(2_000),
            bolt11: Some(EXPIRES.to_owned()),
            ..whole()
        };
        let now = Duration::from_secs(EXPIRED_AT);
        let failed = PaymentRecord { state: PaymentState::Failed, ..over.clone() };
        let pending =
            PaymentRecord { state: PaymentState::Pending, finished_at_ms: None, ..over.clone() };
        let keysend = PaymentRecord { kind: PaymentKind::Keysend, bolt11: None, ..over.clone() };
        let unknown = PaymentRecord { kind: PaymentKind::Unknown, bolt11: None, ..over.clone() };
        let unknown_failed = PaymentRecord { state: PaymentState::Failed, ..unknown.clone() };
        for (name, record, before_ms, now, expected) in [
            ("old", &over, 3_000, now, PruneDecision::Remove),
            ("failed", &failed, 3_000, now, PruneDecision::Remove),
            ("without invoice", &keysend, 3_000, now, PruneDecision::Remove),
            ("ended lately", &over, 2_000, now, PruneDecision::Keep),
            ("made lately", &over, 1_000, now, PruneDecision::Stop),
            ("not ended", &pending, 3_000, now, PruneDecision::Keep),
            ("its invoice lives", &over, 3_000, now - Duration::from_secs(61), PruneDecision::Keep),
            (
                "it may be tried again",
                &failed,
                3_000,
                now - Duration::from_secs(61),
                PruneDecision::Keep,
            ),
            ("its invoice is not known", &unknown, 3_000, now, PruneDecision::Keep),
            ("nothing was paid", &unknown_failed, 3_000, now, PruneDecision::Remove),
        ] {
            assert_eq!(decide(record, before_ms, now, &KnownToLdk::default()), expected, "{name}");
        }
        let by_id = KnownToLdk { ids: [over.payment_id].into(), ..KnownToLdk::default() };
        let by_hash = KnownToLdk { hashes: [over.payment_hash].into(), ..KnownToLdk::default() };
        for known in [by_id, by_hash] {
            assert_eq!(decide(&over, 3_000, now, &known), PruneDecision::Keep, "{known:?}");
        }
    }
}
