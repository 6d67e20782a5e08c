//! LDK's way to send transactions: a queue that nothing blocks on, emptied into bitcoind.
//!
//! Nothing is remembered here over a restart: a sender that cannot make a transaction again keeps it until it has the [`Answer`].
//! While bitcoind is away the queue waits; at the end it is emptied once more.

use std::collections::VecDeque;

use bitcoin::{Transaction, Txid};
use lightning::chain::chaininterface::BroadcasterInterface;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Backoff, ChainSource, Error, Verdict, package};
use crate::tasks::Outcome;

/// Takes transactions to send; clones share one queue.
#[derive(Clone)]
pub struct Broadcaster {
    queue: mpsc::UnboundedSender<Package>,
}

/// The other end of the queue, to be run as a task.
pub struct Outbox {
    incoming: mpsc::UnboundedReceiver<Package>,
    waiting: VecDeque<Package>,
}

/// Why a package was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bitcoind does not take transaction {txid}: {}", verdict.reason())]
pub struct BroadcastRefusal {
    /// Its first transaction that was not.
    pub txid: Txid,
    /// Why.
    pub verdict: Verdict,
}

/// What bitcoind says of a package once it is back, or that nobody will ask it any more.
pub type Answer = oneshot::Receiver<Result<(), BroadcastRefusal>>;

/// Sends transactions of which somebody wants to know what became.
pub trait Offer {
    /// Queues transactions, a child with its parents at most; they go out whether the answer is awaited or not.
    fn offer(&self, transactions: Vec<Transaction>) -> Answer;

    /// Queues a package that may have been offered before, by this run of the daemon or by an earlier one.
    fn offer_again(&self, transactions: Vec<Transaction>) -> Answer {
        self.offer(transactions)
    }
}

struct Package {
    transactions: Vec<Transaction>,
    ids: Vec<Txid>,
    reply: Option<oneshot::Sender<Result<(), BroadcastRefusal>>>,
}

impl Broadcaster {
    /// Returns both ends of a new queue.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> (Broadcaster, Outbox) {
        let (queue, incoming) = mpsc::unbounded_channel();
        (Broadcaster { queue }, Outbox { incoming, waiting: VecDeque::new() })
    }

    fn queue(&self, package: Package) {
        if let Err(mpsc::error::SendError(package)) = self.queue.send(package) {
            tracing::debug!(txids = ?package.ids, "not broadcast: the daemon is stopping");
        }
    }
}

impl Offer for Broadcaster {
    fn offer(&self, transactions: Vec<Transaction>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.queue(Package::new(transactions, Some(reply)));
        answer
    }
}

impl BroadcasterInterface for Broadcaster {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        self.queue(Package::new(transactions.iter().copied().cloned().collect(), None));
    }
}

impl Package {
    fn new(
        transactions: Vec<Transaction>,
        reply: Option<oneshot::Sender<Result<(), BroadcastRefusal>>>,
    ) -> Self {
        let transactions = package::parents_first(transactions);
        let ids = transactions.iter().map(Transaction::compute_txid).collect();
        Self { transactions, ids, reply }
    }
}

impl Outbox {
    /// Sends what is queued until `stopping`, and then what is still queued.
    pub async fn run(mut self, source: impl ChainSource, stopping: CancellationToken) -> Outcome {
        stopping.run_until_cancelled(self.send_all(&source)).await;
        self.incoming.close();
        self.take_in();
        while let Some(package) = self.waiting.pop_front() {
            if let Err(error) = attempt(&source, &package.transactions).await {
                tracing::warn!(txids = ?package.ids, %error, "not broadcast at the end");
                break;
            }
        }
        Ok(())
    }

    async fn send_all(&mut self, source: &impl ChainSource) {
        loop {
            self.take_in();
            match self.waiting.front() {
                Some(next) => {
                    let outcome = patiently(source, &next.transactions).await;
                    // Only now: a send that is cut short is repeated at the end.
                    let sent = self.waiting.pop_front().and_then(|package| package.reply);
                    if let Some(reply) = sent {
                        // The sender may have stopped waiting.
                        let _ = reply.send(outcome);
                    }
                }
                None => match self.incoming.recv().await {
                    Some(package) => self.waiting.push_back(package),
                    None => return std::future::pending().await,
                },
            }
        }
    }

    /// Takes in what has been queued; LDK's repetitions of what still waits are dropped.
    fn take_in(&mut self) {
        while let Ok(package) = self.incoming.try_recv() {
            let repeated = package.reply.is_none()
                && self.waiting.iter().any(|waiting| waiting.transactions == package.transactions);
            if !repeated {
                self.waiting.push_back(package);
            }
        }
    }
}

