//! Packages that were sent and of which bitcoind has not said the last word.
//!
//! Some of what LDK sends it sends only once, so a package stays here, and in every checkpoint, until bitcoind has it.
//! A refusal is the last word only after a day: bitcoind may have lost its newest blocks with the power, be
//! behind, or have a full mempool.
//!
//! Their number is bounded: of packages that spend the same coins the first and the last are kept, one whose coins
//! bitcoind does not find is tried for a day, and of those only so many are kept.

use std::collections::HashSet;

use bitcoin::{OutPoint, Transaction, Txid};
use tokio::sync::oneshot::error::TryRecvError;

use crate::chain::{Answer, Refusal, Verdict};

/// The longest pause before one that was refused is tried again, as a power of two, in ticks of 30 seconds: half an
/// hour.
const LONGEST_PAUSE_LOG2: u32 = 6;
/// With these pauses, a day.
const MOST_REFUSALS: u32 = 50;
/// So many that may be refused for good are kept: a restart begins their day anew.
const MOST_DOUBTFUL: usize = 64;

/// Names a package here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

/// Packages in the order in which they were sent.
#[derive(Default)]
pub struct Outstanding {
    packages: Vec<Package>,
    last_number: u64,
}

struct Package {
    number: Number,
    transactions: Vec<Transaction>,
    standing: Standing,
    refusals: u32,
}

enum Standing {
    /// On its way to bitcoind.
    Leaving,
    Asked(Answer),
    /// Not now.
    Refused {
        /// Ticks until it is tried again.
        pause: u32,
        /// Its coins may be gone.
        doubtful: bool,
    },
}

impl Outstanding {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Vec<Transaction>> {
        self.packages.iter().map(|package| &package.transactions)
    }

    /// Adds a package that is to be offered to bitcoind; none if it is being offered already.
    pub fn add(&mut self, transactions: Vec<Transaction>) -> Option<Number> {
        let same = self.packages.iter_mut().find(|package| package.transactions == transactions);
        if let Some(package) = same {
            return package.is_refused().then(|| package.leave());
        }
        // The first as well: what both sides agreed on is better than the commitment that LDK sends after a restart.
        let mut is_first = true;
        self.packages.retain(|package| {
            !is_superseded(&package.transactions, &transactions) || std::mem::take(&mut is_first)
        });
        self.last_number += 1;
        let number = Number(self.last_number);
        let standing = Standing::Leaving;
        self.packages.push(Package { number, transactions, standing, refusals: 0 });
        Some(number)
    }

    /// A package has been offered; its answer will come.
    pub fn offered(&mut self, number: Number, answer: Answer) {
        if let Some(package) = self.packages.iter_mut().find(|package| package.number == number) {
            package.standing = Standing::Asked(answer);
        }
    }

    /// Takes in the answers that have come; whether some package is done with.
    pub fn settle(&mut self) -> bool {
        let before = self.packages.len();
        self.packages.retain_mut(|package| !package.is_settled());
        self.forget_oldest_doubtful();
        self.packages.len() < before
    }

    /// A tick: returns what is to be offered again.
    pub fn due(&mut self) -> Vec<(Number, Vec<Transaction>)> {
        let due = |package: &mut Package| match &mut package.standing {
            Standing::Refused { pause, .. } if *pause > 1 => {
                *pause -= 1;
                None
            }
            Standing::Refused { .. } => Some((package.leave(), package.transactions.clone())),
            Standing::Leaving | Standing::Asked(_) => None,
        };
        self.packages.iter_mut().filter_map(due).collect()
    }

    fn forget_oldest_doubtful(&mut self) {
        let doubtful = self.packages.iter().filter(|package| package.is_doubtful()).count();
        let mut surplus = doubtful.saturating_sub(MOST_DOUBTFUL);
        self.packages.retain(|package| {
            let is_kept = surplus == 0 || !package.is_doubtful();
            surplus -= usize::from(!is_kept);
            is_kept
        });
    }
}

