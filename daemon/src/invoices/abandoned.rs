//! Claims that a restart leaves in doubt: LDK has no HTLC for the record, or the store no record for the HTLC.

use super::record::{InvoiceKind, InvoiceRecord, Stored};

/// Whether an invoice that was being claimed when the daemon stopped can be paid again: LDK knows no HTLC for it any more.
///
/// The kill came before the checkpoint that holds the HTLC. The peer sends it again when it reconnects, and it is claimed
/// then; or it never does, as one that closed the channel by force. Keysends and hold invoices keep their records: they
/// would be refused when they are sent again.
pub fn is_abandoned(record: &InvoiceRecord, known_to_ldk: bool) -> bool {
    let is_open_again = matches!(record.kind, InvoiceKind::Bolt11 | InvoiceKind::Rebalance);
    record.stored == Stored::Claiming && is_open_again && !known_to_ldk
}

/// Whether LDK repeats a claim whose record has been pruned since.
///
/// LDK repeats a claim at each start while a monitor keeps the preimage, which an idle channel never drops.
/// A claim is recorded before it is made, and made before its HTLCs expire.
pub fn is_forgotten(
    record: Option<&InvoiceRecord>,
    htlc_expiry_heights: impl IntoIterator<Item = u32>,
    height: u32,
) -> bool {
    let mut expiries = htlc_expiry_heights.into_iter().peekable();
    record.is_none() && expiries.peek().is_some() && expiries.all(|expiry| expiry < height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::arrival::Arrival;
    use crate::invoices::claim::{ClaimRefusal, Decision, decide, went_back};
    use crate::invoices::keysend::Keysends;
    use crate::invoices::record::tests::whole;

    const NOW: u64 = 1_000;

    fn arrival(kind: InvoiceKind) -> Arrival {
        Arrival {
            payment_hash: [1; 32],
            kind,
            amount_msat: 500,
            preimage: Some([2; 32]),
            claim_id: Some([3; 32]),
            custom_records: Vec::new(),
            parts: 1,
            claim_deadline_height: None,
            request: None,
        }
    }

    fn claiming(kind: InvoiceKind) -> InvoiceRecord {
        InvoiceRecord {
            stored: Stored::Claiming,
            kind,
            settled_at: None,
            expires_at: NOW,
            claim_id: Some([3; 32]),
            ..whole()
        }
    }

    #[test]
    fn an_invoice_that_ldk_holds_nothing_for_can_be_paid_again() {
        for kind in [InvoiceKind::Bolt11, InvoiceKind::Rebalance] {
            assert!(is_abandoned(&claiming(kind), false));
            assert!(!is_abandoned(&claiming(kind), true));
        }
        for kind in [InvoiceKind::Keysend, InvoiceKind::Hold] {
            assert!(!is_abandoned(&claiming(kind), false), "{kind:?}");
        }
        for stored in [Stored::Open, Stored::Settled, Stored::Cancelled] {
            let record = InvoiceRecord { stored, ..claiming(InvoiceKind::Bolt11) };
            assert!(!is_abandoned(&record, false), "{stored:?}");
        }
        // When the peer sends it again all the same, it is claimed as any payment.
        let back = went_back(claiming(InvoiceKind::Bolt11)).expect("it was being claimed");
        let again = decide(Some(back), arrival(InvoiceKind::Bolt11), Keysends::Off, NOW);
        assert!(matches!(again, Decision::Claim(..)));
    }

    #[test]
    fn a_keysend_is_refused_when_it_is_too_small_or_one_too_many() {
        let of = |keysends| decide(None, arrival(InvoiceKind::Keysend), keysends, NOW);
        assert!(matches!(of(Keysends::AtLeast(500)), Decision::Claim(..)));
        assert_eq!(of(Keysends::AtLeast(501)), Decision::Refuse(ClaimRefusal::KeysendTooSmall));
        assert_eq!(of(Keysends::TooMany), Decision::Refuse(ClaimRefusal::TooManyKeysends));
        // One that is being claimed already is claimed again whatever the bucket says.
        let known = Some(claiming(InvoiceKind::Keysend));
        let again = decide(known, arrival(InvoiceKind::Keysend), Keysends::TooMany, NOW);
        assert!(matches!(again, Decision::ClaimAgain(_)));
    }

    #[test]
    fn an_invoice_whose_htlcs_went_back_can_be_paid_again() {
        let back = went_back(claiming(InvoiceKind::Bolt11)).expect("it was being claimed");
        assert_eq!((back.stored, back.received_msat), (Stored::Open, 0));
        let keysend = went_back(claiming(InvoiceKind::Keysend)).expect("it was being claimed");
        assert_eq!(keysend.stored, Stored::Cancelled);
        for stored in [Stored::Open, Stored::Settled] {
            let record = InvoiceRecord { stored, ..claiming(InvoiceKind::Bolt11) };
            assert_eq!(went_back(record), None);
        }
    }

    #[test]
    fn a_claim_without_record_is_an_old_one_when_its_htlcs_have_expired() {
        for (record, expiries, expected) in [
            (None, &[90, 99][..], true),
            (None, &[90, 100], false),
            (None, &[], false),
            (Some(claiming(InvoiceKind::Bolt11)), &[90], false),
        ] {
            let told = is_forgotten(record.as_ref(), expiries.iter().copied(), 100);
            assert_eq!(told, expected, "{record:?} {expiries:?}");
        }
    }
}
