//! Sending: amounts, fees, the reserve, idempotency, and what happens to it until it is confirmed.

use super::*;
use crate::listing::Filter;

fn keyed(key: &str, value: Value) -> SendRequest {
    SendRequest {
        idempotency_key: Some(key.to_owned()),
        label: "rent".to_owned(),
        ..request(value)
    }
}

#[tokio::test]
async fn a_send_is_broadcast_listed_told_and_confirmed() {
    let mut bench = Bench::with_coins(&[100_000]).await;
    let sent = bench.wallet.send(keyed("a", Value::Exactly(30_000))).await.expect("sent");
    assert_eq!(sent.amount_sat, 30_000);
    assert!((sent.vsize * 2..=sent.vsize * 2 + 3).contains(&sent.fee_sat), "{sent:?}");
    let tx = bench.broadcast.0.lock().expect("no panic")[0].clone();
    assert_eq!(bench.broadcast_txids(), [sent.txid]);
    let spent =
        bench.wallet.ledger().bdk.tx_graph().get_txout(tx.input[0].previous_output).cloned();
    assert_signed(&tx, &[spent.expect("ours")], &[0]);
    let left = 100_000 - 30_000 - sent.fee_sat;
    let balance = bench.wallet.balance();
    assert_eq!((balance.confirmed_sat, balance.unconfirmed_sat), (0, left));
    assert_eq!(balance.spendable_sat, left, "nobody can replace it, so its change can be spent");
    assert_eq!(
        bench.entries().await.last(),
        Some(&Entry::WalletSent { txid: sent.txid, amount_sat: 30_000, fee_sat: sent.fee_sat })
    );
    let listed = &bench
        .wallet
        .transactions(&[], 1, &Filter::default(), |_| true)
        .expect("lists")
        .transactions[0];
    assert_eq!(
        (listed.net_sat, listed.fee_sat),
        (-30_000 - sent.fee_sat as i64, Some(sent.fee_sat))
    );
    assert_eq!((listed.label.as_str(), listed.confirmations), ("rent", 0));

    bench.restart();
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), [sent.txid], "after a restart it is broadcast again");
    bench.mine(vec![tx]);
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), [], "but not once it is confirmed");
    assert_eq!(bench.wallet.balance().confirmed_sat, left);
    assert_eq!(bench.entries().await.len(), 2, "its change is not told as a receipt");
}

#[tokio::test]
async fn the_same_key_is_the_same_send() {
    let mut bench = Bench::with_coins(&[100_000, 100_000]).await;
    let first = bench.wallet.send(keyed("a", Value::Exactly(30_000))).await.expect("sent");
    bench.restart();
    let again = bench.wallet.send(keyed("a", Value::Exactly(30_000))).await.expect("sent");
    assert_eq!((again, bench.broadcast_txids().len()), (first, 1));
    for other in [Value::Exactly(30_001), Value::All] {
        let refused = bench.wallet.send(keyed("a", other)).await;
        assert!(matches!(refused, Err(Error::KeyReused(txid)) if txid == first.txid));
    }
    let second = bench.wallet.send(keyed("b", Value::Exactly(30_000))).await.expect("sent");
    assert_ne!(second.txid, first.txid);
}

#[tokio::test]
async fn a_refused_send_does_not_use_its_key_up() {
    let bench = Bench::with_coins(&[100_000]).await;
    assert!(bench.wallet.send(keyed("a", Value::Exactly(200_000))).await.is_err());
    bench.wallet.send(keyed("a", Value::Exactly(20_000))).await.expect("sent");
}

