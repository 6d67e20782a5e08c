//! Coins as callers handle them: chosen, leased, bumped and taken back, signed in parts; the reserve stays.

use super::*;
use crate::chain::{Answer, BroadcastRefusal, Offer, Verdict};

/// A bitcoind that takes all, or nothing.
struct Bitcoind {
    takes: bool,
}

impl Offer for Bitcoind {
    fn offer(&self, transactions: Vec<Transaction>) -> Answer {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let verdict = Verdict::Refused("insufficient fee".to_owned());
        let refusal = BroadcastRefusal { txid: transactions[0].compute_txid(), verdict };
        reply.send(if self.takes { Ok(()) } else { Err(refusal) }).expect("it is waited for");
        answer
    }
}

const TAKES: Bitcoind = Bitcoind { takes: true };
const REFUSES: Bitcoind = Bitcoind { takes: false };

fn bump(txid: Txid, sat_per_vb: u64, how: Option<Bump>) -> BumpRequest {
    BumpRequest { txid, feerate: rate(sat_per_vb), how, max_fee_sat: None, dry_run: false }
}

fn coin(bench: &Bench, sat: u64) -> OutPoint {
    let coins = bench.wallet.unspent();
    coins.iter().find(|coin| coin.amount_sat == sat).expect("there is such a coin").outpoint
}

#[tokio::test]
async fn named_coins_pay_alone_and_never_those_of_the_reserve() {
    let bench = Bench::with_coins(&[100_000, 60_000, 30_000]).await;
    bench.reserve(25_000);
    let only = |sats: &[u64]| CoinChoice {
        only: sats.iter().map(|sat| coin(&bench, *sat)).collect(),
        min_confirmations: 0,
    };
    let all = only(&[100_000, 60_000, 30_000]);
    let refused = bench.wallet.send(SendRequest { coins: all, ..request(Value::Exactly(9_000)) });
    assert!(matches!(refused.await, Err(Error::CoinsOfTheReserve { left_sat: 0, .. })));
    let choice = only(&[60_000]);
    let spent = choice.only[0];
    let sent = bench.wallet.send(SendRequest { coins: choice, ..request(Value::Exactly(9_000)) });
    let sent = sent.await.expect("sent");
    let tx = bench.broadcast.0.lock().expect("no panic")[0].clone();
    assert_eq!(tx.compute_txid(), sent.txid);
    assert_eq!(tx.input.iter().map(|input| input.previous_output).collect::<Vec<_>>(), [spent]);
    let again = CoinChoice { only: vec![spent], min_confirmations: 0 };
    let again = bench.wallet.send(SendRequest { coins: again, ..request(Value::Exactly(900)) });
    assert!(matches!(again.await, Err(Error::CoinNotSpendable(_, "is spent"))));
}

#[tokio::test]
async fn a_lease_survives_a_restart_and_its_coin_is_no_reserve() {
    let mut bench = Bench::with_coins(&[100_000, 60_000]).await;
    bench.reserve(25_000);
    let large = coin(&bench, 100_000);
    bench.wallet.lease(large, "shop".to_owned(), 600).await.expect("leased");
    let small = bench.wallet.lease(coin(&bench, 60_000), "shop".to_owned(), 600).await;
    assert!(matches!(small, Err(Error::CoinsOfTheReserve { .. })), "{small:?}");
    bench.restart();
    assert_eq!(bench.wallet.leases().len(), 1);
    assert_eq!(bench.wallet.balance().spendable_sat, 0, "the other coin is the reserve");
    assert!(matches!(bench.wallet.release(large, "thief").await, Err(Error::Leased(..))));
    bench.wallet.release(large, "shop").await.expect("released");
    assert_eq!(bench.wallet.balance().spendable_sat, 100_000);
}

