//! Receiving, reorganisations, restarts, and how the wallet is kept.

use super::*;
use crate::chain::fake::FakeChain;
use crate::listing::Filter;

fn received(txid: Txid, amount_sat: u64) -> Entry {
    Entry::WalletReceived { txid, amount_sat }
}

#[tokio::test]
async fn a_payment_is_counted_when_seen_and_told_when_confirmed() {
    let bench = Bench::new();
    let payment = bench.payment(50_000).await;
    let txid = payment.compute_txid();
    bench.wallet.apply_mempool(vec![payment.clone()]).expect("stored");
    let seen = bench.wallet.balance();
    assert_eq!((seen.confirmed_sat, seen.unconfirmed_sat, seen.spendable_sat), (0, 50_000, 0));
    assert_eq!(bench.entries().await, []);

    bench.mine(vec![payment]);
    bench.mine(vec![]);
    let confirmed = bench.wallet.balance();
    assert_eq!((confirmed.confirmed_sat, confirmed.spendable_sat), (50_000, 50_000));
    assert_eq!(bench.entries().await, [received(txid, 50_000)]);
    let listed = bench
        .wallet
        .transactions(&[], 10, &Filter::default(), |_| true)
        .expect("lists")
        .transactions;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].txid, listed[0].net_sat, listed[0].fee_sat), (txid, 50_000, None));
    assert_eq!((listed[0].block_height, listed[0].confirmations), (Some(1), 2));
    assert_eq!(bench.wallet.unspent()[0].confirmations, 2);
}

#[tokio::test]
async fn a_reorganisation_takes_back_and_tells_nothing_twice() {
    let mut bench = Bench::new();
    let genesis = bench.wallet.best_block();
    let payment = bench.payment(50_000).await;
    let txid = payment.compute_txid();
    bench.mine(vec![payment.clone()]);
    bench.mine(vec![]);

    bench.wallet.blocks_disconnected(genesis);
    assert_eq!(bench.wallet.best_block(), genesis);
    let back = bench.wallet.balance();
    assert_eq!((back.confirmed_sat, back.unconfirmed_sat, back.spendable_sat), (0, 50_000, 0));
    bench.restart();
    assert_eq!((bench.wallet.best_block(), bench.wallet.balance()), (genesis, back));

    bench.mine(vec![]);
    bench.mine(vec![payment]);
    assert_eq!(bench.wallet.balance().confirmed_sat, 50_000);
    let listed = bench
        .wallet
        .transactions(&[], 10, &Filter::default(), |_| true)
        .expect("lists")
        .transactions;
    assert_eq!(listed[0].block_height, Some(2));
    assert_eq!(bench.entries().await, [received(txid, 50_000)]);
    bench.restart();
    assert_eq!(bench.wallet.balance().confirmed_sat, 50_000);
    assert_eq!(bench.wallet.best_block().height, 2);
}

#[tokio::test]
async fn blocks_may_be_disconnected_one_by_one_or_replaced_outright() {
    let bench = Bench::new();
    let genesis = bench.wallet.best_block();
    bench.mine(vec![]);
    let first = bench.wallet.best_block();
    let payment = bench.payment(50_000).await;
    bench.mine(vec![payment.clone()]);
    bench.wallet.blocks_disconnected(first);
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 50_000);
    bench.wallet.blocks_disconnected(genesis);
    assert_eq!(bench.wallet.best_block(), genesis);
    // A block that another one replaces without a word.
    bench.mine(vec![payment]);
    let rival = bench.block_on(genesis.block_hash, vec![]);
    bench.wallet.block_connected(&rival, 1);
    assert_eq!(bench.wallet.best_block().block_hash, rival.block_hash());
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 50_000);
}

#[tokio::test]
async fn a_conflicting_payment_in_a_block_displaces_the_one_that_was_seen() {
    let bench = Bench::new();
    let coin = bench.foreign_outpoint();
    let address = bench.wallet.new_address().await.expect("stored");
    let payment = bench.foreign(vec![coin], address.script_pubkey(), 50_000);
    bench.wallet.apply_mempool(vec![payment]).expect("stored");
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 50_000);
    bench.mine(vec![bench.foreign(vec![coin], stranger().script_pubkey(), 49_000)]);
    assert_eq!(bench.wallet.balance(), Balance::default());
    assert_eq!(bench.labels(), Vec::<String>::new());
    assert_eq!(bench.entries().await, [], "what displaced it is nothing that we received");
}

#[tokio::test]
async fn a_restart_keeps_all_and_gives_no_address_twice() {
    let mut bench = Bench::with_coins(&[50_000, 70_000]).await;
    let address = bench.wallet.new_address().await.expect("stored");
    let (best, balance, unspent) =
        (bench.wallet.best_block(), bench.wallet.balance(), bench.wallet.unspent());
    bench.restart();
    assert_eq!(bench.wallet.best_block(), best);
    assert_eq!(bench.wallet.balance(), balance);
    let amounts = |unspent: Vec<Unspent>| {
        let mut amounts: Vec<_> = unspent.into_iter().map(|coin| coin.amount_sat).collect();
        amounts.sort_unstable();
        amounts
    };
    assert_eq!(amounts(bench.wallet.unspent()), amounts(unspent));
    assert_ne!(bench.wallet.new_address().await.expect("stored"), address);
}

