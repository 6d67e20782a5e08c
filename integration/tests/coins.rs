//! Coins as an operator handles them: chosen, leased, labelled, bumped, taken back, signed in parts.
use anyhow::{Context as _, Result, ensure};
use bitcoincore_rpc::bitcoin::Txid;
use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Network;
use fulmen_integration::network::funding::{follow_open, new_address};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, refused, wallet};
use fulmen_proto::v1::bump_transaction_request::How;
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::set_label_request::Of;
use fulmen_proto::v1::wallet_output::Amount;
use fulmen_proto::v1::wallet_send_request::Amount as SendAmount;
use fulmen_proto::v1::{
    BumpTransactionRequest, ExportLabelsRequest, FinalizePsbtRequest, FundPsbtRequest,
    ImportLabelsRequest, LeaseOutputRequest, ListLeasesRequest, ListTransactionsRequest,
    OpenChannelRequest, OutPoint, PublishRequest, ReleaseOutputRequest, SetLabelRequest,
    SignPsbtRequest, WalletOutput, WalletSendRequest,
};
use tonic::Code;

async fn waits(network: &Network, txid: &[u8]) -> Result<()> {
    let txid = Txid::from_slice(txid)?;
    poll::eventually("the transaction waits in the mempool", async || {
        let mempool = network.bitcoind.mempool()?;
        let waits = mempool.contains(&txid);
        Ok(if waits { Look::Done(()) } else { Look::NotYet(format!("{mempool:?}")) })
    })
    .await
}

fn output(address: String, amount_sat: u64) -> WalletOutput {
    WalletOutput { address, amount: Some(Amount::AmountSat(amount_sat)) }
}

async fn fresh(node: &Node) -> Result<String> {
    Ok(new_address(node).await?.to_string())
}

/// The coin of this amount.
async fn coin(node: &Node, amount_sat: u64) -> Result<OutPoint> {
    let utxos = wallet::unspent(node).await?;
    let found = utxos.iter().find(|utxo| utxo.amount_sat == amount_sat);
    found.and_then(|utxo| utxo.outpoint.clone()).with_context(|| format!("{utxos:?}"))
}

fn bump(txid: &[u8], sat_per_vb: u64, how: How) -> BumpTransactionRequest {
    BumpTransactionRequest {
        txid: txid.to_vec(),
        feerate_msat_per_vb: sat_per_vb * 1_000,
        how: how.into(),
        ..BumpTransactionRequest::default()
    }
}

#[test]
fn one_transaction_pays_many_from_chosen_coins() {
    scenario::run("coins", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 400_000, 1).await?;
        network.give_node(0, 300_000, 1).await?;
        network.give_node(0, 200_000, 1).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let chosen = coin(alice, 300_000).await?;
        let many = WalletSendRequest {
            outputs: vec![output(fresh(bob).await?, 50_000), output(fresh(bob).await?, 70_000)],
            coins: vec![chosen.clone()],
            feerate_msat_per_vb: 2_000,
            idempotency_key: "many".to_owned(),
            ..WalletSendRequest::default()
        };
        let sent = alice.wallet().send(many.clone()).await?.into_inner();
        ensure!(sent.amount_sat == 120_000, "{sent:?}");
        let again = alice.wallet().send(many.clone()).await?.into_inner();
        ensure!(again.txid == sent.txid, "the same key must not send twice");
        let other = WalletSendRequest { coins: Vec::new(), ..many.clone() };
        refused(alice.wallet().send(other).await, Code::InvalidArgument, "idempotency_key")?;
        let twice = WalletSendRequest { idempotency_key: String::new(), ..many };
        refused(alice.wallet().send(twice).await, Code::FailedPrecondition, "is spent")?;
        waits(network, &sent.txid).await?;
        network.mine(1).await?;
        wallet::confirmed(bob, 120_000).await?;
        wallet::confirmed(alice, 900_000 - 120_000 - sent.fee_sat).await?;

        // The recipient pays the fee: what leaves the wallet is what was asked for.
        let subtract = WalletSendRequest {
            address: fresh(bob).await?,
            amount: Some(SendAmount::AmountSat(100_000)),
            subtract_fee: true,
            feerate_msat_per_vb: 3_000,
            ..WalletSendRequest::default()
        };
        let less = alice.wallet().send(subtract).await?.into_inner();
        ensure!(less.amount_sat + less.fee_sat == 100_000, "{less:?}");
        waits(network, &less.txid).await?;
        let deep = WalletSendRequest {
            address: fresh(bob).await?,
            amount: Some(SendAmount::AmountSat(10_000)),
            min_confirmations: 1_000,
            ..WalletSendRequest::default()
        };
        refused(alice.wallet().send(deep).await, Code::FailedPrecondition, "not enough")?;
        network.mine(1).await?;
        wallet::confirmed(bob, 120_000 + less.amount_sat).await?;

        let rest = fresh(bob).await?;
        let cli = alice.cli()?;
        let (to, and) = (fresh(bob).await?, format!("{rest}=all"));
        let sent = cli.json(&["send", &to, "5000sat", "--and", &and, "--yes"]).await?;
        ensure!(sent["amount_sat"].as_u64().is_some_and(|sat| sat > 600_000), "{sent}");
        poll::eventually("the last send waits", async || {
            let count = network.bitcoind.mempool()?.len();
            Ok(if count == 1 { Look::Done(()) } else { Look::NotYet(format!("{count}")) })
        })
        .await?;
        network.mine(1).await?;
        wallet::confirmed(alice, 0).await
    });
}