async fn patiently(
    source: &impl ChainSource,
    transactions: &[Transaction],
) -> Result<(), BroadcastRefusal> {
    let mut backoff = Backoff::new(source.health());
    loop {
        match attempt(source, transactions).await {
            Ok(outcome) => return outcome,
            Err(error) => backoff.wait("broadcasting", &error).await,
        }
    }
}

/// Offers a package once; `Err` only if bitcoind was not able to judge it now.
async fn attempt(
    source: &impl ChainSource,
    transactions: &[Transaction],
) -> Result<Result<(), BroadcastRefusal>, Error> {
    let verdicts = match package::offer(source, transactions).await {
        Ok(verdicts) => verdicts,
        Err(error @ (Error::Refused { .. } | Error::Garbled { .. })) => {
            // It would be refused again at once.
            tracing::error!(%error, "bitcoind cannot judge a transaction");
            let txid = transactions.first().map(Transaction::compute_txid);
            let verdict = Verdict::Refused(error.to_string());
            return Ok(txid.map_or(Ok(()), |txid| Err(BroadcastRefusal { txid, verdict })));
        }
        Err(error) => return Err(error),
    };
    verdicts.iter().for_each(tell);
    let refused = verdicts.into_iter().find(|(_, verdict)| !verdict.is_good());
    Ok(refused.map_or(Ok(()), |(txid, verdict)| Err(BroadcastRefusal { txid, verdict })))
}

/// What LDK's repetitions and races with a peer bring about is expected; a broken rule is not.
fn tell((txid, verdict): &(Txid, Verdict)) {
    match verdict {
        Verdict::Accepted => tracing::info!(%txid, "broadcast"),
        Verdict::AlreadyKnown
        | Verdict::AlreadyConfirmed
        | Verdict::Conflicts(_)
        | Verdict::InputsGone(_)
        | Verdict::TooEarly(_) => {
            tracing::debug!(%txid, reason = verdict.reason(), "not broadcast");
        }
        Verdict::FeeTooLow(reason) | Verdict::Refused(reason) => {
            tracing::warn!(%txid, reason, "bitcoind does not take a transaction");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeChain, transaction};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_queued_is_sent_in_order_and_at_the_end() {
        let chain = FakeChain::new();
        let (broadcaster, outbox) = Broadcaster::new();
        let transactions: Vec<_> = (1..=3).map(|number| transaction(number, &[])).collect();
        for transaction in &transactions {
            broadcaster.broadcast_transactions(&[transaction]);
        }
        let stopping = CancellationToken::new();
        stopping.cancel();
        outbox.run(chain.clone(), stopping).await.expect("no failure");
        let ids: Vec<_> = transactions.iter().map(Transaction::compute_txid).collect();
        assert_eq!(chain.submitted(), ids);
        assert!(broadcaster.offer(transactions).await.is_err(), "nobody asks any more");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_while_bitcoind_is_away_and_drops_repetitions() {
        let chain = FakeChain::new();
        chain.go_away();
        let (broadcaster, outbox) = Broadcaster::new();
        let stopping = CancellationToken::new();
        let run = outbox.run(chain.clone(), stopping.clone());
        let (first, second) = (transaction(1, &[]), transaction(2, &[]));
        let script = async {
            for _ in 0..10 {
                broadcaster.broadcast_transactions(&[&first]);
            }
            chain.failed_calls(3).await;
            assert!(chain.submitted().is_empty());
            chain.come_back();
            let answer = broadcaster.offer(vec![second.clone()]).await;
            answer.expect("an answer").expect("accepted");
            stopping.cancel();
        };
        let (outcome, ()) = tokio::join!(run, script);
        outcome.expect("no failure");
        let submitted = chain.submitted();
        assert_eq!(submitted, [first.compute_txid(), second.compute_txid()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_reaches_its_sender() {
        let chain = FakeChain::new();
        let dust = transaction(1, &[]);
        chain.judge(dust.compute_txid(), Verdict::Refused("dust".into()));
        let (broadcaster, outbox) = Broadcaster::new();
        let stopping = CancellationToken::new();
        let script = async {
            let answer = broadcaster.offer(vec![dust.clone()]).await.expect("an answer");
            stopping.cancel();
            answer.expect_err("refused")
        };
        let (_, refusal) = tokio::join!(outbox.run(chain, stopping.clone()), script);
        assert!(refusal.to_string().ends_with("dust"), "{refusal}");
    }
}
