//! How an update from LDK or the user changes a payment's record: pure, and idempotent.

use bitcoin::secp256k1::PublicKey;

use super::record::{
    FailureReason, MAX_KEPT_PARTS, Part, PartEnd, PaymentKind, PaymentRecord, PaymentState,
};
use crate::node::planner::NoRouteReason;

/// Something that happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentUpdate {
    /// The recipient gave the preimage.
    Sent {
        /// The receipt.
        preimage: [u8; 32],
        /// What the recipient got; LDK may not know.
        amount_msat: Option<u64>,
        /// What the nodes on the way got; LDK may not know.
        fee_msat: Option<u64>,
        /// The paths that were found for it, failed ones included; LDK itself tells the parts later.
        found: Vec<Part>,
    },
    /// Nothing is under way any more, and nothing will be; and why there was no route, if that is why.
    Failed(FailureReason, Option<NoRouteReason>),
    /// A part ended.
    PartEnded(Part),
    /// The user gave up.
    Cancelled,
    /// The payee of an offer sent an invoice, or a refund's bearer did.
    Invoiced {
        /// What the HTLCs will be locked to.
        payment_hash: [u8; 32],
        /// The key that signed it.
        payee: PublicKey,
        /// All its bytes.
        invoice: Vec<u8>,
    },
}

/// Which payment the news are about, for one that we have no record of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentIds {
    /// What LDK knows it by.
    pub payment_id: [u8; 32],
    /// What the HTLCs are locked to.
    pub payment_hash: [u8; 32],
}

/// What to do about news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is known already, or it came too late to matter.
    None,
    /// Keep the record as it is now; nobody waits for this.
    Silent(PaymentRecord),
    /// Keep it and wake its watchers.
    Notify(PaymentRecord),
    /// Keep it, tell, and write that the payment has ended into the journal.
    Ended(PaymentRecord),
}

/// Decides what news change.
///
/// `Succeeded` is never left: LDK may tell of a failure after a success, which is to be ignored. `Failed` is
/// left only for a preimage: then the money is gone, whatever was believed before. PaymentUpdate of a payment without
/// record make a record where they end it.
pub fn decide(
    record: Option<PaymentRecord>,
    name: PaymentIds,
    news: PaymentUpdate,
    now_ms: u64,
) -> Change {
    let (known, record) = match record {
        Some(record) => (true, record),
        None => {
            let PaymentIds { payment_id, payment_hash } = name;
            (false, PaymentRecord::begun(payment_id, payment_hash, PaymentKind::Unknown, now_ms))
        }
    };
    match (news, record.state) {
        (
            PaymentUpdate::Sent { preimage, amount_msat, fee_msat, found },
            PaymentState::Pending | PaymentState::Failed,
        ) => {
            let amount_msat = amount_msat.unwrap_or(record.amount_msat);
            let mut arrived = arrived(found, &record.parts, amount_msat);
            arrived.iter_mut().for_each(|part| part.ended_at_ms = Some(now_ms));
            let parts = with_arrived(&record.parts, arrived);
            Change::Ended(PaymentRecord {
                state: PaymentState::Succeeded,
                preimage: Some(preimage),
                amount_msat,
                parts,
                fee_msat,
                failure: None,
                no_route_reason: None,
                cancelling: false,
                finished_at_ms: Some(now_ms),
                ..record
            })
        }
        (PaymentUpdate::Failed(reason, no_route_reason), PaymentState::Pending) => {
            Change::Ended(PaymentRecord {
                state: PaymentState::Failed,
                failure: Some(reason),
                no_route_reason,
                cancelling: false,
                finished_at_ms: Some(now_ms),
                ..record
            })
        }
        // The reconciliation could not know why; LDK still had the reason in its queue of events.
        (PaymentUpdate::Failed(reason, no_route_reason), PaymentState::Failed)
            if record.failure == Some(FailureReason::NotSentBeforeRestart)
                && reason != FailureReason::NotSentBeforeRestart =>
        {
            Change::Silent(PaymentRecord { failure: Some(reason), no_route_reason, ..record })
        }
        (PaymentUpdate::Invoiced { payment_hash, payee, invoice }, PaymentState::Pending)
            if known && record.bolt12_invoice.as_ref() != Some(&invoice) =>
        {
            Change::Notify(PaymentRecord {
                payment_hash,
                payee: Some(payee),
                bolt12_invoice: Some(invoice),
                ..record
            })
        }
        (PaymentUpdate::Cancelled, PaymentState::Pending) if known && !record.cancelling => {
            Change::Notify(PaymentRecord { cancelling: true, ..record })
        }
        (PaymentUpdate::PartEnded(part), state) if known => {
            let has_failed = part.end != PartEnd::Succeeded;
            let part = Part { ended_at_ms: part.ended_at_ms.or(Some(now_ms)), ..part };
            match with_part(&record.parts, part) {
                Some(parts) if has_failed && state == PaymentState::Pending => {
                    Change::Notify(PaymentRecord { parts, ..record })
                }
                Some(parts) => Change::Silent(PaymentRecord { parts, ..record }),
                None => Change::None,
            }
        }
        (
            PaymentUpdate::PartEnded(_) | PaymentUpdate::Cancelled | PaymentUpdate::Invoiced { .. },
            _,
        )
        | (PaymentUpdate::Failed(..), PaymentState::Failed | PaymentState::Succeeded)
        | (PaymentUpdate::Sent { .. }, PaymentState::Succeeded) => Change::None,
    }
}