#[test]
fn a_send_is_bumped_in_each_way_and_taken_back() {
    scenario::run("bump", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 1_000_000, 3).await?;
        let address = fresh(&network.nodes[1]).await?;
        let send = async |node: &Node| {
            let request = WalletSendRequest {
                address: address.clone(),
                amount: Some(SendAmount::AmountSat(100_000)),
                feerate_msat_per_vb: 1_000,
                ..WalletSendRequest::default()
            };
            anyhow::Ok(node.wallet().send(request).await?.into_inner())
        };
        let first = send(&network.nodes[0]).await?;
        waits(network, &first.txid).await?;
        let alice = &network.nodes[0];
        let low = alice.wallet().bump(bump(&first.txid, 1, How::Replace)).await;
        ensure!(low.is_err(), "the same feerate again would not be relayed");
        let dry = BumpTransactionRequest { dry_run: true, ..bump(&first.txid, 5, How::Replace) };
        let quote = alice.wallet().bump(dry).await?.into_inner();
        ensure!(network.bitcoind.mempool()?.len() == 1, "a dry run sends nothing");
        let replaced = alice.wallet().bump(bump(&first.txid, 5, How::Unspecified)).await?;
        let replaced = replaced.into_inner();
        ensure!(replaced.how() == How::Replace && replaced.added_sat == quote.added_sat);
        ensure!(replaced.fee_sat == first.fee_sat + replaced.added_sat, "{replaced:?}");
        waits(network, &replaced.txid).await?;
        ensure!(network.bitcoind.mempool()?.len() == 1, "one takes the place of the other");
        let late = alice.wallet().bump(bump(&first.txid, 9, How::Replace)).await;
        refused(late, Code::FailedPrecondition, "was replaced")?;

        // A kill right after a bump: the replacement is what is sent and counted again.
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let alice = &network.nodes[0];
        let child = alice.wallet().bump(bump(&replaced.txid, 12, How::Child)).await?.into_inner();
        ensure!(child.how() == How::Child && child.vsize < 120, "{child:?}");
        waits(network, &child.txid).await?;
        network.mine(1).await?;
        wallet::confirmed(&network.nodes[1], 100_000).await?;
        let paid = replaced.fee_sat + child.fee_sat;
        wallet::confirmed(alice, 3_000_000 - 100_000 - paid).await?;

        let second = send(alice).await?;
        waits(network, &second.txid).await?;
        let txid = explorer(&second.txid);
        let cancel = ["wallet", "cancel", &txid, "--feerate", "4", "--yes"];
        let cancelled = alice.cli()?.json(&cancel).await?;
        let fee_sat = cancelled["fee_sat"].as_u64().context("a fee")?;
        poll::eventually("only the cancellation waits", async || {
            let mempool = network.bitcoind.mempool()?;
            let gone = !mempool.contains(&Txid::from_slice(&second.txid)?);
            Ok(if gone && mempool.len() == 1 {
                Look::Done(())
            } else {
                Look::NotYet(format!("{mempool:?}"))
            })
        })
        .await?;
        network.mine(1).await?;
        wallet::confirmed(alice, 3_000_000 - 100_000 - paid - fee_sat).await?;
        wallet::confirmed(&network.nodes[1], 100_000).await?;
        let confirmed = alice.wallet().bump(bump(&replaced.txid, 50, How::Unspecified)).await;
        refused(confirmed, Code::FailedPrecondition, "is confirmed")?;
        let unknown = alice.wallet().bump(bump(&[7; 32], 50, How::Unspecified)).await;
        refused(unknown, Code::NotFound, "unknown to this wallet")?;
        Ok(())
    });
}

