//! Whether money that has arrived is taken: the pure decision.

use super::arrival::Arrival;
use super::keysend::Keysends;
use super::record::{CancelReason, CustomRecord, InvoiceKind, InvoiceRecord, InvoiceState, Stored};

/// How long LDK's invoices for offers can be paid.
const BOLT12_EXPIRY_SECS: u64 = 7_200;

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Keep the record, then claim with the preimage.
    Claim(Box<InvoiceRecord>, [u8; 32]),
    /// Claim with the preimage: the record says so already.
    ClaimAgain([u8; 32]),
    /// Keep the record and hold the HTLCs; the invoice is accepted once a checkpoint that has them is durable.
    Hold(Box<InvoiceRecord>),
    /// Give it back.
    Refuse(ClaimRefusal),
}

/// Why money is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// No invoice of ours asks for it.
    Unknown,
    /// The invoice was paid before, or another payment for it is being claimed.
    AlreadyPaid,
    /// The invoice was cancelled.
    Cancelled,
    /// The invoice has expired.
    Expired,
    /// Less than the invoice asks for.
    TooLittle,
    /// More than twice what the invoice asks for (BOLT 4).
    TooMuch,
    /// Payments without invoice are switched off.
    KeysendOff,
    /// A payment without invoice that is smaller than the operator takes.
    KeysendTooSmall,
    /// Too many payments without invoice came within a minute.
    TooManyKeysends,
    /// A custom record of an even type, which must be understood, comes with an invoice's payment.
    CustomRecord,
    /// Neither LDK nor the record knows the preimage.
    NoPreimage,
}

impl ClaimRefusal {
    /// Whether the custom records, rather than the payment itself, are at fault.
    pub fn is_about_payload(self) -> bool {
        self == ClaimRefusal::CustomRecord
    }
}

/// Decides about money that has arrived.
///
/// The same set of HTLCs is always decided the same way once its claim was recorded, so that a replayed event
/// completes a claim that a kill interrupted. A record is `Claiming` before LDK gives the preimage away.
pub fn decide(
    record: Option<InvoiceRecord>,
    arrival: Arrival,
    keysends: Keysends,
    now: u64,
) -> Decision {
    let Some(record) = record else {
        return match (arrival.kind, arrival.preimage) {
            (InvoiceKind::Keysend, Some(preimage)) => match keysends {
                Keysends::Off => Decision::Refuse(ClaimRefusal::KeysendOff),
                Keysends::TooMany => Decision::Refuse(ClaimRefusal::TooManyKeysends),
                Keysends::AtLeast(msat) if arrival.amount_msat < msat => {
                    Decision::Refuse(ClaimRefusal::KeysendTooSmall)
                }
                Keysends::AtLeast(_) => {
                    Decision::Claim(Box::new(without_record(arrival, preimage, now)), preimage)
                }
            },
            // LDK has checked that it pays an invoice that it made for an offer of ours.
            (InvoiceKind::Bolt12, Some(_)) if has_even(&arrival.custom_records) => {
                Decision::Refuse(ClaimRefusal::CustomRecord)
            }
            (InvoiceKind::Bolt12, Some(preimage)) => {
                Decision::Claim(Box::new(without_record(arrival, preimage, now)), preimage)
            }
            (InvoiceKind::Keysend | InvoiceKind::Bolt12, None) => {
                Decision::Refuse(ClaimRefusal::NoPreimage)
            }
            (InvoiceKind::Bolt11 | InvoiceKind::Rebalance | InvoiceKind::Hold, _) => {
                Decision::Refuse(ClaimRefusal::Unknown)
            }
        };
    };
    let preimage = arrival.preimage.or(record.preimage);
    let same_set = record.claim_id.is_some() && record.claim_id == arrival.claim_id;
    let asked_msat = record.amount_msat.unwrap_or(0);
    if preimage.is_none() && record.kind != InvoiceKind::Hold {
        return Decision::Refuse(ClaimRefusal::NoPreimage);
    }
    match record.state(now) {
        InvoiceState::Accepted if same_set => Decision::Hold(Box::new(record)),
        // LDK holds one set for a hash at a time: the one that was accepted is gone.
        InvoiceState::Accepted => Decision::Hold(Box::new(held(record, arrival))),
        InvoiceState::Claiming | InvoiceState::Settled if same_set => match preimage {
            Some(preimage) => Decision::ClaimAgain(preimage),
            None => Decision::Refuse(ClaimRefusal::NoPreimage),
        },
        InvoiceState::Claiming | InvoiceState::Settled => {
            Decision::Refuse(ClaimRefusal::AlreadyPaid)
        }
        InvoiceState::Cancelled => Decision::Refuse(ClaimRefusal::Cancelled),
        InvoiceState::Expired => Decision::Refuse(ClaimRefusal::Expired),
        InvoiceState::Open if arrival.kind != record.kind.on_the_wire() => {
            Decision::Refuse(ClaimRefusal::Unknown)
        }
        InvoiceState::Open if arrival.amount_msat < asked_msat => {
            Decision::Refuse(ClaimRefusal::TooLittle)
        }
        InvoiceState::Open
            if asked_msat > 0 && arrival.amount_msat > asked_msat.saturating_mul(2) =>
        {
            Decision::Refuse(ClaimRefusal::TooMuch)
        }
        InvoiceState::Open if has_even(&arrival.custom_records) => {
            Decision::Refuse(ClaimRefusal::CustomRecord)
        }
        InvoiceState::Open => match (record.kind, preimage) {
            (InvoiceKind::Hold, _) | (_, None) => Decision::Hold(Box::new(held(record, arrival))),
            (_, Some(preimage)) => {
                let claiming = InvoiceRecord {
                    stored: Stored::Claiming,
                    received_msat: arrival.amount_msat,
                    preimage: Some(preimage),
                    custom_records: arrival.custom_records,
                    claim_id: arrival.claim_id,
                    ..record
                };
                Decision::Claim(Box::new(claiming), preimage)
            }
        },
    }
}

