//! On-chain money: funded, spent, listed, emptied, with the anchor reserve kept.
use anyhow::{Result, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::{Plan, new_address};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, refused, wallet};
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{
    ListTransactionsRequest, PageRequest, SubscribeEventsRequest, WalletSendRequest, event,
};
use tonic::Code;

#[test]
fn fund_spend_list_and_empty_a_wallet() {
    scenario::run("onchain", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 1_000_000, 2).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        wallet::confirmed(alice, 2_000_000).await?;

        let address = new_address(bob).await?.to_string();
        let send = WalletSendRequest {
            address: address.clone(),
            amount: Some(Amount::AmountSat(300_000)),
            feerate_msat_per_vb: 3_000,
            idempotency_key: "rent".to_owned(),
            label: "rent for May".to_owned(),
            ..WalletSendRequest::default()
        };
        let sent = alice.wallet().send(send.clone()).await?.into_inner();
        ensure!(sent.amount_sat == 300_000);
        // A signature may come out shorter than what was reckoned with.
        ensure!((sent.vsize * 3..sent.vsize * 3 + 6).contains(&sent.fee_sat), "{sent:?}");
        let again = alice.wallet().send(send).await?.into_inner();
        ensure!(again.txid == sent.txid, "the same key must not send twice");
        chain::mempool_holds_some(network).await?;
        ensure!(network.bitcoind.mempool()?.len() == 1, "one transaction for one key");
        network.mine(1).await?;
        wallet::confirmed(alice, 1_700_000 - sent.fee_sat).await?;
        wallet::confirmed(bob, 300_000).await?;

        let mut page_token = Vec::new();
        let mut listed = Vec::new();
        loop {
            let page = Some(PageRequest { page_size: 1, page_token });
            let answer = alice
                .wallet()
                .list_transactions(ListTransactionsRequest { page, ..Default::default() })
                .await?;
            let answer = answer.into_inner();
            listed.extend(answer.transactions);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        ensure!(listed.len() == 2, "a gift and a send: {listed:?}");
        ensure!(listed[0].txid == sent.txid, "newest first");
        ensure!(listed[0].label == "rent for May" && listed[0].fee_sat == sent.fee_sat);
        ensure!(listed[0].net_sat == -i64::try_from(300_000 + sent.fee_sat)?);
        ensure!(listed[0].confirmations == 1);

        let all = WalletSendRequest {
            address,
            amount: Some(Amount::All(true)),
            ..WalletSendRequest::default()
        };
        let all = alice.wallet().send(all).await?.into_inner();
        ensure!(all.amount_sat + all.fee_sat == 1_700_000 - sent.fee_sat, "all is all: {all:?}");
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        wallet::confirmed(alice, 0).await?;
        ensure!(wallet::unspent(alice).await?.is_empty());
        wallet::confirmed(bob, 300_000 + all.amount_sat).await
    });
}

#[test]
fn a_payment_shows_before_it_is_confirmed_and_goes_when_it_is_replaced() {
    let settings = Settings::default().with("bitcoind", "mempool_interval_secs", 1);
    scenario::run_with("mempool", settings, async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 1_000_000, 1).await?;
        let address = new_address(&network.nodes[1]).await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
            wallet::send(alice, &address.to_string(), 300_000).await?;
            wallet::unconfirmed(bob, 300_000).await?;
            let seen = wallet::balance(bob).await?;
            ensure!(seen.confirmed_sat == 0 && seen.spendable_sat == 0, "{seen:?}");
            let utxos = wallet::unspent(bob).await?;
            ensure!(utxos.len() == 1 && utxos[0].confirmations == 0, "{utxos:?}");
            ensure!(received(bob).await?.is_empty(), "reported only when it is confirmed");
            network.mine(1).await?;
            wallet::confirmed(bob, 300_000).await?;
            // The balance changes at once, the journal once the entry is durable.
            poll::eventually("bob's receipt is in the journal", async || {
                let told = received(bob).await?;
                Ok(if told == [300_000] {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("{told:?}"))
                })
            })
            .await?;
        }

        let gift = network.faucet.give(&network.bitcoind, &[(address, 70_000)])?;
        wallet::unconfirmed(&network.nodes[1], 70_000).await?;
        network.faucet.take_back(&network.bitcoind, gift)?;
        wallet::confirmed(&network.nodes[1], 300_000).await?;
        network.mine(1).await?;
        wallet::confirmed(&network.nodes[1], 300_000).await?;
        network.nodes[1].restart().await?;
        let told = received(&network.nodes[1]).await?;
        ensure!(told == [300_000], "reported twice, or reported although replaced: {told:?}");
        Ok(())
    });
}

/// The journal's entries about on-chain receipts.
async fn received(node: &Node) -> Result<Vec<u64>> {
    let request = SubscribeEventsRequest { until_now: true, ..SubscribeEventsRequest::default() };
    let mut events = node.events().subscribe(request).await?.into_inner();
    let mut amounts_sat = Vec::new();
    while let Some(event) = events.message().await? {
        if let Some(event::What::WalletReceived(received)) = event.what {
            amounts_sat.push(received.amount_sat);
        }
    }
    Ok(amounts_sat)
}

#[test]
fn sending_all_keeps_the_anchor_reserve() {
    scenario::run("reserve", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let before = wallet::balance(alice).await?;
        ensure!(before.reserved_sat > 0, "a channel with anchors needs a reserve: {before:?}");
        let request = WalletSendRequest {
            address: new_address(bob).await?.to_string(),
            amount: Some(Amount::All(true)),
            ..WalletSendRequest::default()
        };
        alice.wallet().send(request).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        let after = wallet::balance(alice).await?;
        ensure!(after.confirmed_sat >= before.reserved_sat, "the reserve was spent: {after:?}");
        let address = new_address(bob).await?.to_string();
        let request = WalletSendRequest {
            address,
            amount: Some(Amount::AmountSat(after.confirmed_sat - 1_000)),
            ..WalletSendRequest::default()
        };
        let outcome = alice.wallet().send(request).await;
        refused(outcome, Code::FailedPrecondition, "")?;
        Ok(())
    });
}