fn explorer(txid: &[u8]) -> String {
    fulmen_integration::cli::hex(&txid.iter().rev().copied().collect::<Vec<_>>())
}

#[test]
fn a_leased_coin_is_left_alone_and_labels_travel() {
    scenario::run("leases", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 500_000, 1).await?;
        network.give_node(0, 100_000, 1).await?;
        let alice = &network.nodes[0];
        let large = coin(alice, 500_000).await?;
        let lease = |name: &str| LeaseOutputRequest {
            outpoint: Some(large.clone()),
            name: name.to_owned(),
            expiry_secs: 3_600,
        };
        alice.wallet().lease_output(lease("shop")).await?;
        let taken = alice.wallet().lease_output(lease("other")).await;
        refused(taken, Code::FailedPrecondition, "leased until")?;
        ensure!(wallet::balance(alice).await?.spendable_sat == 100_000);
        network.nodes[0].restart().await?;
        let alice = &network.nodes[0];
        let leases = alice.wallet().list_leases(ListLeasesRequest {}).await?.into_inner().leases;
        ensure!(leases.len() == 1 && leases[0].amount_sat == 500_000, "{leases:?}");
        let too_much = wallet::send(alice, &fresh(&network.nodes[1]).await?, 200_000).await;
        ensure!(too_much.is_err(), "the leased coin must not pay");
        let named = WalletSendRequest {
            address: fresh(&network.nodes[1]).await?,
            amount: Some(SendAmount::AmountSat(200_000)),
            coins: vec![large.clone()],
            ..WalletSendRequest::default()
        };
        refused(alice.wallet().send(named).await, Code::FailedPrecondition, "is leased")?;
        let release = |name: &str| ReleaseOutputRequest {
            outpoint: Some(large.clone()),
            name: name.to_owned(),
        };
        let stranger = alice.wallet().release_output(release("other")).await;
        refused(stranger, Code::FailedPrecondition, "leased until")?;
        alice.wallet().release_output(release("shop")).await?;
        ensure!(wallet::balance(alice).await?.spendable_sat == 600_000);

        let of = Some(Of::Txid(large.txid.clone()));
        let label = "from \"the\" faucet".to_owned();
        alice.wallet().set_label(SetLabelRequest { of, label: label.clone() }).await?;
        let of = Some(Of::Outpoint(large.clone()));
        alice.wallet().set_label(SetLabelRequest { of, label: "cold".to_owned() }).await?;
        let listed = alice.wallet().list_transactions(ListTransactionsRequest::default()).await?;
        let listed = listed.into_inner().transactions;
        ensure!(listed.iter().any(|tx| tx.label == label), "{listed:?}");
        let exported =
            alice.wallet().export_labels(ExportLabelsRequest {}).await?.into_inner().labels;
        ensure!(
            exported.lines().count() == 2 && exported.contains("\"type\":\"output\""),
            "{exported}"
        );
        // Bob has none of these transactions: only the output's label is taken.
        let bob = &network.nodes[1];
        let request = ImportLabelsRequest { labels: exported.clone() };
        let imported = bob.wallet().import_labels(request).await?.into_inner();
        ensure!((imported.taken, imported.skipped) == (1, 1), "{imported:?}");
        let broken = ImportLabelsRequest { labels: format!("{exported}no label\n") };
        refused(bob.wallet().import_labels(broken).await, Code::InvalidArgument, "line 3")?;
        Ok(())
    });
}