fn held(record: InvoiceRecord, arrival: Arrival) -> InvoiceRecord {
    InvoiceRecord {
        stored: Stored::Arrived,
        received_msat: arrival.amount_msat,
        custom_records: arrival.custom_records,
        parts: arrival.parts,
        claim_id: arrival.claim_id,
        claim_deadline_height: arrival.claim_deadline_height,
        ..record
    }
}

/// The record of a keysend, or of a payment for an offer: nothing is recorded before its money has come.
///
/// A keysend is handed to the application with all its records, so even types are taken too.
fn without_record(arrival: Arrival, preimage: [u8; 32], now: u64) -> InvoiceRecord {
    InvoiceRecord {
        payment_hash: arrival.payment_hash,
        stored: Stored::Claiming,
        kind: arrival.kind,
        bolt11: None,
        amount_msat: None,
        received_msat: arrival.amount_msat,
        description: None,
        description_hash: None,
        created_at: now,
        expires_at: match arrival.kind {
            // Its HTLCs may go back and come again while the invoice can be paid.
            InvoiceKind::Bolt12 => now.saturating_add(BOLT12_EXPIRY_SECS),
            InvoiceKind::Keysend
            | InvoiceKind::Bolt11
            | InvoiceKind::Rebalance
            | InvoiceKind::Hold => now,
        },
        settled_at: None,
        preimage: Some(preimage),
        custom_records: arrival.custom_records,
        parts: 0,
        claim_id: arrival.claim_id,
        idempotency_key: None,
        claim_deadline_height: None,
        accepted_at: None,
        cancel_reason: None,
        request: arrival.request,
    }
}

fn has_even(records: &[CustomRecord]) -> bool {
    records.iter().any(|record| record.kind % 2 == 0)
}

/// The record after a claim that went through; none if the event is a repetition.
pub fn settled(record: Option<InvoiceRecord>, arrival: Arrival, now: u64) -> Option<InvoiceRecord> {
    let parts = arrival.parts;
    let preimage = arrival.preimage.or(record.as_ref().and_then(|record| record.preimage));
    match record {
        None => Some(InvoiceRecord {
            stored: Stored::Settled,
            settled_at: Some(now),
            preimage,
            parts,
            ..without_record(arrival, preimage.unwrap_or_default(), now)
        }),
        Some(record) if record.stored == Stored::Settled && record.claim_id == arrival.claim_id => {
            None
        }
        // A second set of HTLCs was claimed for the same hash: it is ours as well.
        Some(record) if record.stored == Stored::Settled => Some(InvoiceRecord {
            received_msat: record.received_msat.saturating_add(arrival.amount_msat),
            parts: record.parts.saturating_add(parts),
            claim_id: arrival.claim_id,
            ..record
        }),
        Some(record) => Some(InvoiceRecord {
            stored: Stored::Settled,
            received_msat: arrival.amount_msat,
            settled_at: Some(now),
            preimage,
            parts,
            claim_id: arrival.claim_id,
            ..record
        }),
    }
}

