//! Fundings of channels: their locks, their end, and how much can be funded.

use std::collections::HashSet;

use super::*;

fn channel() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::hash(b"channel"))
}

#[tokio::test]
async fn a_funding_locks_its_inputs_until_it_is_confirmed() {
    let mut bench = Bench::with_coins(&[100_000, 60_000]).await;
    let funding = bench
        .wallet
        .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
        .await
        .expect("funded");
    let output = funding.output.iter().find(|output| output.script_pubkey == channel());
    assert_eq!(output.expect("pays the channel").value.to_sat(), 80_000);
    bench.restart();
    let locked = bench.wallet.balance();
    assert!(locked.spendable_sat <= 60_000, "{locked:?}");
    assert_eq!((locked.confirmed_sat, bench.broadcast_txids().len()), (160_000, 0));
    for input in &funding.input {
        assert!(bench.wallet.ledger().bdk.is_outpoint_locked(input.previous_output));
    }

    bench.wallet.announce(&[&funding]).expect("stored");
    assert_eq!(bench.labels()[0], "channel funding");
    let after = bench.wallet.balance();
    assert!(after.confirmed_sat + after.unconfirmed_sat < 80_000);
    assert_eq!(after.spendable_sat, after.confirmed_sat + after.unconfirmed_sat);
    bench.mine(vec![funding]);
    assert_eq!(bench.wallet.ledger().bdk.list_locked_outpoints().count(), 0);
    bench.wallet.discard_fundings_except(&HashSet::new()).expect("stored");
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 0, "a confirmed funding is not discarded");
}

#[tokio::test]
async fn two_fundings_at_once_do_not_share_inputs_or_change() {
    let bench = Bench::with_coins(&[100_000, 100_000]).await;
    let one = bench
        .wallet
        .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
        .await
        .expect("funded");
    let two = bench
        .wallet
        .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
        .await
        .expect("funded");
    assert_ne!(one.input[0].previous_output, two.input[0].previous_output);
    let change = |tx: &Transaction| {
        let other = tx.output.iter().find(|output| output.script_pubkey != channel());
        other.expect("has change").script_pubkey.clone()
    };
    assert_ne!(change(&one), change(&two));
    let third =
        bench.wallet.fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0)).await;
    assert!(matches!(third, Err(Error::InsufficientFunds { spendable_sat: 0, .. })));
}

#[tokio::test]
async fn a_discarded_funding_gives_its_inputs_back_broadcast_or_not() {
    for announced in [false, true] {
        let mut bench = Bench::with_coins(&[100_000]).await;
        let before = bench.wallet.balance();
        let funding = bench
            .wallet
            .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
            .await
            .expect("funded");
        if announced {
            bench.wallet.announce(&[&funding]).expect("stored");
        }
        bench.wallet.discard_funding(funding.compute_txid()).expect("stored");
        bench.wallet.discard_funding(funding.compute_txid()).expect("twice does no harm");
        assert_eq!(bench.wallet.balance(), before);
        bench.restart();
        assert_eq!(bench.wallet.balance(), before);
        bench.wallet.rebroadcast().expect("stored");
        assert_eq!(bench.broadcast_txids(), []);
        // LDK broadcasts it after all: that counts at once, though no second has passed.
        bench.wallet.announce(&[&funding]).expect("stored");
        assert_eq!(bench.wallet.balance().confirmed_sat, 0);
    }
}

#[tokio::test]
async fn after_a_restart_fundings_are_discarded_or_go_out() {
    let mut bench = Bench::with_coins(&[100_000, 100_000]).await;
    let kept = bench
        .wallet
        .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
        .await
        .expect("funded");
    bench
        .wallet
        .fund(&[(channel(), 80_000)], rate(2), &CoinChoice::default(), both(0))
        .await
        .expect("funded");
    bench.restart();
    let known = HashSet::from([kept.compute_txid()]);
    bench.wallet.discard_fundings_except(&known).expect("stored");
    let change_sat: u64 = bench.wallet.balance().unconfirmed_sat;
    assert!((1..20_000).contains(&change_sat), "the other is known to be on its way");
    assert_eq!(bench.wallet.balance().spendable_sat, 100_000 + change_sat);
    assert_eq!(bench.broadcast_txids(), [kept.compute_txid()]);
    bench.wallet.discard_fundings_except(&known).expect("stored");
    assert_eq!(bench.broadcast_txids(), [], "once is enough");
}

