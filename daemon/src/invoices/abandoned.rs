//! Invoices that were being claimed when the daemon stopped, and that LDK holds nothing for.

use super::record::{InvoiceRecord, Kind, Stored};

/// Whether an invoice that was being claimed when the daemon stopped can be paid again: LDK knows no HTLC for it any more.
///
/// The kill came before the checkpoint that holds the HTLC. The peer sends it again when it reconnects, and it is claimed
/// then; or it never does, as one that closed the channel by force. Keysends and hold invoices keep their records: they
/// would be refused when they are sent again.
pub fn is_abandoned(record: &InvoiceRecord, known_to_ldk: bool) -> bool {
    let is_open_again = matches!(record.kind, Kind::Bolt11 | Kind::Rebalance);
    record.stored == Stored::Claiming && is_open_again && !known_to_ldk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::arrival::Arrival;
    use crate::invoices::claim::{Decision, Refusal, decide, went_back};
    use crate::invoices::keysend::Keysends;
    use crate::invoices::record::tests::whole;

    const NOW: u64 = 1_000;

    fn arrival(kind: Kind) -> Arrival {
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

    fn claiming(kind: Kind) -> InvoiceRecord {
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
        for kind in [Kind::Bolt11, Kind::Rebalance] {
            assert!(is_abandoned(&claiming(kind), false));
            assert!(!is_abandoned(&claiming(kind), true));
        }
        for kind in [Kind::Keysend, Kind::Hold] {
            assert!(!is_abandoned(&claiming(kind), false), "{kind:?}");
        }
        for stored in [Stored::Open, Stored::Settled, Stored::Cancelled] {
            let record = InvoiceRecord { stored, ..claiming(Kind::Bolt11) };
            assert!(!is_abandoned(&record, false), "{stored:?}");
        }
        // When the peer sends it again all the same, it is claimed as any payment.
        let back = went_back(claiming(Kind::Bolt11)).expect("it was being claimed");
        let again = decide(Some(back), arrival(Kind::Bolt11), Keysends::Off, NOW);
        assert!(matches!(again, Decision::Claim(..)));
    }

    #[test]
    fn a_keysend_is_refused_when_it_is_too_small_or_one_too_many() {
        let of = |keysends| decide(None, arrival(Kind::Keysend), keysends, NOW);
        assert!(matches!(of(Keysends::AtLeast(500)), Decision::Claim(..)));
        assert_eq!(of(Keysends::AtLeast(501)), Decision::Refuse(Refusal::KeysendTooSmall));
        assert_eq!(of(Keysends::TooMany), Decision::Refuse(Refusal::TooManyKeysends));
        // One that is being claimed already is claimed again whatever the bucket says.
        let known = Some(claiming(Kind::Keysend));
        let again = decide(known, arrival(Kind::Keysend), Keysends::TooMany, NOW);
        assert!(matches!(again, Decision::ClaimAgain(_)));
    }

    #[test]
    fn an_invoice_whose_htlcs_went_back_can_be_paid_again() {
        let back = went_back(claiming(Kind::Bolt11)).expect("it was being claimed");
        assert_eq!((back.stored, back.received_msat), (Stored::Open, 0));
        let keysend = went_back(claiming(Kind::Keysend)).expect("it was being claimed");
        assert_eq!(keysend.stored, Stored::Cancelled);
        for stored in [Stored::Open, Stored::Settled] {
            let record = InvoiceRecord { stored, ..claiming(Kind::Bolt11) };
            assert_eq!(went_back(record), None);
        }
    }
}
