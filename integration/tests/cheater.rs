//! A revoked state is published: the other side takes everything.
use anyhow::ensure;
use fulmen_integration::chaos::stores;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, wallet};

#[test]
fn an_old_commitment_is_punished() {
    scenario::run("cheater", async |network| {
        // The cheater's store and records are of another day than its peer's.
        network.skip_payment_audit = true;
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let channel = {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(alice, bob, 1_000_000).await?;
            channel::between(alice, bob).await?
        };
        network.nodes[0].stop().await?;
        let old = stores::save(&network.nodes[0], "old")?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(alice, bob, 2_000_000_000).await?;
        }
        let honest_sat = wallet::balances(&network.nodes[1]).await?.onchain_confirmed_sat;

        // Alice goes back to the day when she was richer, while bob sleeps.
        network.nodes[0].stop().await?;
        network.nodes[1].stop().await?;
        stores::restore(&network.nodes[0], &old)?;
        network.nodes[0].launch().await?;
        channel::force_close(&network.nodes[0], &channel.channel_id).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;

        network.nodes[1].launch().await?;
        network.wait_synced().await?;
        poll::eventually("bob punishes", async || {
            Ok(if network.bitcoind.mempool()?.is_empty() {
                Look::NotYet("no transaction".to_owned())
            } else {
                Look::Done(())
            })
        })
        .await?;
        // LDK does not foresee that its own node is punished: alice waits for what was hers until its time
        // lock is over, and then finds that it is gone.
        chain::sweep_everything(network).await?;
        let cheater = wallet::balances(&network.nodes[0]).await?;
        ensure!(cheater.closing_sat == 0 && cheater.onchain_unconfirmed_sat == 0, "{cheater:?}");
        let taken_sat =
            wallet::balances(&network.nodes[1]).await?.onchain_confirmed_sat - honest_sat;
        // All but the fees of the commitment and of the justice transaction.
        ensure!(taken_sat > channel.capacity_sat - 20_000, "only {taken_sat} sat were taken");
        Ok(())
    });
}
