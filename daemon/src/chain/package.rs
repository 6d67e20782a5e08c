//! Packages of transactions: their order, and which way they go into the mempool.

use std::collections::HashSet;

use bitcoin::{Transaction, Txid};

use super::{ChainSource, Error, Verdict};

/// Orders transactions so that each stands after those whose outputs it spends.
///
/// LDK gives a child with its parents in any order (`BroadcasterInterface`).
pub(super) fn parents_first(mut left: Vec<Transaction>) -> Vec<Transaction> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ids: HashSet<Txid> = left.iter().map(Transaction::compute_txid).collect();
        let waits = |tx: &Transaction| {
            tx.input.iter().any(|input| ids.contains(&input.previous_output.txid))
        };
        let (waiting, ready): (Vec<_>, Vec<_>) = left.into_iter().partition(waits);
        if ready.is_empty() {
            // A circle of transactions cannot exist: hashes would have to repeat.
            ordered.extend(waiting);
            break;
        }
        ordered.extend(ready);
        left = waiting;
    }
    ordered
}

/// Offers transactions, parents first; returns what became of each.
///
/// One after the other is tried first: it also works where a parent is confirmed, which a package
/// may not contain. Where one pays too little by itself, its child is meant to pay for it, and
/// the whole goes as a package. `Err` means that bitcoind was not able to judge.
pub(super) async fn offer(
    source: &impl ChainSource,
    transactions: &[Transaction],
) -> Result<Vec<(Txid, Verdict)>, Error> {
    let mut verdicts = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let verdict = source.submit(transaction).await?;
        let needs_child = matches!(verdict, Verdict::FeeTooLow(_));
        verdicts.push((transaction.compute_txid(), verdict));
        if needs_child && transactions.len() > 1 {
            let unconfirmed = unconfirmed(transactions, &verdicts);
            return match source.submit_package(&unconfirmed).await {
                Err(Error::Refused { message, .. }) => Ok(vec![(
                    verdicts.remove(verdicts.len() - 1).0,
                    Verdict::Refused(format!("submitpackage: {message}")),
                )]),
                outcome => outcome,
            };
        }
    }
    Ok(verdicts)
}

fn unconfirmed(transactions: &[Transaction], seen: &[(Txid, Verdict)]) -> Vec<Transaction> {
    let confirmed = |tx: &&Transaction| {
        let id = tx.compute_txid();
        seen.iter().any(|(txid, verdict)| *txid == id && *verdict == Verdict::AlreadyConfirmed)
    };
    transactions.iter().filter(|tx| !confirmed(tx)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeChain, transaction};
    use super::*;

    #[test]
    fn parents_come_first_whatever_the_order_given() {
        let mother = transaction(1, &[]);
        let father = transaction(2, &[]);
        let child = transaction(3, &[&mother, &father]);
        let orders = [
            vec![child.clone(), mother.clone(), father.clone()],
            vec![mother.clone(), child.clone(), father.clone()],
            vec![father.clone(), mother.clone(), child.clone()],
        ];
        for order in orders {
            let sorted = parents_first(order);
            assert_eq!(sorted.len(), 3);
            assert_eq!(sorted[2], child);
        }
    }

    #[tokio::test]
    async fn a_parent_that_pays_too_little_goes_as_a_package() {
        let chain = FakeChain::new();
        let parent = transaction(1, &[]);
        let child = transaction(2, &[&parent]);
        chain.judge(parent.compute_txid(), Verdict::FeeTooLow("0 < 100".into()));
        let verdicts = offer(&chain, &[parent.clone(), child.clone()]).await.expect("judged");
        assert!(verdicts.iter().all(|(_, verdict)| verdict.is_good()), "{verdicts:?}");
        assert_eq!(chain.packages(), [vec![parent.compute_txid(), child.compute_txid()]]);
    }

    #[tokio::test]
    async fn a_confirmed_parent_is_left_out() {
        let chain = FakeChain::new();
        let confirmed = transaction(1, &[]);
        let poor = transaction(2, &[]);
        let child = transaction(3, &[&confirmed, &poor]);
        chain.judge(confirmed.compute_txid(), Verdict::AlreadyConfirmed);
        chain.judge(poor.compute_txid(), Verdict::FeeTooLow("0 < 100".into()));
        offer(&chain, &[confirmed, poor.clone(), child.clone()]).await.expect("judged");
        assert_eq!(chain.packages(), [vec![poor.compute_txid(), child.compute_txid()]]);
    }

    #[tokio::test]
    async fn alone_there_is_no_package() {
        let chain = FakeChain::new();
        let poor = transaction(1, &[]);
        chain.judge(poor.compute_txid(), Verdict::FeeTooLow("0 < 100".into()));
        let verdicts = offer(&chain, std::slice::from_ref(&poor)).await.expect("judged");
        assert!(matches!(verdicts[0].1, Verdict::FeeTooLow(_)));
        assert!(chain.packages().is_empty());
    }
}
