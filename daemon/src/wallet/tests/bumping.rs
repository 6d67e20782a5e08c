//! What LDK does with the wallet: bumps of commitments, sweeps, and their end.

use bitcoin::Psbt;
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::events::bump_transaction::sync::WalletSourceSync as _;
use lightning::sign::ChangeDestinationSourceSync as _;

use super::*;
use crate::chain::{Answer, Offer};
use crate::storage::Batch;

struct Network2(Mutex<Vec<Txid>>);

impl BroadcasterInterface for Network2 {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.0.lock().expect("no panic").extend(txs.iter().map(|tx| tx.compute_txid()));
    }
}

impl Offer for Network2 {
    fn offer(&self, transactions: Vec<Transaction>) -> Answer {
        self.broadcast_transactions(&transactions.iter().collect::<Vec<_>>());
        tokio::sync::oneshot::channel().1
    }
}

/// A commitment and a bump of it that spends the wallet's only coin.
struct Bump {
    funding: OutPoint,
    commitment: Transaction,
    child: Transaction,
}

async fn bump(bench: &Bench) -> Bump {
    let funding = bench.foreign_outpoint();
    let commitment = bench.foreign(vec![funding], stranger().script_pubkey(), 330);
    let anchor = OutPoint::new(commitment.compute_txid(), 0);
    let coin = bench.wallet.list_confirmed_utxos().expect("lists").remove(0);
    let change = bench.wallet.get_change_script().expect("stored");
    let left_sat = coin.output.value.to_sat() - 1_000;
    let unsigned = transaction_of(vec![anchor, coin.outpoint], vec![(change, left_sat)]);
    let mut psbt = Psbt::from_unsigned_tx(unsigned.clone()).expect("unsigned");
    let spent = [commitment.output[0].clone(), coin.output.clone()];
    for (input, output) in psbt.inputs.iter_mut().zip(&spent) {
        input.witness_utxo = Some(output.clone());
    }
    let child = bench.wallet.sign_psbt(psbt).expect("signed");
    assert_eq!(child.compute_txid(), unsigned.compute_txid());
    assert!(child.input[0].witness.is_empty(), "the anchor is LDK's to sign");
    assert_signed(&child, &spent, &[1]);
    let added = child.weight().to_wu() - unsigned.weight().to_wu();
    // The script signature's length is in both; marker, flag and the anchor's empty witness come with ours.
    assert_eq!(coin.satisfaction_weight, added + 4 - 3);
    Bump { funding, commitment, child }
}

#[tokio::test]
async fn a_bump_signs_only_our_inputs_and_its_coin_can_bump_again() {
    let bench = Bench::with_coins(&[25_000]).await;
    bench.reserve(25_000);
    let bump = bump(&bench).await;
    let network = Arc::new(Network2(Mutex::default()));
    let broadcaster =
        RecordingBroadcaster::new(bench.wallet.clone(), network.clone(), Arc::new(|_| ()));
    broadcaster.broadcast_transactions(&[&bump.commitment, &bump.child]);
    let both = [bump.commitment.compute_txid(), bump.child.compute_txid()];
    assert_eq!(*network.0.lock().expect("no panic"), both);

    bench.reserve(0);
    let balance = bench.wallet.balance();
    assert_eq!((balance.confirmed_sat, balance.unconfirmed_sat), (0, 24_000));
    assert_eq!(balance.spendable_sat, 0, "the change of a bump may vanish");
    assert!(bench.wallet.send(request(Value::All)).await.is_err());
    assert_eq!(bench.wallet.list_confirmed_utxos().expect("lists").len(), 1, "to bump once more");
    bench.wallet.rebroadcast().expect("stored");
    assert_eq!(bench.broadcast_txids(), [], "a bump is LDK's to broadcast");
    assert_eq!(bench.labels().len(), 2, "the commitment is not the wallet's");

    bench.mine(vec![bump.commitment, bump.child]);
    assert_eq!(bench.wallet.balance().spendable_sat, 24_000);
    assert_eq!(bench.wallet.list_confirmed_utxos().expect("lists").len(), 1);
    assert_eq!(bench.entries().await.len(), 1, "the change of a bump is no receipt");
}

#[tokio::test]
async fn a_bump_goes_when_the_peer_closes_with_its_own_commitment() {
    let mut bench = Bench::with_coins(&[25_000]).await;
    let bump = bump(&bench).await;
    bench.wallet.announce(&[&bump.commitment, &bump.child]).expect("stored");
    assert_eq!(bench.wallet.balance().spendable_sat, 0);
    bench.restart();
    bench.mine(vec![bench.foreign(vec![bump.funding], stranger().script_pubkey(), 77_777)]);
    assert_eq!(bench.wallet.balance().spendable_sat, 25_000);
    bench.restart();
    assert_eq!(bench.wallet.balance().spendable_sat, 25_000);
}

