//! Tests of [`Sync`] against a chain in memory: gaps, reorganisations, stale listeners, outages.

use std::sync::{Arc, Mutex};

use bitcoin::block::Header;
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use tokio_util::sync::CancellationToken;

use super::fake::FakeChain;
use super::{Config, Error, Listener, Sync};
use crate::storage::Store;

/// Checks that every call is legal, and writes down all calls of all listeners in one list.
struct Witness {
    name: &'static str,
    best: Mutex<BestBlock>,
    log: Log,
}

type Log = Arc<Mutex<Vec<String>>>;

impl Listen for Witness {
    fn filtered_block_connected(&self, header: &Header, _: &TransactionData<'_>, height: u32) {
        let mut best = self.best.lock().expect("no panic");
        assert_eq!(header.prev_blockhash, best.block_hash, "{} at {height}", self.name);
        assert_eq!(height, best.height + 1, "{}", self.name);
        *best = BestBlock::new(header.block_hash(), height);
        self.log.lock().expect("no panic").push(format!("{}+{height}", self.name));
    }

    fn blocks_disconnected(&self, fork: BestBlock) {
        let mut best = self.best.lock().expect("no panic");
        assert!(fork.height < best.height, "{}", self.name);
        *best = fork;
        self.log.lock().expect("no panic").push(format!("{}-{}", self.name, fork.height));
    }
}