#[tokio::test]
async fn the_reserve_is_never_eaten_and_stays_confirmed() {
    for (coins, reserve_sat) in [
        (&[100_000][..], 25_000),
        (&[40_000, 40_000, 40_000], 75_000),
        (&[26_000, 900], 25_000),
        (&[26_000, 90_000, 5_000], 25_000),
        (&[10_000, 10_000, 10_000, 10_000, 60_000], 25_000),
    ] {
        for value in
            [1_000, 900, 14_000, 39_500, 44_500, 44_700, 69_900, 74_800, 75_000].map(Value::Exactly)
        {
            let bench = Bench::with_coins(coins).await;
            bench.reserve(reserve_sat);
            let before = bench.wallet.balance();
            assert_eq!(before.reserved_sat, reserve_sat);
            match bench.wallet.send(request(value)).await {
                Ok(sent) => {
                    let left_sat = bench.wallet.balance().confirmed_sat;
                    assert!(left_sat >= reserve_sat, "{left_sat} of {coins:?} after {value:?}");
                    assert!(sent.amount_sat + sent.fee_sat <= before.spendable_sat);
                }
                Err(Error::InsufficientFunds { needed_sat, spendable_sat, reserved_sat }) => {
                    assert_eq!((spendable_sat, reserved_sat), (before.spendable_sat, reserve_sat));
                    assert!(needed_sat > spendable_sat, "{needed_sat} of {spendable_sat}");
                    assert_eq!(bench.wallet.balance(), before);
                }
                Err(Error::ReserveInOneCoin { reserved_sat, coin_sat }) => {
                    assert!(reserved_sat == reserve_sat && coin_sat > reserve_sat);
                    assert_eq!(bench.wallet.balance(), before);
                }
                Err(error) => panic!("{value:?} of {coins:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn all_is_all_but_the_coins_of_the_reserve() {
    let bench = Bench::with_coins(&[100_000, 25_000]).await;
    bench.reserve(25_000);
    assert_eq!(bench.wallet.balance().spendable_sat, 100_000);
    let sent = bench.wallet.send(request(Value::All)).await.expect("sent");
    assert_eq!(sent.amount_sat + sent.fee_sat, 100_000);
    let balance = bench.wallet.balance();
    assert_eq!((balance.confirmed_sat, balance.spendable_sat), (25_000, 0));
    assert!(matches!(
        bench.wallet.send(request(Value::All)).await,
        Err(Error::InsufficientFunds { spendable_sat: 0, reserved_sat: 25_000, .. })
    ));

    bench.reserve(0);
    let sent = bench.wallet.send(request(Value::All)).await.expect("sent");
    assert_eq!(sent.amount_sat + sent.fee_sat, 25_000);
    assert_eq!(bench.wallet.balance(), Balance::default());
}

#[tokio::test]
async fn a_coin_that_holds_the_whole_reserve_is_split_before_the_rest_is_spent() {
    let mut bench = Bench::with_coins(&[1_000_000]).await;
    bench.reserve(25_000);
    assert_eq!(bench.wallet.balance().spendable_sat, 0);
    let refused = bench.wallet.send(request(Value::Exactly(300_000))).await;
    assert!(matches!(refused, Err(Error::ReserveInOneCoin { coin_sat: 1_000_000, .. })));
    let feerates = crate::feerates::Feerates::new(crate::feerates::Config::default());
    let split = bench.wallet.split(&feerates).await.expect("stored").expect("due");
    let amounts: Vec<u64> = split.output.iter().map(|output| output.value.to_sat()).collect();
    assert_eq!((amounts.len(), amounts.contains(&50_000)), (2, true), "{amounts:?}");
    assert_eq!(bench.labels()[0], "split for the anchor reserve");
    assert!(bench.wallet.split(&feerates).await.expect("reads").is_none(), "once is enough");

    // Until it is in a block there is no confirmed reserve: nothing else is spent.
    let refused = bench.wallet.send(request(Value::Exactly(300_000))).await;
    assert!(matches!(refused, Err(Error::ReserveUnconfirmed { confirmed_sat: 0, .. })));
    assert!(bench.wallet.reserve_warning().is_some_and(|warning| warning.contains("0 of 25000")));
    bench.restart();
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), [split.compute_txid()], "a restart broadcasts it");
    bench.mine(vec![split]);
    assert_eq!(bench.wallet.reserve_warning(), None);
    bench.wallet.send(request(Value::Exactly(300_000))).await.expect("sent");
    assert_eq!(bench.wallet.balance().confirmed_sat, 50_000);
    assert!(bench.wallet.split(&feerates).await.expect("reads").is_none(), "small enough");
}

#[tokio::test]
async fn what_is_too_small_or_too_much_is_refused_with_numbers() {
    let bench = Bench::with_coins(&[10_000]).await;
    let says = async |value| {
        let refused = bench.wallet.send(request(value)).await;
        refused.expect_err("must be refused").to_string()
    };
    assert!(
        says(Value::Exactly(100))
            .await
            .starts_with("100 sat is dust: this address takes at least 330")
    );
    assert!(says(Value::Exactly(9_990)).await.contains("10000 sat can be spent"));
    assert!(says(Value::Exactly(u64::MAX)).await.starts_with("not enough on-chain money"));
    bench.reserve(9_900);
    assert!(says(Value::Exactly(900)).await.contains(" 0 sat can be spent (9900 sat are reserved"));
}

#[tokio::test]
async fn unconfirmed_money_of_others_is_not_spent() {
    let bench = Bench::with_coins(&[10_000]).await;
    let payment = bench.payment(90_000).await;
    bench.wallet.apply_mempool(vec![payment]).expect("stored");
    assert_eq!(bench.wallet.balance().spendable_sat, 10_000);
    assert!(bench.wallet.send(request(Value::Exactly(20_000))).await.is_err());
    let sent = bench.wallet.send(request(Value::All)).await.expect("sent");
    assert_eq!(sent.amount_sat + sent.fee_sat, 10_000);
}

#[tokio::test]
async fn chains_of_own_change_are_broadcast_parents_first() {
    let mut bench = Bench::with_coins(&[100_000]).await;
    let mut txids = Vec::new();
    for _ in 0..5 {
        txids.push(bench.wallet.send(request(Value::Exactly(1_000))).await.expect("sent").txid);
    }
    assert_eq!(bench.broadcast_txids(), txids);
    bench.restart();
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), txids);
}