#[tokio::test]
async fn the_largest_funding_can_be_funded_and_leaves_the_reserve() {
    for coins in [&[100_000][..], &[30_000, 30_001, 30_002], &[50_000, 700, 700, 700]] {
        for reserve_sat in [0, 25_000] {
            for sat_per_vb in [1, 3, 10] {
                let bench = Bench::with_coins(coins).await;
                // Of the channel that is to be opened: its change may be the reserve.
                let reserve = AnchorReserve { confirmed_sat: 0, total_sat: reserve_sat };
                let more = AnchorReserve { total_sat: reserve_sat + 10_000, ..reserve };
                bench.reserve_sat.send_replace(Some(reserve));
                let case = format!("{coins:?}, reserve {reserve_sat}, {sat_per_vb} sat/vB");
                let rate = rate(sat_per_vb);
                let most = bench
                    .wallet
                    .max_funding_sat(rate, &CoinChoice::default(), reserve)
                    .expect("something");
                let less = bench
                    .wallet
                    .max_funding_sat(rate, &CoinChoice::default(), more)
                    .expect("something");
                assert!(less < most, "{case}");
                let fee = bench
                    .wallet
                    .check_funding(&[most], rate, &CoinChoice::default(), reserve)
                    .expect("fits");
                let spendable = bench.wallet.balance().spendable_sat;
                assert!(
                    bench
                        .wallet
                        .check_funding(&[spendable], rate, &CoinChoice::default(), reserve)
                        .is_err(),
                    "{case}"
                );
                let unused = spendable - most - fee;
                // With a reserve it counts with all coins going in; fewer cost less.
                assert!(unused <= if reserve_sat == 0 { 3 } else { fee * 3 }, "{case}: {unused}");
                let tx = bench
                    .wallet
                    .fund(&[(channel(), most)], rate, &CoinChoice::default(), reserve)
                    .await
                    .expect(&case);
                let paid = tx.output.iter().find(|output| output.script_pubkey == channel());
                assert_eq!(paid.expect("paid").value.to_sat(), most, "{case}");
                bench.mine(vec![tx]);
                assert!(bench.wallet.balance().confirmed_sat >= reserve_sat, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_change_of_the_first_funding_becomes_two_coins() {
    let bench = Bench::with_coins(&[1_000_000]).await;
    let reserve = AnchorReserve { confirmed_sat: 0, total_sat: 25_000 };
    let funding = bench
        .wallet
        .fund(&[(channel(), 500_000)], rate(2), &CoinChoice::default(), reserve)
        .await
        .expect("funded");
    let amounts: Vec<u64> = funding.output.iter().map(|output| output.value.to_sat()).collect();
    assert_eq!((amounts.len(), amounts.contains(&50_000)), (3, true), "{amounts:?}");
    bench.mine(vec![funding]);
    bench.reserve(25_000);
    let spendable_sat = bench.wallet.balance().spendable_sat;
    assert!(spendable_sat > 440_000, "{spendable_sat}: the other coin can be spent at once");

    // With a coin that stays anyway, one change is enough.
    let bench = Bench::with_coins(&[1_000_000, 600_000]).await;
    let funding = bench
        .wallet
        .fund(&[(channel(), 500_000)], rate(2), &CoinChoice::default(), reserve)
        .await
        .expect("funded");
    assert_eq!(funding.output.len(), 2);
}

#[tokio::test]
async fn a_channel_may_lean_on_its_own_change_but_open_channels_may_not() {
    let bench = Bench::with_coins(&[1_000_000]).await;
    let open = AnchorReserve { confirmed_sat: 25_000, total_sat: 50_000 };
    let refused =
        bench.wallet.fund(&[(channel(), 500_000)], rate(2), &CoinChoice::default(), open).await;
    assert!(matches!(refused, Err(Error::ReserveInOneCoin { .. })), "{refused:?}");
    let refused = bench.wallet.check_funding(&[500_000], rate(2), &CoinChoice::default(), open);
    assert!(matches!(refused, Err(Error::ReserveInOneCoin { .. })), "{refused:?}");
}
