//! Payments that no block holds yet: seen in the mempool, dropped from it, and those that stay.

use lightning::sign::ChangeDestinationSourceSync as _;

use super::*;
use crate::chain::ChainSource as _;
use crate::chain::fake::{self, FakeChain};
use crate::wallet::history::mempool::{READ_AT_MOST, Seen};

struct Watch {
    bench: Bench,
    chain: FakeChain,
    seen: Seen,
}

impl Watch {
    fn over(bench: Bench) -> Self {
        Self { bench, chain: FakeChain::new(), seen: Seen::default() }
    }

    async fn look(&mut self, mempool: &[&Transaction]) -> Balance {
        self.chain.set_mempool(mempool.iter().map(|tx| (*tx).clone()).collect());
        let nobody: TransactionObserver = Arc::new(|_| ());
        let looked = self.bench.wallet.look(&self.chain, &nobody, &mut self.seen).await;
        looked.expect("the chain answers");
        self.bench.wallet.balance()
    }

    async fn follow(&self) {
        let best = self.chain.best();
        let block = self.chain.block(best.block_hash).await.expect("known");
        self.bench.wallet.block_connected(&block, best.height);
    }
}

#[tokio::test]
async fn a_payment_shows_while_it_waits_and_only_then() {
    let mut watch = Watch::over(Bench::new());
    let payment = watch.bench.payment(50_000).await;
    let noise = fake::transaction(3, &[]);
    assert_eq!(watch.look(&[&noise, &payment]).await.unconfirmed_sat, 50_000);
    assert_eq!(watch.look(&[&noise]).await, Balance::default());
    assert_eq!(watch.bench.labels(), Vec::<String>::new());
    assert_eq!(watch.look(&[&payment]).await.unconfirmed_sat, 50_000);
    watch.bench.restart();
    watch.seen = Seen::default();
    assert_eq!(watch.look(&[]).await, Balance::default(), "it was dropped while nobody looked");
    assert_eq!(watch.look(&[&payment]).await.unconfirmed_sat, 50_000);

    watch.chain.mine_with(vec![payment.clone()]);
    watch.follow().await;
    let mined = watch.look(&[]).await;
    assert_eq!((mined.confirmed_sat, mined.unconfirmed_sat), (50_000, 0));
    let told = Entry::WalletReceived { txid: payment.compute_txid(), amount_sat: 50_000 };
    assert_eq!(watch.bench.entries().await, [told], "told once, when it was confirmed");
}

#[tokio::test]
async fn a_replacement_takes_the_place_of_what_it_replaces() {
    let mut watch = Watch::over(Bench::new());
    let coin = watch.bench.foreign_outpoint();
    let address = watch.bench.wallet.new_address().await.expect("stored");
    let pay = |sat| transaction_of(vec![coin], vec![(address.script_pubkey(), sat)]);
    assert_eq!(watch.look(&[&pay(50_000)]).await.unconfirmed_sat, 50_000);
    assert_eq!(watch.look(&[&pay(49_000)]).await.unconfirmed_sat, 49_000);
    assert_eq!(watch.bench.labels().len(), 1);
}

#[tokio::test]
async fn nothing_is_dropped_before_the_block_that_may_hold_it_has_come() {
    let mut watch = Watch::over(Bench::new());
    let payment = watch.bench.payment(50_000).await;
    watch.look(&[&payment]).await;
    watch.chain.mine_with(vec![payment]);
    assert_eq!(watch.look(&[]).await.unconfirmed_sat, 50_000);
    watch.follow().await;
    assert_eq!(watch.look(&[]).await.confirmed_sat, 50_000);
}

#[tokio::test]
async fn what_we_send_stays_though_no_mempool_has_it() {
    let bench = Bench::with_coins(&[100_000]).await;
    let mut watch = Watch { chain: FakeChain::new(), seen: Seen::default(), bench };
    watch.bench.wallet.blocks_disconnected(watch.chain.best());
    let coin = watch.bench.foreign_outpoint();
    let swept_to = watch.bench.wallet.get_change_destination_script().expect("a script");
    let sweep = transaction_of(vec![coin], vec![(swept_to, 70_000)]);
    watch.bench.wallet.announce(&[&sweep]).expect("stored");
    let before = watch.bench.wallet.balance().unconfirmed_sat;
    // The payment that a block had held before is a payment by others; the sweep is LDK's.
    assert_eq!((before, watch.look(&[]).await.unconfirmed_sat), (170_000, 70_000));
}

#[tokio::test]
async fn a_full_mempool_is_read_bit_by_bit() {
    let mut watch = Watch::over(Bench::new());
    let waiting: Vec<Transaction> = (0..READ_AT_MOST as u32 + 40)
        .map(|number| fake::transaction(1_000 + number, &[]))
        .collect();
    let mempool: Vec<&Transaction> = waiting.iter().collect();
    watch.look(&mempool).await;
    let read = |watch: &Watch| watch.chain.mempool_reads().iter().map(Vec::len).sum::<usize>();
    assert_eq!(read(&watch), READ_AT_MOST);
    watch.look(&mempool).await;
    assert_eq!(read(&watch), READ_AT_MOST + 40);
    watch.look(&mempool).await;
    assert_eq!(read(&watch), READ_AT_MOST + 40);
    assert!(watch.chain.mempool_reads().iter().all(|together| together.len() <= 25));
}