#[tokio::test]
async fn a_displaced_bump_that_is_offered_again_stays_displaced() {
    let mut bench = Bench::with_coins(&[25_000]).await;
    let bump = bump(&bench).await;
    let package = vec![bump.commitment.clone(), bump.child.clone()];
    let network = Arc::new(Network2(Mutex::default()));
    let broadcaster = |bench: &Bench| {
        RecordingBroadcaster::new(bench.wallet.clone(), network.clone(), Arc::new(|_| ()))
    };
    drop(broadcaster(&bench).offer(package.clone()));
    {
        let wallet = &bench.wallet;
        let mut ledger = wallet.ledger();
        let displaced = ledger.with_descendants([bump.commitment.compute_txid()].into());
        ledger.evict(displaced, wallet.now());
        wallet.keep(&mut ledger, Batch::new(), &[]).expect("stored").wait().expect("durable");
    }
    assert_eq!(bench.wallet.balance().spendable_sat, 25_000);
    bench.restart();
    drop(broadcaster(&bench).offer_again(package));
    assert_eq!(bench.wallet.balance().spendable_sat, 25_000);
    assert_eq!(network.0.lock().expect("no panic").len(), 4, "bitcoind gets it all the same");
}

#[tokio::test]
async fn a_bump_that_the_wallet_missed_is_announced_when_it_is_offered_again() {
    let bench = Bench::with_coins(&[25_000]).await;
    let bump = bump(&bench).await;
    let network = Arc::new(Network2(Mutex::default()));
    let broadcaster = RecordingBroadcaster::new(bench.wallet.clone(), network, Arc::new(|_| ()));
    drop(broadcaster.offer_again(vec![bump.commitment, bump.child]));
    assert_eq!(bench.wallet.balance().spendable_sat, 0);
    assert_eq!(bench.wallet.balance().unconfirmed_sat, 24_000);
}

#[tokio::test]
async fn what_is_not_ours_is_not_taken_in() {
    let bench = Bench::new();
    let other = bench.foreign(vec![bench.foreign_outpoint()], stranger().script_pubkey(), 1_000);
    bench.wallet.announce(&[&other]).expect("stored");
    assert!(bench.wallet.ledger().bdk.tx_graph().get_tx(other.compute_txid()).is_none());
}

#[tokio::test]
async fn attempts_share_an_address_until_it_is_paid() {
    let bench = Bench::new();
    let sweep_to = || bench.wallet.get_change_destination_script().expect("stored");
    let first = sweep_to();
    assert_eq!(sweep_to(), first);
    assert_ne!(bench.wallet.get_change_script().expect("stored"), first, "bumps have their own");
    let sweep = bench.foreign(vec![bench.foreign_outpoint()], first.clone(), 5_000);
    bench.wallet.announce(&[&sweep]).expect("stored");
    assert_eq!(sweep_to(), first, "the next attempt replaces this one");
    assert_eq!(bench.wallet.balance().spendable_sat, 0);
    bench.mine(vec![sweep]);
    assert_ne!(sweep_to(), first);
    assert_eq!(bench.wallet.balance().spendable_sat, 5_000);
}

#[tokio::test]
async fn without_a_confirmed_coin_our_own_change_bumps() {
    let bench = Bench::with_coins(&[1_000_000]).await;
    let funding_script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::hash(b"channel"));
    let funding =
        bench.wallet.fund(funding_script, 500_000, rate(2), both(0)).await.expect("funded");
    assert_eq!(bench.wallet.list_confirmed_utxos().expect("lists"), [], "not broadcast yet");
    bench.wallet.announce(&[&funding]).expect("stored");
    let coins = bench.wallet.list_confirmed_utxos().expect("lists");
    assert!(coins.iter().all(|coin| coin.outpoint.txid == funding.compute_txid()));
    assert_eq!(coins.len(), 1);

    let payment = bench.payment(70_000).await;
    bench.wallet.apply_mempool(vec![payment.clone()]).expect("stored");
    assert_eq!(bench.wallet.list_confirmed_utxos().expect("lists").len(), 1, "others' may vanish");
    bench.mine(vec![payment]);
    let coins = bench.wallet.list_confirmed_utxos().expect("lists");
    assert_eq!(coins[0].output.value.to_sat(), 70_000, "a confirmed coin comes first");
    assert_eq!(coins.len(), 1);
}