#[tokio::test]
async fn nothing_is_spent_before_the_reserve_is_known() {
    let store = Store::temporary();
    let wallet = open(&store, &watch::Sender::new(None), &Arc::default());
    assert!(matches!(wallet.send(request(Value::All)).await, Err(Error::Starting)));
    assert_eq!(wallet.balance().spendable_sat, 0);
}

#[tokio::test]
async fn transactions_are_listed_newest_first_in_pages() {
    let bench = Bench::with_coins(&[100_000]).await;
    for label in ["one", "two", "three"] {
        let request = SendRequest { label: label.to_owned(), ..request(Value::Exactly(1_000)) };
        bench.wallet.send(request).await.expect("sent");
    }
    let all = Filter::default();
    let page = |token: &[u8]| bench.wallet.transactions(token, 3, &all, |_| true).expect("lists");
    let labels = |page: &TransactionPage| {
        page.transactions.iter().map(|tx| tx.label.clone()).collect::<Vec<_>>()
    };
    let first = page(&[]);
    assert_eq!(labels(&first), ["three", "two", "one"]);
    let second = page(&first.next_token);
    assert_eq!((labels(&second), second.next_token.len()), (vec![String::new()], 0));
    let large = Filter { min_amount_msat: 50_000_000, ..Filter::default() };
    let page = bench.wallet.transactions(&[], 3, &large, |_| true).expect("lists");
    assert_eq!(labels(&page), [""], "only the deposit is of 100,000 sat");
    let words = Filter { words: Some("TWO".to_owned()), ..Filter::default() };
    let page = bench.wallet.transactions(&[], 3, &words, |_| true).expect("lists");
    assert_eq!(labels(&page), ["two"]);
    let confirmed = |transaction: &WalletTransaction| transaction.block_height.is_some();
    let page = bench.wallet.transactions(&[], 3, &all, confirmed).expect("lists");
    assert_eq!(labels(&page), [""], "sends are not confirmed yet");
}

#[tokio::test]
async fn a_coin_that_costs_more_than_it_brings_stays() {
    let bench = Bench::with_coins(&[100_000, 400]).await;
    let request = SendRequest { feerate: rate(10), ..request(Value::All) };
    let sent = bench.wallet.send(request).await.expect("sent");
    assert_eq!(sent.amount_sat + sent.fee_sat, 100_000);
    assert_eq!(bench.wallet.balance().confirmed_sat, 400);
}

#[tokio::test]
async fn each_new_tip_broadcasts_again() {
    let bench = Bench::with_coins(&[100_000]).await;
    let sent = bench.wallet.send(request(Value::Exactly(1_000))).await.expect("sent");
    assert_eq!(bench.broadcast_txids(), [sent.txid]);
    let (tip, tips) = tokio::sync::watch::channel(0);
    let stopping = tokio_util::sync::CancellationToken::new();
    let broadcasting = bench.wallet.clone().keep_broadcasting(tips, stopping.clone());
    let poking = async {
        for height in 1..=2 {
            while bench.broadcast_txids() != [sent.txid] {
                tokio::task::yield_now().await;
            }
            tip.send_replace(height);
        }
        stopping.cancel();
    };
    let (ended, ()) = tokio::join!(broadcasting, poking);
    ended.expect("ends well");
}
