//! Packages that were sent and that bitcoind has not accepted yet.
//!
//! LDK sends some transactions only once, so a package stays here, and in every checkpoint, until bitcoind has it. A
//! refusal is final only after a day: bitcoind may have lost its newest blocks in a power cut, lag behind, or have a
//! full mempool.
//!
//! Their number is bounded: of packages that spend the same coins the first and the last are kept; one whose coins
//! bitcoind does not find is retried for a day, and only a limited number of those is kept.

use std::collections::HashSet;

use bitcoin::{OutPoint, Transaction, Txid};
use tokio::sync::oneshot::error::TryRecvError;

use crate::chain::{Answer, BroadcastRefusal, Verdict};

/// The longest pause before a refused package is sent again, as a power of two, in ticks of 30 seconds: half an hour.
const LONGEST_PAUSE_LOG2: u32 = 6;
/// Refusals after which a doubtful package is given up: a day with these pauses.
const MOST_REFUSALS: u32 = 50;
/// Most packages kept whose coins may be gone; a restart begins their day again.
const MOST_DOUBTFUL: usize = 64;

/// Identifies a package until the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageId(u64);

/// Packages in the order in which they were sent.
#[derive(Default)]
pub struct Rebroadcaster {
    packages: Vec<Package>,
    last_id: u64,
}

struct Package {
    id: PackageId,
    transactions: Vec<Transaction>,
    standing: Standing,
    refusals: u32,
}

enum Standing {
    /// About to be offered.
    Leaving,
    /// Offered; bitcoind has not answered.
    Asked(Answer),
    /// Refused for now.
    Refused {
        /// Ticks until the next attempt.
        pause: u32,
        /// Its coins may be gone.
        doubtful: bool,
    },
}

impl Rebroadcaster {
    /// Returns all packages.
    pub fn all(&self) -> impl Iterator<Item = &Vec<Transaction>> {
        self.packages.iter().map(|package| &package.transactions)
    }

    /// Adds a package for the caller to offer to bitcoind; returns none if it is being offered already.
    pub fn add(&mut self, transactions: Vec<Transaction>) -> Option<PackageId> {
        let same = self.packages.iter_mut().find(|package| package.transactions == transactions);
        if let Some(package) = same {
            return package.is_refused().then(|| package.leave());
        }
        // The first stays too: a cooperative close is better than the commitment that LDK sends after a restart.
        let mut is_first = true;
        self.packages.retain(|package| {
            !is_superseded(&package.transactions, &transactions) || std::mem::take(&mut is_first)
        });
        self.last_id += 1;
        let id = PackageId(self.last_id);
        let standing = Standing::Leaving;
        self.packages.push(Package { id, transactions, standing, refusals: 0 });
        Some(id)
    }

    /// Records that a package was offered and that `answer` will come.
    pub fn offered(&mut self, id: PackageId, answer: Answer) {
        if let Some(package) = self.packages.iter_mut().find(|package| package.id == id) {
            package.standing = Standing::Asked(answer);
        }
    }

    /// Takes in the answers that have arrived; returns whether some package is done.
    pub fn settle(&mut self) -> bool {
        let before = self.packages.len();
        self.packages.retain_mut(|package| !package.is_settled());
        self.forget_oldest_doubtful();
        self.packages.len() < before
    }

    /// Counts a tick down; returns what to offer again.
    pub fn due(&mut self) -> Vec<(PackageId, Vec<Transaction>)> {
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
    fn leave(&mut self) -> PackageId {
        self.standing = Standing::Leaving;
        self.id
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
            // The queue to bitcoind is closed at the end of the daemon: the next start offers it again.
            Err(TryRecvError::Empty | TryRecvError::Closed) => false,
        }
    }

    fn is_given_up(&mut self, refusal: &BroadcastRefusal) -> bool {
        let doubtful = is_doubtful(&refusal.verdict);
        let pause = 1 << self.refusals.min(LONGEST_PAUSE_LOG2);
        self.refusals += 1;
        self.standing = Standing::Refused { pause, doubtful };
        if doubtful && self.refusals >= MOST_REFUSALS {
            tracing::info!(%refusal, "gave up a transaction that bitcoind refused for a day");
            return true;
        }
        false
    }
}

/// Returns whether the transaction's coins may be gone; its maker learns from blocks who spent them.
fn is_doubtful(verdict: &Verdict) -> bool {
    match verdict {
        // bitcoind checks the coins before the fee.
        Verdict::FeeTooLow(_) => false,
        // It becomes valid later.
        Verdict::TooEarly(_) => false,
        Verdict::Accepted
        | Verdict::AlreadyKnown
        | Verdict::AlreadyConfirmed
        | Verdict::Conflicts(_)
        | Verdict::InputsGone(_)
        | Verdict::Refused(_) => true,
    }
}

