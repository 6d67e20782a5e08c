//! Transactions and packages offered to bitcoind.

use std::sync::Arc;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Transaction, Txid};
use serde_json::{Value, json};

use super::answers;
use super::rpc::Rpc;
use crate::chain::{Error, Verdict};

pub(super) async fn submit(rpc: &Arc<Rpc>, transaction: &Transaction) -> Result<Verdict, Error> {
    let params = vec![json!(serialize_hex(transaction))];
    verdict(rpc.call::<Txid>("sendrawtransaction", params).await.map(|_| Verdict::Accepted))
}

pub(super) async fn submit_package(
    rpc: &Arc<Rpc>,
    transactions: &[Transaction],
) -> Result<Vec<(Txid, Verdict)>, Error> {
    let hex: Vec<Value> = transactions.iter().map(|tx| json!(serialize_hex(tx))).collect();
    let same = |verdict: Verdict| {
        transactions.iter().map(|tx| (tx.compute_txid(), verdict.clone())).collect()
    };
    match rpc.call::<answers::Package>("submitpackage", vec![json!(hex)]).await {
        Ok(answer) if answer.tx_results.is_empty() => {
            Ok(same(Verdict::of_reason(&answer.package_msg)))
        }
        Ok(answer) => Ok(read_package(answer)),
        Err(error) => verdict(Err(error)).map(same),
    }
}

fn verdict(outcome: Result<Verdict, Error>) -> Result<Verdict, Error> {
    match outcome {
        Err(Error::Refused { method, code, message }) => {
            Verdict::of_error(code, &message).ok_or(Error::Refused { method, code, message })
        }
        other => other,
    }
}

/// Reads the fate of each transaction; without an error of its own it is in the mempool, now
/// or from before (Bitcoin Core, `submitpackage`, "other-wtxid").
fn read_package(answer: answers::Package) -> Vec<(Txid, Verdict)> {
    let read = |tx: answers::PackageTx| match tx.error {
        None => (tx.txid, Verdict::Accepted),
        // bitcoind did not look at the others after it had found one to be wrong.
        Some(error) if error.contains("package-not-validated") => {
            (tx.txid, Verdict::Refused(format!("{error}: {}", answer.package_msg)))
        }
        Some(error) => (tx.txid, Verdict::of_reason(&error)),
    };
    answer.tx_results.into_values().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_transaction_by_transaction() {
        let (parent, child) = ("aa".repeat(32), "bb".repeat(32));
        let answer = json!({
            "package_msg": "transaction failed",
            "tx-results": {
                "01": { "txid": parent, "vsize": 100, "fees": { "base": 0.0 } },
                "02": { "txid": child, "error": "min relay fee not met, 0 < 100" },
            },
            "replaced-transactions": [],
        });
        let answer: answers::Package = serde_json::from_value(answer).expect("an answer");
        let verdicts: std::collections::HashMap<_, _> = read_package(answer).into_iter().collect();
        assert_eq!(verdicts[&parent.parse::<Txid>().expect("a txid")], Verdict::Accepted);
        let refused = &verdicts[&child.parse::<Txid>().expect("a txid")];
        assert!(matches!(refused, Verdict::FeeTooLow(_)), "{refused:?}");
    }

    #[test]
    fn only_errors_about_the_transaction_are_verdicts() {
        let refused = |code| {
            Err(Error::Refused { method: "sendrawtransaction", code, message: "x".to_owned() })
        };
        assert_eq!(verdict(refused(-26)), Ok(Verdict::Refused("x".to_owned())));
        assert_eq!(verdict(refused(-32601)), refused(-32601));
    }
}
