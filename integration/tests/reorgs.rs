//! The chain changes its mind about fundings, closes and gifts.
use anyhow::ensure;
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::{Plan, follow_open};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, wallet};
use fulmen_proto::v1::open_channel_update::State as OpenState;

#[test]
fn a_young_funding_is_mined_again_elsewhere() {
    let patient = Settings::default().with("channels", "confirmations", 4);
    scenario::run_with("reorg-funding", patient, async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 2_000_000, 2).await?;
        network.give_node(1, 500_000, 1).await?;
        let request = channel::open_request(&network.nodes[1], 1_000_000, 100_000_000);
        let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
        let funded = network.follow_to_mempool(&mut stream).await?;
        network.mine(2).await?;
        let before = channel::by_id(&network.nodes[0], &funded.channel_id).await?;
        ensure!(before.confirmations == 2, "{before:?}");
        // Gone for three blocks, then there again, in a later one.
        network.reorganise(2, 3).await?;
        let without = channel::by_id(&network.nodes[0], &funded.channel_id).await?;
        ensure!(without.confirmations == 0, "{without:?}");
        network.mine(6).await?;
        follow_open(&mut stream, OpenState::Ready).await?;
        for node in &network.nodes {
            channel::usable(node, &funded.channel_id).await?;
        }
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        pay::transfer(alice, bob, 1_000_000).await?;
        pay::transfer(bob, alice, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn the_funding_of_a_used_channel_is_reorganised() {
    scenario::run("reorg-used", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 50_000_000).await?;
        // LDK closes a channel whose funding has lost its block; the money must come home in any case.
        network.allowed_errors.push("un-confirmed".to_owned());
        network.reorganise(6, 0).await?;
        chain::sweep_everything(network).await?;
        let owned: u64 = {
            let mut sum = 0;
            for node in &network.nodes {
                let balances = wallet::balances(node).await?;
                sum += balances.onchain_confirmed_sat + balances.channels_local_msat / 1_000;
            }
            sum
        };
        ensure!(owned > 30_000_000 - 100_000, "{owned} sat are left");
        Ok(())
    });
}

#[test]
fn a_close_is_mined_again_elsewhere() {
    scenario::run("reorg-close", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let channel = channel::between(alice, bob).await?;
        channel::close(network, 0, &channel.channel_id).await?;
        network.mine(2).await?;
        network.reorganise(3, 2).await?;
        chain::sweep_everything(network).await?;
        for node in &network.nodes {
            let balances = wallet::balances(node).await?;
            ensure!(balances.closing_sat == 0 && balances.channels_local_msat == 0, "{balances:?}");
        }
        Ok(())
    });
}

#[test]
fn a_forced_close_is_mined_again_elsewhere() {
    scenario::run("reorg-force", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let channel = channel::between(alice, bob).await?;
        channel::force_close(alice, &channel.channel_id).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(3).await?;
        network.reorganise(3, 1).await?;
        chain::sweep_everything(network).await?;
        Ok(())
    });
}

#[test]
fn a_gift_loses_its_block() {
    scenario::run("reorg-gift", async |network| {
        network.add_nodes(1).await?;
        network.give_node(0, 900_000, 1).await?;
        wallet::confirmed(&network.nodes[0], 900_000).await?;
        network.reorganise(1, 2).await?;
        ensure!(wallet::balance(&network.nodes[0]).await?.confirmed_sat == 0);
        network.mine(1).await?;
        wallet::confirmed(&network.nodes[0], 900_000).await
    });
}
