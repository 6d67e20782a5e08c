//! Money on chain when it is needed: the anchor reserve is confirmed, in several coins, and never spent.
use anyhow::{Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::{ANNOUNCE_DEPTH, follow_open, new_address};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, refused, wallet};
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{GetInfoRequest, WalletSendRequest};
use tonic::Code;

async fn send_to(to: &Node, amount_sat: u64) -> Result<WalletSendRequest> {
    let address = new_address(to).await?.to_string();
    let amount = Some(Amount::AmountSat(amount_sat));
    Ok(WalletSendRequest { address, amount, ..WalletSendRequest::default() })
}

#[test]
fn a_node_with_one_coin_can_close_its_channel_by_force_before_the_change_is_in_a_block() {
    scenario::run("onecoin", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 3_000_000, 1).await?;
        network.give_node(1, 3_000_000, 1).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let first = channel::open(network, 0, 1, channel::open_request(bob, 1_000_000, 0)).await?;
        ensure!(wallet::unspent(alice).await?.len() == 2, "the change is in two coins");

        // A second open leaves the reserve of the first in a block.
        let request = channel::open_request(bob, 1_000_000, 0);
        let mut stream = alice.channels().open(request).await?.into_inner();
        network.follow_to_mempool(&mut stream).await?;
        let balance = wallet::balance(alice).await?;
        ensure!(balance.confirmed_sat >= 25_000, "nothing confirmed is left: {balance:?}");
        channel::force_close(alice, &first.channel_id).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(ANNOUNCE_DEPTH).await?;
        follow_open(&mut stream, State::Ready).await?;
        chain::sweep_everything(network).await?;
        Ok(())
    });
}

#[test]
fn a_coin_that_is_the_whole_reserve_is_split_and_sends_wait_for_it() {
    scenario::run("split", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 3_000_000, 2).await?;
        network.give_node(1, 1_000_000, 1).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        channel::open(network, 0, 1, channel::open_request(bob, 1_000_000, 0)).await?;

        let request = send_to(alice, 300_000).await?;
        let words = "try again when the split is in a block";
        let outcome = bob.wallet().send(request.clone()).await;
        refused(outcome, Code::FailedPrecondition, words)?;
        chain::mempool_holds_some(network).await?;
        poll::eventually("info warns of the reserve", async || {
            let info = bob.node().get_info(GetInfoRequest {}).await?.into_inner();
            let warned = info.warnings.iter().any(|warning| warning.contains("anchor reserve"));
            Ok(if warned { Look::Done(()) } else { Look::NotYet(format!("{:?}", info.warnings)) })
        })
        .await?;
        let outcome = bob.wallet().send(request.clone()).await;
        refused(outcome, Code::FailedPrecondition, "not confirmed")?;

        network.mine(1).await?;
        poll::eventually("the split is in a block", async || {
            let unspent = wallet::unspent(bob).await?;
            let confirmed = unspent.iter().filter(|coin| coin.confirmations > 0).count();
            Ok(if confirmed == 2 { Look::Done(()) } else { Look::NotYet(format!("{unspent:?}")) })
        })
        .await?;
        bob.wallet().send(request).await?;
        let balance = wallet::balance(bob).await?;
        ensure!(balance.confirmed_sat >= balance.reserved_sat, "{balance:?}");
        ensure!(balance.reserved_sat == 25_000, "{balance:?}");
        let info = bob.node().get_info(GetInfoRequest {}).await?.into_inner();
        ensure!(info.warnings.is_empty(), "{:?}", info.warnings);
        network.mine(1).await?;
        Ok(())
    });
}
