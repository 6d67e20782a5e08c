//! What bitcoind thinks of a transaction: its answers sorted by what they mean to the sender.

/// What became of a transaction offered to bitcoind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the mempool now.
    Accepted,
    /// It, or the same transaction with another witness, was in the mempool before.
    AlreadyKnown,
    /// It is in a block.
    AlreadyConfirmed,
    /// It pays less than the mempool asks; a child in the same package may pay for it.
    FeeTooLow(String),
    /// Another transaction in the mempool spends the same coins and pays as much or more.
    Conflicts(String),
    /// A coin that it spends does not exist or is spent in a block.
    InputsGone(String),
    /// It is time-locked and too early.
    TooEarly(String),
    /// It breaks a rule: its maker made a mistake.
    Refused(String),
}

impl Verdict {
    /// Says whether the transaction is known to the network through us.
    pub fn is_good(&self) -> bool {
        match self {
            Verdict::Accepted | Verdict::AlreadyKnown | Verdict::AlreadyConfirmed => true,
            Verdict::FeeTooLow(_)
            | Verdict::Conflicts(_)
            | Verdict::InputsGone(_)
            | Verdict::TooEarly(_)
            | Verdict::Refused(_) => false,
        }
    }

    /// Returns bitcoind's reason, when there is one.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::AlreadyKnown => "already in the mempool",
            Verdict::AlreadyConfirmed => "already confirmed",
            Verdict::FeeTooLow(reason)
            | Verdict::Conflicts(reason)
            | Verdict::InputsGone(reason)
            | Verdict::TooEarly(reason)
            | Verdict::Refused(reason) => reason,
        }
    }

    /// Reads the error of `sendrawtransaction`; none if it does not speak of the transaction.
    ///
    /// Codes are those of Bitcoin Core's `src/rpc/protocol.h`.
    pub fn of_error(code: i32, message: &str) -> Option<Verdict> {
        match code {
            ALREADY_IN_UTXO_SET => Some(Verdict::AlreadyConfirmed),
            VERIFY_ERROR | VERIFY_REJECTED | DESERIALIZATION => Some(Self::of_reason(message)),
            _ => None,
        }
    }

    /// Reads a reject reason, as of `sendrawtransaction`, `testmempoolaccept`, `submitpackage`.
    pub fn of_reason(reason: &str) -> Verdict {
        let lower = reason.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let text = reason.to_owned();
        if says(&["txn-already-in-mempool", "txn-already-known", "same-nonwitness-data"]) {
            Verdict::AlreadyKnown
        } else if says(&["already in utxo set", "already in block chain"]) {
            Verdict::AlreadyConfirmed
        } else if says(&["min relay fee not met", "mempool min fee not met", "min fee not met"]) {
            Verdict::FeeTooLow(text)
        } else if says(&[
            "insufficient fee",
            "txn-mempool-conflict",
            "bad-txns-spends-conflicting-tx",
            "too many potential replacements",
            "replacement-adds-unconfirmed",
            "replacement-failed",
            "does not improve feerate diagram",
        ]) {
            Verdict::Conflicts(text)
        } else if says(&["missing-inputs", "missingorspent", "missing inputs", "inputs not found"])
        {
            Verdict::InputsGone(text)
        } else if says(&["non-final", "non-bip68-final", "premature-spend"]) {
            Verdict::TooEarly(text)
        } else {
            Verdict::Refused(text)
        }
    }
}

/// "General error during transaction or block submission"
const VERIFY_ERROR: i32 = -25;
/// "Transaction or block was rejected by network rules"
const VERIFY_REJECTED: i32 = -26;
/// "Transaction already in utxo set"
const ALREADY_IN_UTXO_SET: i32 = -27;
/// "Error parsing or validating structure in raw format"
const DESERIALIZATION: i32 = -22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_meaning() {
        let name = |verdict: &Verdict| match verdict {
            Verdict::Accepted => "accepted",
            Verdict::AlreadyKnown => "known",
            Verdict::AlreadyConfirmed => "confirmed",
            Verdict::FeeTooLow(_) => "fee",
            Verdict::Conflicts(_) => "conflict",
            Verdict::InputsGone(_) => "gone",
            Verdict::TooEarly(_) => "early",
            Verdict::Refused(_) => "refused",
        };
        for (code, message, expected) in [
            (-27, "Transaction outputs already in utxo set", "confirmed"),
            (-26, "txn-already-in-mempool", "known"),
            (-26, "txn-same-nonwitness-data-in-mempool", "known"),
            (-26, "min relay fee not met, 0 < 110", "fee"),
            (-26, "mempool min fee not met, 110 < 500", "fee"),
            (-26, "insufficient fee, rejecting replacement abc; new feerate 1 <= 2", "conflict"),
            (-26, "txn-mempool-conflict", "conflict"),
            (-25, "bad-txns-inputs-missingorspent", "gone"),
            (-25, "Missing inputs", "gone"),
            (-26, "non-final", "early"),
            (-26, "non-BIP68-final", "early"),
            (-26, "bad-txns-premature-spend-of-coinbase", "early"),
            (-26, "dust", "refused"),
            (-26, "mandatory-script-verify-flag-failed (Signature must be zero)", "refused"),
            (-25, "Fee exceeds maximum configured by user (maxfeerate)", "refused"),
            (-22, "TX decode failed", "refused"),
        ] {
            let verdict = Verdict::of_error(code, message).expect("speaks of the transaction");
            assert_eq!(name(&verdict), expected, "{code} {message}");
        }
        assert_eq!(Verdict::of_error(-28, "Loading block index…"), None);
        assert_eq!(Verdict::of_error(-32601, "Method not found"), None);
    }
}