fn listeners(log: &Log, bests: &[(&'static str, BestBlock)]) -> Vec<Listener> {
    let listener = |(name, best): &(&'static str, BestBlock)| {
        let listen = Arc::new(Witness { name, best: Mutex::new(*best), log: log.clone() });
        Listener { name, best: *best, listen }
    };
    bests.iter().map(listener).collect()
}

fn taken(log: &Log) -> String {
    std::mem::take(&mut *log.lock().expect("no panic")).join(" ")
}

fn config() -> Config {
    Config { prefetch_blocks: 4, poll_interval_secs: 1, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn listeners_at_different_heights_meet_at_the_tip() {
    let chain = FakeChain::new();
    chain.mine(5);
    let log = Log::default();
    let bests = [("a", chain.best_at(4)), ("b", chain.best_at(2)), ("c", chain.best())];
    let mut listeners = listeners(&log, &bests);
    let sync = Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    assert_eq!(taken(&log), "b+3 b+4 a+5 b+5");
    assert_eq!(sync.tip().borrow().best_block(), chain.best());
}

#[tokio::test(start_paused = true)]
async fn a_long_gap_is_crossed_in_order_each_block_once() {
    let chain = FakeChain::new();
    chain.mine(3_000);
    let log = Log::default();
    let mut listeners = listeners(&log, &[("a", chain.best_at(0))]);
    Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    let expected: Vec<String> = (1..=3_000).map(|height| format!("a+{height}")).collect();
    assert_eq!(taken(&log), expected.join(" "));
    assert_eq!(chain.block_calls().len(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn all_disconnect_before_any_connects() {
    let chain = FakeChain::new();
    chain.mine(5);
    let log = Log::default();
    let mut stale = vec![("a", chain.best()), ("b", chain.best_at(4))];
    chain.reorganise(3, 2);
    stale.push(("c", chain.best()));
    chain.reorganise(1, 3);
    // A: 1 2 3 4 5, B: 1 2 3' 4', now: 1 2 3' 4" 5" 6"
    let mut listeners = listeners(&log, &stale);
    Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    let expected = "a-2 b-2 c-3 a+3 b+3 a+4 b+4 c+4 a+5 b+5 c+5 a+6 b+6 c+6";
    assert_eq!(taken(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_moves_while_it_is_fetched_is_followed_anew() {
    let chain = FakeChain::new();
    chain.mine(20);
    chain.on_next_block(|chain| chain.reorganise(15, 16));
    let log = Log::default();
    let mut listeners = listeners(&log, &[("a", chain.best_at(2)), ("b", chain.best_at(8))]);
    let sync = Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    assert!(listeners.iter().all(|listener| listener.best == chain.best()));
    assert_eq!(sync.tip().borrow().best_block(), chain.best());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_behind_is_waited_for_and_never_followed_down() {
    let chain = FakeChain::new();
    chain.mine(10);
    let log = Log::default();
    let mut listeners = listeners(&log, &[("a", chain.best())]);
    let (source, store, config) = (chain.clone(), Store::temporary(), config());
    let catch_up = Sync::catch_up(source, &store, &config, &mut listeners);
    let mut catch_up = std::pin::pin!(catch_up);
    // First it has less of the chain than we have seen, then as much, then more.
    chain.reorganise(4, 2);
    for missing in [2, 0] {
        let minute = std::time::Duration::from_secs(60);
        assert!(tokio::time::timeout(minute, &mut catch_up).await.is_err(), "{missing}");
        assert_eq!(taken(&log), "");
        chain.mine(missing);
    }
    chain.mine(1);
    catch_up.await.expect("caught up");
    assert_eq!(taken(&log), "a-6 a+7 a+8 a+9 a+10 a+11");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_the_source_has_lost_is_left_from_memory() {
    let chain = FakeChain::new();
    chain.mine(6);
    let store = Store::temporary();
    let log = Log::default();
    let mut before = listeners(&log, &[("a", chain.best_at(2))]);
    Sync::catch_up(chain.clone(), &store, &config(), &mut before).await.expect("caught up");
    let lost = chain.best();
    chain.lose(2);
    chain.mine(3);
    taken(&log);

    // Where nothing remembers the branch, it is an error that names the listener.
    let mut after = listeners(&log, &[("a", lost)]);
    let forgetful = Store::temporary();
    let outcome = Sync::catch_up(chain.clone(), &forgetful, &config(), &mut after).await;
    let expected = Error::LostBranch { listener: "a", hash: lost.block_hash, height: 6 };
    assert_eq!(outcome.map(|_| ()), Err(expected));
    assert_eq!(taken(&log), "");

    // After a restart with the same store, the way back is known.
    Sync::catch_up(chain.clone(), &store, &config(), &mut after).await.expect("caught up");
    assert_eq!(taken(&log), "a-4 a+5 a+6 a+7");
}

#[tokio::test(start_paused = true)]
async fn runs_through_new_blocks_reorganisations_and_outages() {
    let chain = FakeChain::new();
    chain.mine(2);
    let log = Log::default();
    let mut listeners = listeners(&log, &[("a", chain.best()), ("b", chain.best())]);
    let sync = Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    let mut tip = sync.tip();
    let stopping = CancellationToken::new();
    let run = sync.run(listeners, stopping.clone());
    let script = async {
        let mut reached = async |chain: &FakeChain| {
            let best = chain.best();
            tip.wait_for(|tip| tip.best_block() == best).await.expect("running");
            taken(&log)
        };
        chain.mine(1);
        assert_eq!(reached(&chain).await, "a+3 b+3");
        chain.reorganise(1, 2);
        assert_eq!(reached(&chain).await, "a-2 b-2 a+3 b+3 a+4 b+4");
        chain.go_away();
        chain.mine(2);
        chain.failed_calls(5).await;
        assert_eq!(taken(&log), "");
        chain.come_back();
        assert_eq!(reached(&chain).await, "a+5 b+5 a+6 b+6");
        stopping.cancel();
    };
    let (outcome, ()) = tokio::join!(run, script);
    outcome.expect("no failure");
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_told_only_after_all_have_seen_it() {
    let chain = FakeChain::new();
    let log = Log::default();
    let mut listeners = listeners(&log, &[("a", chain.best())]);
    let sync = Sync::catch_up(chain.clone(), &Store::temporary(), &config(), &mut listeners)
        .await
        .expect("caught up");
    let tip = sync.tip();

    struct Early(tokio::sync::watch::Receiver<super::Tip>);
    impl Listen for Early {
        fn filtered_block_connected(&self, _: &Header, _: &TransactionData<'_>, height: u32) {
            assert!(self.0.borrow().height < height);
        }
        fn blocks_disconnected(&self, _: BestBlock) {}
    }
    let listen = Arc::new(Early(tip.clone()));
    listeners.push(Listener { name: "early", best: chain.best(), listen });
    chain.mine(3);
    let mut sync = sync;
    sync.catch_up_more(&mut listeners).await.expect("caught up");
    assert_eq!(tip.borrow().height, 3);
    assert_eq!(taken(&log), "a+1 a+2 a+3");
}