#[tokio::test]
async fn a_replacement_pays_the_same_and_what_bitcoind_refuses_is_undone() {
    let mut bench = Bench::with_coins(&[100_000]).await;
    let sent = bench.wallet.send(request(Value::Exactly(30_000))).await.expect("sent");
    let before = bench.wallet.balance();
    let refused = bench.wallet.bump(bump(sent.txid, 10, None), &REFUSES).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(bench.wallet.balance(), before, "the send counts as before");
    let low = bench.wallet.bump(bump(sent.txid, 2, Some(Bump::Replace)), &TAKES).await;
    assert!(low.is_err(), "nobody would relay it: {low:?}");

    let bumped = bench.wallet.bump(bump(sent.txid, 10, None), &TAKES).await.expect("bumped");
    assert_eq!((bumped.how, bumped.fee_sat), (Bump::Replace, sent.fee_sat + bumped.added_sat));
    let after = bench.wallet.balance();
    assert_eq!(after.unconfirmed_sat, 100_000 - 30_000 - bumped.fee_sat);
    bench.restart();
    let _ = bench.broadcast_txids();
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), [bumped.txid], "the replacement, and only it");

    let cancelled = bench.wallet.bump(bump(bumped.txid, 30, Some(Bump::Cancel)), &TAKES).await;
    let cancelled = cancelled.expect("cancelled");
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 100_000 - cancelled.fee_sat);
    let late = bench.wallet.bump(bump(sent.txid, 50, None), &TAKES).await;
    assert!(matches!(late, Err(Error::NotBumpable(..))), "{late:?}");
}

#[tokio::test]
async fn a_bump_leaves_the_reserve_alone() {
    let bench = Bench::with_coins(&[100_000, 25_000]).await;
    // With the reserve set aside the other coin pays.
    bench.reserve(25_000);
    let sent = bench.wallet.send(request(Value::Exactly(70_000))).await.expect("sent");
    assert_eq!(bench.wallet.balance().confirmed_sat, 25_000);
    // The change holds 29,000 sat or so; at 900 sat/vB the replacement would eat the coin of the reserve.
    let dear = bench.wallet.bump(bump(sent.txid, 900, Some(Bump::Replace)), &TAKES).await;
    assert!(dear.is_err(), "{dear:?}");
    let fine = bench.wallet.bump(bump(sent.txid, 20, Some(Bump::Replace)), &TAKES).await;
    fine.expect("bumped from the change");
    assert!(bench.wallet.balance().confirmed_sat >= 25_000);
}

#[tokio::test]
async fn a_payment_of_others_is_hurried_by_a_child() {
    let bench = Bench::with_coins(&[]).await;
    let payment = bench.payment(90_000).await;
    let txid = payment.compute_txid();
    bench.wallet.apply_mempool(vec![payment]).expect("stored");
    let capped = BumpRequest { max_fee_sat: Some(100), ..bump(txid, 5, None) };
    assert!(matches!(bench.wallet.bump(capped, &TAKES).await, Err(Error::Argument(..))));
    let child = bench.wallet.bump(bump(txid, 5, None), &TAKES).await.expect("bumped");
    assert_eq!(child.how, Bump::Child);
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 90_000 - child.fee_sat);
}

#[tokio::test]
async fn a_psbt_is_signed_unless_it_eats_the_reserve() {
    let bench = Bench::with_coins(&[100_000, 50_000]).await;
    let outputs = vec![(stranger(), Value::Exactly(20_000))];
    let choice = CoinChoice { only: vec![coin(&bench, 100_000)], min_confirmations: 0 };
    let funded = bench.wallet.fund_psbt(outputs, choice, rate(2), "p".to_owned(), 600);
    let funded = funded.await.expect("funded");
    assert_eq!((funded.amount_sat, funded.leases.len(), funded.change.len()), (20_000, 1, 1));
    bench.reserve(60_000);
    let refused = bench.wallet.sign_inputs(funded.psbt.clone());
    assert!(matches!(refused, Err(Error::CoinsOfTheReserve { left_sat: 50_000, .. })));
    bench.reserve(25_000);
    let signed = bench.wallet.sign_inputs(funded.psbt).expect("signed");
    assert!(signed.complete && signed.signed == 1);
    let whole = bench.wallet.finalize_psbt(signed.psbt).expect("whole");
    assert_eq!(whole.fee_sat, funded.fee_sat);
    assert_eq!(bench.broadcast_txids(), [], "nothing is published by signing");
}