/// Of the parts that were found for a payment, those by which it arrived; none where they do not come to
/// the amount, as after a restart or where a path that failed once was taken again.
fn arrived(found: Vec<Part>, known: &[Part], amount_msat: u64) -> Vec<Part> {
    let has_failed = |part: &Part| {
        known.iter().any(|known| {
            known.end != PartEnd::Succeeded
                && (known.began_at_ms.is_none() || known.began_at_ms == part.began_at_ms)
                && known.amount_msat == part.amount_msat
                && known.hops == part.hops
        })
    };
    let parts: Vec<Part> = found.into_iter().filter(|part| !has_failed(part)).collect();
    let sum = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.amount_msat));
    if sum == amount_msat { parts } else { Vec::new() }
}

/// Replaces the parts that were reported one by one with the parts by which the payment arrived: all
/// are known here, so that equal ones, as where a plan splits a route in two, are parts of their own.
fn with_arrived(known: &[Part], arrived: Vec<Part>) -> Vec<Part> {
    if arrived.is_empty() {
        return known.to_vec();
    }
    let failed: Vec<&Part> = known.iter().filter(|it| it.end != PartEnd::Succeeded).collect();
    let too_many = (failed.len() + arrived.len()).saturating_sub(MAX_KEPT_PARTS);
    failed.into_iter().cloned().chain(arrived).skip(too_many).collect()
}