impl Package {
    fn leave(&mut self) -> Number {
        self.standing = Standing::Leaving;
        self.number
    }

    fn is_refused(&self) -> bool {
        matches!(self.standing, Standing::Refused { .. })
    }

    fn is_doubtful(&self) -> bool {
        matches!(self.standing, Standing::Refused { doubtful: true, .. })
    }

    fn is_settled(&mut self) -> bool {
        let Standing::Asked(answer) = &mut self.standing else { return false };
        match answer.try_recv() {
            Ok(Ok(())) => true,
            Ok(Err(refusal)) => self.is_given_up(&refusal),
            // Nobody asks bitcoind any more: the next start does.
            Err(TryRecvError::Empty | TryRecvError::Closed) => false,
        }
    }

    fn is_given_up(&mut self, refusal: &Refusal) -> bool {
        let doubtful = is_doubtful(&refusal.verdict);
        let pause = 1 << self.refusals.min(LONGEST_PAUSE_LOG2);
        self.refusals += 1;
        self.standing = Standing::Refused { pause, doubtful };
        if doubtful && self.refusals >= MOST_REFUSALS {
            tracing::info!(%refusal, "a transaction is given up: for a day bitcoind has not taken it");
            return true;
        }
        false
    }
}

/// Whether nothing says that the transaction's coins are still there; whoever made it learns from blocks who took
/// them.
fn is_doubtful(verdict: &Verdict) -> bool {
    match verdict {
        // bitcoind looks for the coins first.
        Verdict::FeeTooLow(_) => false,
        // Its time comes.
        Verdict::TooEarly(_) => false,
        Verdict::Accepted
        | Verdict::AlreadyKnown
        | Verdict::AlreadyConfirmed
        | Verdict::Conflicts(_)
        | Verdict::InputsGone(_)
        | Verdict::Refused(_) => true,
    }
}