#[test]
fn a_transaction_is_funded_signed_finished_and_published_in_parts() {
    scenario::run("psbt", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 500_000, 2).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let request = FundPsbtRequest {
            outputs: vec![output(fresh(bob).await?, 250_000)],
            feerate_msat_per_vb: 2_000,
            ..FundPsbtRequest::default()
        };
        let funded = alice.wallet().fund_psbt(request).await?.into_inner();
        ensure!(funded.amount_sat == 250_000 && funded.leases.len() == 1, "{funded:?}");
        ensure!(wallet::balance(alice).await?.spendable_sat == 500_000, "its coin is leased");
        let unsigned = FinalizePsbtRequest { psbt: funded.psbt.clone() };
        refused(
            alice.wallet().finalize_psbt(unsigned).await,
            Code::FailedPrecondition,
            "waits for",
        )?;
        let foreign = SignPsbtRequest { psbt: funded.psbt.clone() };
        refused(bob.wallet().sign_psbt(foreign).await, Code::FailedPrecondition, "no coin of")?;
        let signed = alice.wallet().sign_psbt(SignPsbtRequest { psbt: funded.psbt }).await?;
        let signed = signed.into_inner();
        ensure!(signed.complete && signed.signed_inputs == 1, "{signed:?}");
        let again = SignPsbtRequest { psbt: signed.psbt.clone() };
        refused(alice.wallet().sign_psbt(again).await, Code::FailedPrecondition, "signed already")?;
        let whole = alice.wallet().finalize_psbt(FinalizePsbtRequest { psbt: signed.psbt }).await?;
        let whole = whole.into_inner();
        ensure!(whole.fee_sat == funded.fee_sat && network.bitcoind.mempool()?.is_empty());
        // What nobody can mine is refused, and the wallet counts nothing of it.
        let mut stolen = whole.transaction.clone();
        let last = stolen.len() - 10;
        stolen[last] ^= 1;
        let publish = PublishRequest { transaction: stolen, label: String::new() };
        refused(bob.wallet().publish(publish).await, Code::FailedPrecondition, "does not take")?;
        wallet::unconfirmed(bob, 0).await?;
        let publish = PublishRequest { transaction: whole.transaction, label: "deal".to_owned() };
        let published = alice.wallet().publish(publish).await?.into_inner();
        ensure!(published.txid == whole.txid);
        waits(network, &whole.txid).await?;
        network.mine(1).await?;
        wallet::confirmed(bob, 250_000).await?;
        wallet::confirmed(alice, 750_000 - whole.fee_sat).await?;
        let listed = alice.wallet().list_transactions(ListTransactionsRequest::default()).await?;
        ensure!(listed.into_inner().transactions[0].label == "deal");

        wallet::confirmed(bob, 250_000).await
    });
}

#[test]
fn a_channel_is_funded_from_chosen_coins_and_closes_to_the_address_that_was_fixed() {
    scenario::run("open-options", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 1_000_000, 1).await?;
        network.give_node(0, 600_000, 1).await?;
        network.give_node(1, 200_000, 1).await?;
        let cold = fresh(&network.nodes[1]).await?;
        let chosen = coin(&network.nodes[0], 600_000).await?;
        let request = OpenChannelRequest {
            coins: vec![chosen.clone()],
            close_address: cold.clone(),
            ..channel::open_request(&network.nodes[1], 400_000, 0)
        };
        let impatient = OpenChannelRequest { zero_conf: true, ..request.clone() };
        let mut stream = network.nodes[0].channels().open(impatient).await?.into_inner();
        let failed = follow_open(&mut stream, State::Ready).await;
        let why = failed.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(why.contains("only after 1 confirmations"), "{why}");
        ensure!(network.bitcoind.mempool()?.is_empty(), "nothing was spent");

        let opened = channel::open(network, 0, 1, request).await?;
        let left = wallet::unspent(&network.nodes[0]).await?;
        ensure!(left.iter().all(|utxo| utxo.outpoint != Some(chosen.clone())), "{left:?}");
        ensure!(left.iter().any(|utxo| utxo.amount_sat == 1_000_000), "the other coin stays");
        let elsewhere = fulmen_proto::v1::CloseChannelRequest {
            address: fresh(&network.nodes[0]).await?,
            ..channel::close_request(&opened.channel_id)
        };
        let close = network.nodes[0].channels().close(elsewhere).await;
        refused(close, Code::FailedPrecondition, "was fixed when it was opened")?;
        let before = wallet::balance(&network.nodes[1]).await?.confirmed_sat;
        channel::close(network, 0, &opened.channel_id).await?;
        poll::eventually("bob's address has alice's money", async || {
            let now = wallet::balance(&network.nodes[1]).await?.confirmed_sat;
            Ok(if now > before + 390_000 { Look::Done(()) } else { Look::NotYet(format!("{now}")) })
        })
        .await?;
        network.abandoned_at_most_sat = 0;
        Ok(())
    });
}