/// What it makes of the record that HTLCs for its hash went back although we meant to claim them, because
/// their time had run out. None if nothing was being claimed.
pub fn went_back(record: InvoiceRecord) -> Option<InvoiceRecord> {
    let (stored, cancel_reason) = match (record.stored, record.kind) {
        (Stored::Claiming, InvoiceKind::Bolt11 | InvoiceKind::Bolt12 | InvoiceKind::Rebalance) => {
            (Stored::Open, None)
        }
        (Stored::Claiming, InvoiceKind::Keysend | InvoiceKind::Hold)
        | (Stored::Arrived | Stored::Accepted, _) => {
            (Stored::Cancelled, Some(CancelReason::HtlcsFailed))
        }
        (Stored::Open | Stored::Settled | Stored::Cancelled, _) => return None,
    };
    Some(InvoiceRecord { stored, cancel_reason, received_msat: 0, claim_id: None, ..record })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn arrival() -> Arrival {
        Arrival {
            payment_hash: [1; 32],
            kind: InvoiceKind::Bolt11,
            amount_msat: 500,
            preimage: Some([2; 32]),
            claim_id: Some([3; 32]),
            custom_records: Vec::new(),
            parts: 2,
            claim_deadline_height: Some(99),
            request: None,
        }
    }

    fn open() -> InvoiceRecord {
        InvoiceRecord {
            stored: Stored::Open,
            kind: InvoiceKind::Bolt11,
            amount_msat: Some(500),
            received_msat: 0,
            preimage: None,
            expires_at: NOW,
            claim_id: None,
            ..without_record(arrival(), [0; 32], NOW - 10)
        }
    }

    fn custom(kind: u64) -> Vec<CustomRecord> {
        vec![CustomRecord { kind, value: vec![1] }]
    }

    #[test]
    fn only_what_is_asked_for_is_taken() {
        let claiming = |claim_id| InvoiceRecord { stored: Stored::Claiming, claim_id, ..open() };
        let settled = |claim_id| InvoiceRecord { stored: Stored::Settled, claim_id, ..open() };
        let any_amount = InvoiceRecord { amount_msat: None, ..open() };
        let keysend = Arrival { kind: InvoiceKind::Keysend, ..arrival() };
        let (same, other) = (Some([3; 32]), Some([4; 32]));
        for (name, record, arrival, keysend_on, expected) in [
            ("as asked", Some(open()), arrival(), true, Ok(true)),
            (
                "by ourselves",
                Some(InvoiceRecord { kind: InvoiceKind::Rebalance, ..open() }),
                arrival(),
                true,
                Ok(true),
            ),
            ("twice", Some(open()), Arrival { amount_msat: 1_000, ..arrival() }, true, Ok(true)),
            (
                "more than twice",
                Some(open()),
                Arrival { amount_msat: 1_001, ..arrival() },
                true,
                Err(ClaimRefusal::TooMuch),
            ),
            (
                "less",
                Some(open()),
                Arrival { amount_msat: 499, ..arrival() },
                true,
                Err(ClaimRefusal::TooLittle),
            ),
            (
                "any amount",
                Some(any_amount),
                Arrival { amount_msat: 9_999, ..arrival() },
                true,
                Ok(true),
            ),
            (
                "expired",
                Some(InvoiceRecord { expires_at: NOW - 1, ..open() }),
                arrival(),
                true,
                Err(ClaimRefusal::Expired),
            ),
            (
                "cancelled",
                Some(InvoiceRecord { stored: Stored::Cancelled, ..open() }),
                arrival(),
                true,
                Err(ClaimRefusal::Cancelled),
            ),
            ("replayed while claiming", Some(claiming(same)), arrival(), true, Ok(false)),
            ("replayed after", Some(settled(same)), arrival(), true, Ok(false)),
            (
                "paid twice at once",
                Some(claiming(other)),
                arrival(),
                true,
                Err(ClaimRefusal::AlreadyPaid),
            ),
            ("paid twice", Some(settled(other)), arrival(), true, Err(ClaimRefusal::AlreadyPaid)),
            ("unknown", None, arrival(), true, Err(ClaimRefusal::Unknown)),
            ("keysend", None, keysend.clone(), true, Ok(true)),
            ("keysend off", None, keysend.clone(), false, Err(ClaimRefusal::KeysendOff)),
            (
                "for an offer",
                None,
                Arrival { kind: InvoiceKind::Bolt12, ..arrival() },
                false,
                Ok(true),
            ),
            (
                "for an offer with an even record",
                None,
                Arrival { kind: InvoiceKind::Bolt12, custom_records: custom(65_536), ..arrival() },
                true,
                Err(ClaimRefusal::CustomRecord),
            ),
            (
                "keysend to an invoice",
                Some(open()),
                keysend.clone(),
                true,
                Err(ClaimRefusal::Unknown),
            ),
            (
                "odd record",
                Some(open()),
                Arrival { custom_records: custom(65_537), ..arrival() },
                true,
                Ok(true),
            ),
            (
                "even record",
                Some(open()),
                Arrival { custom_records: custom(65_536), ..arrival() },
                true,
                Err(ClaimRefusal::CustomRecord),
            ),
            (
                "even record by keysend",
                None,
                Arrival { custom_records: custom(65_536), ..keysend },
                true,
                Ok(true),
            ),
            (
                "no preimage",
                Some(open()),
                Arrival { preimage: None, ..arrival() },
                true,
                Err(ClaimRefusal::NoPreimage),
            ),
            (
                "own preimage",
                Some(InvoiceRecord { preimage: Some([7; 32]), ..open() }),
                Arrival { preimage: None, ..arrival() },
                true,
                Ok(true),
            ),
        ] {
            let keysends = if keysend_on { Keysends::AtLeast(500) } else { Keysends::Off };
            let decided = match decide(record, arrival, keysends, NOW) {
                Decision::Claim(record, preimage) => {
                    assert_eq!(
                        (record.stored, record.preimage),
                        (Stored::Claiming, Some(preimage))
                    );
                    Ok(true)
                }
                Decision::ClaimAgain(_) => Ok(false),
                Decision::Hold(record) => panic!("{name}: held: {record:?}"),
                Decision::Refuse(refusal) => Err(refusal),
            };
            assert_eq!(decided, expected, "{name}");
        }
    }

    #[test]
    fn a_hold_invoice_keeps_what_arrives_until_the_user_decides() {
        let hold = InvoiceRecord { kind: InvoiceKind::Hold, ..open() };
        let no_preimage = Arrival { preimage: None, ..arrival() };
        let Decision::Hold(arrived) =
            decide(Some(hold.clone()), no_preimage.clone(), Keysends::Off, NOW)
        else {
            panic!("it is not held");
        };
        assert_eq!((arrived.stored, arrived.state(NOW)), (Stored::Arrived, InvoiceState::Open));
        assert_eq!((arrived.received_msat, arrived.parts), (500, 2));
        assert_eq!(arrived.claim_deadline_height, Some(99));
        // It cannot expire any more.
        assert_eq!(arrived.state(NOW + 1), InvoiceState::Open);

        let accepted = InvoiceRecord { stored: Stored::Accepted, ..(*arrived).clone() };
        let replayed = decide(Some(accepted.clone()), no_preimage.clone(), Keysends::Off, NOW + 1);
        assert_eq!(replayed, Decision::Hold(Box::new(accepted.clone())));
        let other_set = Arrival { claim_id: Some([4; 32]), ..no_preimage.clone() };
        let Decision::Hold(other) = decide(Some(accepted.clone()), other_set, Keysends::Off, NOW)
        else {
            panic!("the other set is not held");
        };
        assert_eq!(other.stored, Stored::Arrived);

        let settling =
            InvoiceRecord { stored: Stored::Claiming, preimage: Some([7; 32]), ..accepted.clone() };
        let again = decide(Some(settling), no_preimage.clone(), Keysends::Off, NOW);
        assert_eq!(again, Decision::ClaimAgain([7; 32]));
        let cancelled = InvoiceRecord { stored: Stored::Cancelled, ..accepted.clone() };
        let late = decide(Some(cancelled), no_preimage.clone(), Keysends::Off, NOW);
        assert_eq!(late, Decision::Refuse(ClaimRefusal::Cancelled));
        let even = Arrival { custom_records: custom(65_536), ..no_preimage.clone() };
        let refused = decide(Some(hold.clone()), even, Keysends::Off, NOW);
        assert_eq!(refused, Decision::Refuse(ClaimRefusal::CustomRecord));
        let little = Arrival { amount_msat: 499, ..no_preimage };
        let refused = decide(Some(hold), little, Keysends::Off, NOW);
        assert_eq!(refused, Decision::Refuse(ClaimRefusal::TooLittle));

        let back = went_back(accepted).expect("it was held");
        assert_eq!(back.stored, Stored::Cancelled);
        assert_eq!(back.cancel_reason, Some(CancelReason::HtlcsFailed));
    }

    #[test]
    fn a_claim_is_counted_once_and_a_second_set_is_added() {
        let once = settled(Some(open()), arrival(), NOW).expect("it is new");
        assert_eq!((once.stored, once.received_msat, once.parts), (Stored::Settled, 500, 2));
        assert_eq!(settled(Some(once.clone()), arrival(), NOW), None);
        let second = Arrival { claim_id: Some([9; 32]), parts: 1, ..arrival() };
        let twice = settled(Some(once), second, NOW).expect("it is another set");
        assert_eq!((twice.received_msat, twice.parts), (1_000, 3));
        let unknown = settled(None, arrival(), NOW).expect("it becomes a record");
        assert_eq!((unknown.stored, unknown.kind), (Stored::Settled, InvoiceKind::Bolt11));
    }
}
