//! Why a channel closed: a stable word for programs, a sentence for people.

use lightning::events::ClosureReason;

/// The kind of a close that both sides agreed on.
pub const COOPERATIVE: &str = "cooperative";
/// The kind of a channel of a batch whose funding was never broadcast.
pub const FUNDING_BATCH: &str = "funding_batch";

/// Why a channel closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable word.
    pub kind: &'static str,
    /// A sentence, with what the peer said where it said something.
    pub words: String,
}

/// Puts LDK's reason into words.
pub fn describe(reason: &ClosureReason) -> Reason {
    let (kind, words) = match reason {
        ClosureReason::CounterpartyForceClosed { peer_msg } => {
            // `Display` of an untrusted string leaves out what could harm a terminal.
            (
                "counterparty_force_closed",
                format!("the peer closed it by force, saying: {peer_msg}"),
            )
        }
        ClosureReason::HolderForceClosed { broadcasted_latest_txn, message } => {
            let published = match broadcasted_latest_txn {
                Some(true) => "we published our commitment",
                Some(false) => "it had not been funded, so nothing was published",
                None => "our commitment may have been published",
            };
            ("holder_force_closed", format!("we closed it by force ({message}); {published}"))
        }
        ClosureReason::LegacyCooperativeClosure => {
            (COOPERATIVE, "both sides agreed to close".to_owned())
        }
        ClosureReason::CounterpartyInitiatedCooperativeClosure => {
            (COOPERATIVE, "the peer asked to close and both sides agreed".to_owned())
        }
        ClosureReason::LocallyInitiatedCooperativeClosure => {
            (COOPERATIVE, "we asked to close and both sides agreed".to_owned())
        }
        ClosureReason::CommitmentTxConfirmed => {
            ("commitment_confirmed", "a commitment transaction was confirmed on chain".to_owned())
        }
        ClosureReason::FundingTimedOut => {
            ("funding_timed_out", "the funding transaction did not confirm in time".to_owned())
        }
        ClosureReason::ProcessingError { err } => {
            ("protocol_error", format!("the peer broke the protocol, or we could not go on: {err}"))
        }
        ClosureReason::DisconnectedPeer => {
            ("disconnected", "the connection was lost before the channel was funded".to_owned())
        }
        ClosureReason::OutdatedChannelManager => (
            "outdated_manager",
            "the stored state was older than the watch over the channel; it was closed to be safe"
                .to_owned(),
        ),
        ClosureReason::CounterpartyCoopClosedUnfundedChannel => {
            ("unfunded", "the peer gave it up before it was funded".to_owned())
        }
        ClosureReason::LocallyCoopClosedUnfundedChannel => {
            ("unfunded", "we gave it up before it was funded".to_owned())
        }
        ClosureReason::FundingBatchClosure => {
            (FUNDING_BATCH, "another channel of the same funding transaction failed".to_owned())
        }
        ClosureReason::HTLCsTimedOut { payment_hash } => {
            let which = payment_hash.map_or(String::new(), |hash| format!(" (payment {hash})"));
            (
                "htlc_timed_out",
                format!("the peer did not resolve an HTLC before its deadline{which}"),
            )
        }
        ClosureReason::PeerFeerateTooLow {
            peer_feerate_sat_per_kw,
            required_feerate_sat_per_kw,
        } => (
            "peer_feerate_too_low",
            format!(
                "the peer insisted on a feerate of {peer_feerate_sat_per_kw} sat per 1000 weight units, \
                 at least {required_feerate_sat_per_kw} are needed to be mined"
            ),
        ),
    };
    Reason { kind, words }
}

/// Returns the peer's words about a channel of ours that it refused before the funding was broadcast.
pub fn of_refusal(reason: &ClosureReason) -> Option<String> {
    match reason {
        ClosureReason::CounterpartyForceClosed { peer_msg } => {
            Some(format!("the peer refused the channel: {peer_msg}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lightning::types::payment::PaymentHash;
    use lightning::types::string::UntrustedString;

    use super::*;

    #[test]
    fn every_reason_has_a_stable_word() {
        let table = [
            (ClosureReason::LegacyCooperativeClosure, "cooperative"),
            (ClosureReason::CounterpartyInitiatedCooperativeClosure, "cooperative"),
            (ClosureReason::LocallyInitiatedCooperativeClosure, "cooperative"),
            (ClosureReason::CommitmentTxConfirmed, "commitment_confirmed"),
            (ClosureReason::FundingTimedOut, "funding_timed_out"),
            (ClosureReason::ProcessingError { err: "x".into() }, "protocol_error"),
            (ClosureReason::DisconnectedPeer, "disconnected"),
            (ClosureReason::OutdatedChannelManager, "outdated_manager"),
            (ClosureReason::CounterpartyCoopClosedUnfundedChannel, "unfunded"),
            (ClosureReason::LocallyCoopClosedUnfundedChannel, "unfunded"),
            (ClosureReason::FundingBatchClosure, "funding_batch"),
            (
                ClosureReason::HTLCsTimedOut { payment_hash: Some(PaymentHash([1; 32])) },
                "htlc_timed_out",
            ),
            (
                ClosureReason::PeerFeerateTooLow {
                    peer_feerate_sat_per_kw: 253,
                    required_feerate_sat_per_kw: 500,
                },
                "peer_feerate_too_low",
            ),
        ];
        for (reason, kind) in table {
            assert_eq!(describe(&reason).kind, kind);
            assert!(!describe(&reason).words.is_empty());
        }
    }

    #[test]
    fn what_a_peer_says_cannot_harm_a_terminal() {
        let peer_msg = UntrustedString("bye\u{1b}[2J".to_owned());
        let reason = describe(&ClosureReason::CounterpartyForceClosed { peer_msg });
        assert_eq!(reason.kind, "counterparty_force_closed");
        assert!(reason.words.contains("bye") && !reason.words.contains('\u{1b}'));
    }

    #[test]
    fn our_own_force_close_tells_whether_money_is_on_chain() {
        let of = |broadcasted_latest_txn| {
            let message = "asked by the operator".to_owned();
            describe(&ClosureReason::HolderForceClosed { broadcasted_latest_txn, message }).words
        };
        assert!(of(Some(true)).contains("published our commitment"));
        assert!(of(Some(false)).contains("not been funded"));
    }
}