/// Adds a part unless it is a repetition, and lets the oldest failed one go when there are too many. Of a part that is
/// known, the hold times may come later.
fn with_part(parts: &[Part], part: Part) -> Option<Vec<Part>> {
    // LDK does not tell parts apart that go the same way with the same amount, so an equal success counts as
    // a replay; an equal failure may be a second attempt, which tells nothing new.
    let mut known = parts.iter().enumerate().filter(|(_, known)| known.is_same_attempt(&part));
    if let Some((first, _)) = known.next() {
        let told = part.hold_times_ms.is_empty()
            || parts.iter().any(|it| it.is_same_attempt(&part) && !it.hold_times_ms.is_empty());
        if told {
            return None;
        }
        let mut parts = parts.to_vec();
        parts[first].hold_times_ms = part.hold_times_ms;
        return Some(parts);
    }
    let mut parts = parts.to_vec();
    if parts.len() >= MAX_KEPT_PARTS {
        let oldest_failed = parts.iter().position(|part| part.end != PartEnd::Succeeded);
        parts.remove(oldest_failed.unwrap_or(0));
    }
    parts.push(part);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: PaymentIds = PaymentIds { payment_id: [1; 32], payment_hash: [2; 32] };

    fn pending() -> PaymentRecord {
        let PaymentIds { payment_id, payment_hash } = NAME;
        let begun = PaymentRecord::begun(payment_id, payment_hash, PaymentKind::Bolt11, 5);
        PaymentRecord { amount_msat: 1_000, ..begun }
    }

    fn sent() -> PaymentUpdate {
        PaymentUpdate::Sent {
            preimage: [9; 32],
            amount_msat: Some(1_000),
            fee_msat: Some(3),
            found: Vec::new(),
        }
    }

    fn a_part(amount_msat: u64, end: PartEnd) -> Part {
        Part {
            end,
            amount_msat,
            fee_msat: 0,
            hops: Vec::new(),
            began_at_ms: None,
            ended_at_ms: Some(7),
            hold_times_ms: Vec::new(),
        }
    }

    fn failed_part(amount_msat: u64) -> Part {
        a_part(amount_msat, PartEnd::Failed { short_channel_id: None, why: "x".to_owned() })
    }

    fn kept(change: Change) -> Option<PaymentRecord> {
        match change {
            Change::None => None,
            Change::Silent(record) | Change::Notify(record) | Change::Ended(record) => Some(record),
        }
    }

    fn after(record: PaymentRecord, news: PaymentUpdate) -> PaymentRecord {
        kept(decide(Some(record.clone()), NAME, news, 7)).unwrap_or(record)
    }

    #[test]
    fn news_move_a_payment_along_legal_ways_only() {
        let succeeded = after(pending(), sent());
        let failed = after(pending(), PaymentUpdate::Failed(FailureReason::RouteNotFound, None));
        let cancelling = after(pending(), PaymentUpdate::Cancelled);
        assert!(cancelling.cancelling);
        let unsent =
            after(pending(), PaymentUpdate::Failed(FailureReason::NotSentBeforeRestart, None));
        let explained =
            after(unsent, PaymentUpdate::Failed(FailureReason::RecipientRejected, None));
        assert_eq!(explained.failure, Some(FailureReason::RecipientRejected));
        for (from, news, expected) in [
            (pending(), sent(), Some(PaymentState::Succeeded)),
            (
                pending(),
                PaymentUpdate::Failed(FailureReason::Cancelled, None),
                Some(PaymentState::Failed),
            ),
            (cancelling.clone(), sent(), Some(PaymentState::Succeeded)),
            (
                cancelling.clone(),
                PaymentUpdate::Failed(FailureReason::Cancelled, None),
                Some(PaymentState::Failed),
            ),
            (cancelling, PaymentUpdate::Cancelled, None),
            (succeeded.clone(), PaymentUpdate::Failed(FailureReason::Cancelled, None), None),
            (succeeded.clone(), sent(), None),
            (succeeded, PaymentUpdate::Cancelled, None),
            (failed.clone(), PaymentUpdate::Failed(FailureReason::RetriesExhausted, None), None),
            (failed.clone(), PaymentUpdate::Cancelled, None),
            // The preimage is proof that the money is gone.
            (failed, sent(), Some(PaymentState::Succeeded)),
        ] {
            let change = decide(Some(from.clone()), NAME, news.clone(), 7);
            let state = kept(change).map(|record| record.state);
            assert_eq!(state, expected, "{:?} and {news:?}", from.state);
        }
    }

    #[test]
    fn news_of_an_unknown_payment_become_a_record_when_they_end_it() {
        let Change::Ended(record) = decide(None, NAME, sent(), 7) else { panic!("it ended") };
        assert_eq!((record.kind, record.amount_msat), (PaymentKind::Unknown, 1_000));
        let failed = PaymentUpdate::Failed(FailureReason::RouteNotFound, None);
        assert!(matches!(decide(None, NAME, failed, 7), Change::Ended(_)));
        assert_eq!(decide(None, NAME, PaymentUpdate::Cancelled, 7), Change::None);
        assert_eq!(decide(None, NAME, PaymentUpdate::PartEnded(failed_part(1)), 7), Change::None);
    }

    #[test]
    fn parts_are_told_once_and_bounded() {
        let arrived = a_part(1, PartEnd::Succeeded);
        let mut record = after(pending(), PaymentUpdate::PartEnded(arrived.clone()));
        assert_eq!(
            after(record.clone(), PaymentUpdate::PartEnded(arrived.clone())).parts,
            std::slice::from_ref(&arrived)
        );
        for amount in 0..100 {
            record = after(record, PaymentUpdate::PartEnded(failed_part(amount)));
        }
        assert_eq!(record.parts.len(), MAX_KEPT_PARTS);
        assert_eq!(record.parts[0], arrived);
        assert_eq!(record.parts.last(), Some(&failed_part(99)));
    }

    #[test]
    fn attempts_are_told_apart_by_their_beginning_and_hold_times_come_later() {
        let began = |ms| Part { began_at_ms: Some(ms), ..failed_part(1) };
        let once = after(pending(), PaymentUpdate::PartEnded(began(1)));
        assert_eq!(once.parts[0].ended_at_ms, Some(7));
        assert_eq!(after(once.clone(), PaymentUpdate::PartEnded(began(2))).parts.len(), 2);
        for again in [began(1), failed_part(1)] {
            let change = decide(Some(once.clone()), NAME, PaymentUpdate::PartEnded(again), 8);
            assert_eq!(change, Change::None, "repeated after a kill");
        }
        let told = decide(Some(pending()), NAME, PaymentUpdate::PartEnded(began(1)), 7);
        assert!(matches!(told, Change::Notify(_)), "those who follow see each failed attempt");

        let found = vec![Part { began_at_ms: Some(3), ..a_part(1_000, PartEnd::Succeeded) }];
        let PaymentUpdate::Sent { preimage, amount_msat, fee_msat, .. } = sent() else { panic!() };
        let arrived =
            after(pending(), PaymentUpdate::Sent { preimage, amount_msat, fee_msat, found });
        let quick = PaymentUpdate::PartEnded(a_part(1_000, PartEnd::Succeeded));
        assert_eq!(decide(Some(arrived.clone()), NAME, quick, 8), Change::None, "no second write");
        let held = Part { hold_times_ms: vec![200], ..a_part(1_000, PartEnd::Succeeded) };
        let record = after(arrived, PaymentUpdate::PartEnded(held.clone()));
        assert_eq!(record.parts.len(), 1);
        let part = &record.parts[0];
        assert_eq!((part.began_at_ms, &part.hold_times_ms[..]), (Some(3), &[200][..]));
        let again = decide(Some(record), NAME, PaymentUpdate::PartEnded(held), 9);
        assert_eq!(again, Change::None);
    }

    #[test]
    fn a_payment_arrived_by_the_paths_that_come_to_its_amount() {
        let part = |amount| a_part(amount, PartEnd::Succeeded);
        let (failed, none) = (failed_part(700), Vec::new());
        for (found, known, expected) in [
            (vec![part(400), part(600)], vec![], vec![part(400), part(600)]),
            (vec![part(700), part(300), part(700)], vec![failed.clone()], none.clone()),
            (
                vec![part(700), part(300), part(699), part(1)],
                vec![failed],
                vec![part(300), part(699), part(1)],
            ),
            (vec![part(400)], vec![], none.clone()),
            (vec![], vec![], none),
        ] {
            assert_eq!(arrived(found.clone(), &known, 1_000), expected, "{found:?}");
        }
        let PaymentUpdate::Sent { preimage, amount_msat, fee_msat, .. } = sent() else { panic!() };
        let news =
            PaymentUpdate::Sent { preimage, amount_msat, fee_msat, found: vec![part(1_000)] };
        let record = after(pending(), news);
        assert_eq!(record.parts, [part(1_000)]);
        let found = vec![part(400), part(400), part(200)];
        let twins = PaymentUpdate::Sent { preimage, amount_msat, fee_msat, found: found.clone() };
        let before = after(pending(), PaymentUpdate::PartEnded(failed_part(1)));
        let parts = after(after(before, twins), PaymentUpdate::PartEnded(part(400))).parts;
        assert_eq!((parts.len(), &parts[1..]), (4, &found[..]), "equal parts are parts too");
        assert_eq!(after(record, PaymentUpdate::PartEnded(part(1_000))).parts.len(), 1, "repeated");
    }

    fn any_news() -> impl Strategy<Value = PaymentUpdate> {
        prop_oneof![
            (any::<[u8; 32]>(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
                |(preimage, amount_msat, fee_msat)| PaymentUpdate::Sent {
                    preimage,
                    amount_msat,
                    fee_msat,
                    found: Vec::new(),
                }
            ),
            Just(PaymentUpdate::Failed(FailureReason::RetriesExhausted, None)),
            Just(PaymentUpdate::Failed(FailureReason::Cancelled, None)),
            Just(PaymentUpdate::Failed(FailureReason::NotSentBeforeRestart, None)),
            Just(PaymentUpdate::Cancelled),
            (0..3u64).prop_map(|amount| PaymentUpdate::PartEnded(failed_part(amount))),
            (0..3u64)
                .prop_map(|amount| PaymentUpdate::PartEnded(a_part(amount, PartEnd::Succeeded))),
        ]
    }

    proptest! {
        #[test]
        fn a_final_state_is_left_only_for_a_preimage(news in prop::collection::vec(any_news(), 0..40)) {
            let mut record = pending();
            for news in news {
                let before = record.clone();
                let proof = matches!(news, PaymentUpdate::Sent { .. });
                record = after(record, news);
                match before.state {
                    PaymentState::Succeeded => prop_assert_eq!(
                        (record.state, record.preimage, record.fee_msat),
                        (before.state, before.preimage, before.fee_msat)
                    ),
                    PaymentState::Failed if !proof => prop_assert_eq!(record.state, PaymentState::Failed),
                    PaymentState::Failed | PaymentState::Pending => (),
                }
                prop_assert_eq!(record.state == PaymentState::Succeeded, record.preimage.is_some());
                prop_assert_eq!(record.state == PaymentState::Failed, record.failure.is_some());
                prop_assert!(!record.state.is_final() || !record.cancelling);
            }
        }

        #[test]
        fn news_told_twice_change_nothing(news in prop::collection::vec(any_news(), 0..40)) {
            let mut record = pending();
            for news in news {
                record = after(record, news.clone());
                let again = after(record.clone(), news);
                prop_assert_eq!(&again, &record);
            }
        }
    }
}