/// Returns whether `later` contains each transaction of `earlier`, or one that spends one of its coins: then both
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
    fn answered(rebroadcaster: &mut Rebroadcaster, package: Vec<Transaction>, verdict: Verdict) {
        let id = rebroadcaster.add(package).expect("not there yet");
        answer(rebroadcaster, id, verdict);
    }

    fn answer(rebroadcaster: &mut Rebroadcaster, id: PackageId, verdict: Verdict) {
        let (reply, answer) = oneshot::channel();
        rebroadcaster.offered(id, answer);
        let txid = transaction(1, &[]).compute_txid();
        let said = if verdict.is_good() { Ok(()) } else { Err(BroadcastRefusal { txid, verdict }) };
        reply.send(said).expect("the answer is kept");
        rebroadcaster.settle();
    }

    fn count(rebroadcaster: &Rebroadcaster) -> usize {
        rebroadcaster.all().count()
    }

    #[test]
    fn a_package_stays_until_bitcoind_has_it() {
        let mut rebroadcaster = Rebroadcaster::default();
        let package = vec![transaction(1, &[])];
        let id = rebroadcaster.add(package.clone()).expect("not there yet");
        assert!(!rebroadcaster.settle());
        let (reply, answer) = oneshot::channel();
        rebroadcaster.offered(id, answer);
        assert!(!rebroadcaster.settle());
        assert_eq!(rebroadcaster.all().collect::<Vec<_>>(), [&package]);
        reply.send(Ok(())).expect("the answer is kept");
        assert!(rebroadcaster.settle());
        assert!(!rebroadcaster.settle());
        assert_eq!(count(&rebroadcaster), 0);
    }

    #[test]
    fn a_package_that_nobody_sends_any_more_stays() {
        let mut rebroadcaster = Rebroadcaster::default();
        let id = rebroadcaster.add(vec![transaction(1, &[])]).expect("not there yet");
        let (_, answer) = oneshot::channel();
        rebroadcaster.offered(id, answer);
        assert!(!rebroadcaster.settle());
        assert_eq!(count(&rebroadcaster), 1);
    }

    #[test]
    fn what_ldk_repeats_is_offered_once_at_a_time() {
        let mut rebroadcaster = Rebroadcaster::default();
        let package = vec![transaction(1, &[])];
        let id = rebroadcaster.add(package.clone()).expect("not there yet");
        assert_eq!(rebroadcaster.add(package.clone()), None);
        answer(&mut rebroadcaster, id, Verdict::InputsGone("not yet".into()));
        assert_eq!(rebroadcaster.add(package), Some(id), "refused: it is tried at once");
        assert_eq!(count(&rebroadcaster), 1);
    }

    #[test]
    fn of_packages_that_spend_the_same_coins_the_first_and_the_last_stay() {
        let mut rebroadcaster = Rebroadcaster::default();
        let commitment = transaction(1, &[]);
        let bump = |number| vec![commitment.clone(), transaction(number, &[&commitment])];
        let other = vec![transaction(2, &[])];
        rebroadcaster.add(bump(10)).expect("not there yet");
        rebroadcaster.add(other.clone()).expect("not there yet");
        for number in 11..=13 {
            rebroadcaster.add(bump(number)).expect("not there yet");
            let kept: Vec<_> = rebroadcaster.all().collect();
            assert_eq!(kept, [&bump(10), &other, &bump(number)]);
        }
        // Without its child it is another thing.
        rebroadcaster.add(vec![commitment.clone()]).expect("not there yet");
        assert_eq!(count(&rebroadcaster), 4);
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
            let mut rebroadcaster = Rebroadcaster::default();
            let mut tries_at = vec![0];
            answered(&mut rebroadcaster, vec![transaction(1, &[])], verdict.clone());
            for tick in 1..2 * HALF_MINUTES_OF_A_DAY {
                for (id, _) in rebroadcaster.due() {
                    answer(&mut rebroadcaster, id, verdict.clone());
                    tries_at.push(tick);
                }
            }
            assert_eq!(count(&rebroadcaster), usize::from(is_kept), "{verdict:?}");
            assert_eq!(tries_at[..5], [0, 1, 3, 7, 15], "{verdict:?}");
            let last_try = tries_at[tries_at.len() - 1];
            let a_day = HALF_MINUTES_OF_A_DAY * 9 / 10..HALF_MINUTES_OF_A_DAY * 11 / 10;
            assert_eq!(a_day.contains(&last_try), !is_kept, "{verdict:?}: {last_try}");
        }
    }

    #[test]
    fn only_so_many_doubtful_ones_are_kept() {
        let mut rebroadcaster = Rebroadcaster::default();
        let parents: Vec<_> = (1..=250).map(|number| transaction(number, &[])).collect();
        let poor = vec![transaction(1_000, &[&parents[0]])];
        answered(&mut rebroadcaster, poor.clone(), Verdict::FeeTooLow("1 < 2".into()));
        for parent in &parents[1..] {
            let gone = vec![transaction(2_000, &[parent])];
            answered(&mut rebroadcaster, gone, Verdict::InputsGone("missing".into()));
        }
        assert_eq!(count(&rebroadcaster), MOST_DOUBTFUL + 1);
        assert_eq!(rebroadcaster.all().next(), Some(&poor), "its coins are there");
    }
}