/// Whether each transaction of `earlier` stands in `later` too, or something there that spends one of its coins: both
/// cannot be confirmed.
fn is_superseded(earlier: &[Transaction], later: &[Transaction]) -> bool {
    let txids: HashSet<Txid> = later.iter().map(Transaction::compute_txid).collect();
    let coins: HashSet<OutPoint> =
        later.iter().flat_map(|tx| &tx.input).map(|input| input.previous_output).collect();
    earlier.iter().all(|tx| {
        tx.input.iter().any(|input| coins.contains(&input.previous_output))
            || txids.contains(&tx.compute_txid())
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::chain::fake::transaction;

    const HALF_MINUTES_OF_A_DAY: u32 = 2 * 60 * 24;

    /// Adds a package and has it answered.
    fn answered(outstanding: &mut Outstanding, package: Vec<Transaction>, verdict: Verdict) {
        let number = outstanding.add(package).expect("not there yet");
        answer(outstanding, number, verdict);
    }

    fn answer(outstanding: &mut Outstanding, number: Number, verdict: Verdict) {
        let (reply, answer) = oneshot::channel();
        outstanding.offered(number, answer);
        let txid = transaction(1, &[]).compute_txid();
        let said = if verdict.is_good() { Ok(()) } else { Err(Refusal { txid, verdict }) };
        reply.send(said).expect("the answer is kept");
        outstanding.settle();
    }

    fn count(outstanding: &Outstanding) -> usize {
        outstanding.all().count()
    }

    #[test]
    fn a_package_stays_until_bitcoind_has_it() {
        let mut outstanding = Outstanding::default();
        let package = vec![transaction(1, &[])];
        let number = outstanding.add(package.clone()).expect("not there yet");
        assert!(!outstanding.settle());
        let (reply, answer) = oneshot::channel();
        outstanding.offered(number, answer);
        assert!(!outstanding.settle());
        assert_eq!(outstanding.all().collect::<Vec<_>>(), [&package]);
        reply.send(Ok(())).expect("the answer is kept");
        assert!(outstanding.settle());
        assert!(!outstanding.settle());
        assert_eq!(count(&outstanding), 0);
    }

    #[test]
    fn a_package_that_nobody_sends_any_more_stays() {
        let mut outstanding = Outstanding::default();
        let number = outstanding.add(vec![transaction(1, &[])]).expect("not there yet");
        let (_, answer) = oneshot::channel();
        outstanding.offered(number, answer);
        assert!(!outstanding.settle());
        assert_eq!(count(&outstanding), 1);
    }

    #[test]
    fn what_ldk_repeats_is_offered_once_at_a_time() {
        let mut outstanding = Outstanding::default();
        let package = vec![transaction(1, &[])];
        let number = outstanding.add(package.clone()).expect("not there yet");
        assert_eq!(outstanding.add(package.clone()), None);
        answer(&mut outstanding, number, Verdict::InputsGone("not yet".into()));
        assert_eq!(outstanding.add(package), Some(number), "refused: it is tried at once");
        assert_eq!(count(&outstanding), 1);
    }

    #[test]
    fn of_packages_that_spend_the_same_coins_the_first_and_the_last_stay() {
        let mut outstanding = Outstanding::default();
        let commitment = transaction(1, &[]);
        let bump = |number| vec![commitment.clone(), transaction(number, &[&commitment])];
        let other = vec![transaction(2, &[])];
        outstanding.add(bump(10)).expect("not there yet");
        outstanding.add(other.clone()).expect("not there yet");
        for number in 11..=13 {
            outstanding.add(bump(number)).expect("not there yet");
            let kept: Vec<_> = outstanding.all().collect();
            assert_eq!(kept, [&bump(10), &other, &bump(number)]);
        }
        // Without its child it is another thing.
        outstanding.add(vec![commitment.clone()]).expect("not there yet");
        assert_eq!(count(&outstanding), 4);
    }

    #[test]
    fn a_refusal_counts_for_good_after_a_day() {
        for (verdict, is_kept) in [
            (Verdict::FeeTooLow("1 < 2".into()), true),
            (Verdict::TooEarly("non-final".into()), true),
            (Verdict::Conflicts("insufficient fee".into()), false),
            (Verdict::InputsGone("missing".into()), false),
            (Verdict::Refused("mempool full".into()), false),
        ] {
            let mut outstanding = Outstanding::default();
            let mut tries_at = vec![0];
            answered(&mut outstanding, vec![transaction(1, &[])], verdict.clone());
            for tick in 1..2 * HALF_MINUTES_OF_A_DAY {
                for (number, _) in outstanding.due() {
                    answer(&mut outstanding, number, verdict.clone());
                    tries_at.push(tick);
                }
            }
            assert_eq!(count(&outstanding), usize::from(is_kept), "{verdict:?}");
            assert_eq!(tries_at[..5], [0, 1, 3, 7, 15], "{verdict:?}");
            let last_try = tries_at[tries_at.len() - 1];
            let a_day = HALF_MINUTES_OF_A_DAY * 9 / 10..HALF_MINUTES_OF_A_DAY * 11 / 10;
            assert_eq!(a_day.contains(&last_try), !is_kept, "{verdict:?}: {last_try}");
        }
    }

    #[test]
    fn only_so_many_doubtful_ones_are_kept() {
        let mut outstanding = Outstanding::default();
        let parents: Vec<_> = (1..=250).map(|number| transaction(number, &[])).collect();
        let poor = vec![transaction(1_000, &[&parents[0]])];
        answered(&mut outstanding, poor.clone(), Verdict::FeeTooLow("1 < 2".into()));
        for parent in &parents[1..] {
            let gone = vec![transaction(2_000, &[parent])];
            answered(&mut outstanding, gone, Verdict::InputsGone("missing".into()));
        }
        assert_eq!(count(&outstanding), MOST_DOUBTFUL + 1);
        assert_eq!(outstanding.all().next(), Some(&poor), "its coins are there");
    }
}