#[tokio::test]
async fn many_changes_become_one_and_old_blocks_are_forgotten() {
    let mut bench = Bench::with_coins(&[50_000]).await;
    let genesis = BestBlock::from_network(Network::Regtest);
    for _ in 0..4_200 {
        bench.mine(vec![]);
    }
    let known = bench.wallet.ledger().bdk.checkpoints().count();
    assert!((2_000..4_100).contains(&known), "{known} blocks are remembered");
    let (best, balance) = (bench.wallet.best_block(), bench.wallet.balance());
    assert_eq!(balance.confirmed_sat, 50_000);
    bench.restart();
    assert_eq!((bench.wallet.best_block(), bench.wallet.balance()), (best, balance));
    // A fork point whose hash it has forgotten.
    let forgotten = BestBlock::new(BlockHash::hash(b"forgotten"), 30);
    bench.wallet.blocks_disconnected(forgotten);
    assert_eq!(bench.wallet.best_block(), forgotten);
    assert_eq!(bench.wallet.balance().confirmed_sat, 50_000);
    bench.mine(vec![]);
    bench.restart();
    assert_eq!(bench.wallet.best_block().height, 31);
    bench.wallet.blocks_disconnected(genesis);
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 50_000);
}

#[tokio::test]
async fn coinbase_outputs_mature() {
    let bench = Bench::new();
    let address = bench.wallet.new_address().await.expect("stored");
    bench.mine(vec![bench.foreign(vec![OutPoint::null()], address.script_pubkey(), 50_000)]);
    for _ in 0..98 {
        bench.mine(vec![]);
    }
    let young = bench.wallet.balance();
    assert_eq!((young.immature_sat, young.confirmed_sat, young.spendable_sat), (50_000, 0, 0));
    bench.mine(vec![]);
    let old = bench.wallet.balance();
    assert_eq!((old.immature_sat, old.confirmed_sat, old.spendable_sat), (0, 50_000, 50_000));
}

#[test]
fn a_new_wallet_starts_at_its_birthday() {
    let store = Store::temporary();
    let birthday = BestBlock::new(BlockHash::hash(b"birthday"), 800_000);
    let open = || open_idle(keys(WORDS), &store).expect("opens");
    open().begin_at(birthday).expect("stored");
    assert_eq!(open().best_block(), birthday);
    let earlier = BestBlock::new(BlockHash::hash(b"earlier"), 700_000);
    open().begin_at(earlier).expect("nothing to do");
    assert_eq!(open().best_block(), birthday);
    let later = BestBlock::new(BlockHash::hash(b"later"), 900_000);
    open().begin_at(later).expect("stored");
    assert_eq!(open().best_block(), later);
}

#[tokio::test]
async fn a_wallet_that_knows_of_money_passes_over_no_block() {
    let bench = Bench::with_coins(&[50_000]).await;
    let before = bench.wallet.best_block();
    bench.wallet.begin_at(BestBlock::new(BlockHash::hash(b"later"), 900)).expect("nothing to do");
    assert_eq!(bench.wallet.best_block(), before);
}

#[tokio::test]
async fn a_search_starts_at_the_birthday_and_only_in_blocks_that_are_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let seed = dir.path().join("seed");
    let chain = FakeChain::new();
    chain.mine(1_000);
    let start = async || {
        let store = Store::temporary();
        let wallet = open_idle(keys(WORDS), &store).expect("opens");
        wallet.start_at_birthday(&seed, &chain).await.map(|()| wallet.best_block().height)
    };
    assert_eq!(start().await.expect("from the first block on"), 0);
    chain.prune_below(700);
    let pruned = start().await.expect_err("blocks are gone");
    assert!(matches!(pruned, BirthdayError::Pruned { from: 1, kept_from: 700 }), "{pruned}");
    Birthday::Height(650).store(&seed).expect("written");
    assert_eq!(start().await.expect("a few are fetched back"), 649);
    Birthday::New.store(&seed).expect("written");
    assert_eq!(start().await.expect("nothing before"), 1_000);
    chain.mine(5);
    assert_eq!(start().await.expect("a new wallet of the seed"), 1_000 - 144 - 1);
}

#[test]
fn a_store_belongs_to_one_seed_and_network() {
    let store = Store::temporary();
    open_idle(keys(WORDS), &store).expect("opens");
    let others = open_idle(keys(OTHER_WORDS), &store);
    assert!(matches!(others, Err(Error::OtherSeed(_))));
    let seed = Seed::parse(WORDS).expect("valid");
    let mainnet = SeedKeys::new(&seed, Network::Bitcoin);
    let others = open_idle(mainnet, &store);
    assert!(matches!(others, Err(Error::OtherSeed(_))));
}
