//! The life of a channel: opened, paid over both ways, priced, closed by agreement, found again in the history.
use anyhow::{Result, ensure};
use fulmen_integration::network::funding::{Plan, follow_open};
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, wallet};
use fulmen_proto::v1::closed_channel::Kind;
use fulmen_proto::v1::get_channel_response::Channel as Found;
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    GetChannelRequest, GetGraphChannelRequest, OpenChannelRequest, SetPolicyRequest,
};

#[test]
fn open_pay_both_ways_and_close() {
    scenario::run("channel", async |network| {
        network.build(&Plan::one_sided(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let opened = channel::between(alice, bob).await?;
        ensure!(opened.announced && opened.outbound && opened.capacity_sat == 10_000_000);
        ensure!(opened.channel_type.contains("anchors"), "{}", opened.channel_type);

        pay::transfer(alice, bob, 2_000_000_000).await?;
        pay::transfer(bob, alice, 500_000_000).await?;
        pay::keysend(alice, bob, 1_234_567).await?;
        let after = channel::between(alice, bob).await?;
        ensure!(opened.local_msat - after.local_msat == 1_500_000_000 + 1_234_567);

        channel::close(network, 0, &opened.channel_id).await?;
        chain::sweep_everything(network).await?;
        for node in &network.nodes {
            let closed = channel::closed(node, &opened.channel_id).await?;
            ensure!(closed.kind() == Kind::Cooperative && !closed.reason.is_empty(), "{closed:?}");
            ensure!(!closed.closing_txid.is_empty());
            let request =
                GetChannelRequest { channel: Some(channel::reference(&opened.channel_id)) };
            let found = node.channels().get(request).await?.into_inner().channel;
            ensure!(matches!(found, Some(Found::Closed(_))), "{found:?}");
            let balances = wallet::balances(node).await?;
            ensure!(balances.channels_local_msat == 0 && balances.closing_sat == 0);
        }
        Ok(())
    });
}

#[test]
fn open_with_an_own_policy_pushed_and_with_all_the_money() {
    scenario::run("open", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 3_000_000, 1).await?;
        network.give_node(1, 100_000, 1).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let request = OpenChannelRequest {
            policy: Some(fulmen_proto::v1::ForwardPolicy {
                base_fee_msat: 7,
                proportional_millionths: 42,
                cltv_expiry_delta: 60,
            }),
            idempotency_key: "first".to_owned(),
            feerate_msat_per_vb: 2_000,
            ..channel::open_request(bob, 1_000_000, 250_000_000)
        };
        let opened = channel::open(network, 0, 1, request.clone()).await?;
        let policy = opened.policy.unwrap_or_default();
        ensure!((policy.base_fee_msat, policy.proportional_millionths) == (7, 42), "{policy:?}");
        ensure!(opened.remote_msat == 250_000_000, "{opened:?}");

        // The same key again follows the first open.
        let mut again = alice.channels().open(request).await?.into_inner();
        let update = follow_open(&mut again, OpenState::Ready).await?;
        ensure!(update.channel_id == opened.channel_id, "the same key opened a second channel");

        let all = OpenChannelRequest {
            amount: Some(fulmen_proto::v1::open_channel_request::Amount::All(true)),
            ..channel::open_request(bob, 0, 0)
        };
        let second = channel::open(network, 0, 1, all).await?;
        ensure!(second.capacity_sat > 1_800_000, "{second:?}");
        let left = wallet::balance(alice).await?;
        ensure!(left.spendable_sat == 0 && left.confirmed_sat >= left.reserved_sat, "{left:?}");
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_policy_change_reaches_the_network() {
    scenario::run("policy", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let channel = channel::between(bob, carol).await?;
        let request = SetPolicyRequest {
            which: Some(Which::Channel(channel::reference(&channel.channel_id))),
            base_fee_msat: Some(5_000),
            proportional_millionths: Some(1_000),
            cltv_expiry_delta: Some(100),
            ..SetPolicyRequest::default()
        };
        ensure!(bob.channels().set_policy(request).await?.into_inner().channels_changed == 1);
        gossiped(network, 0, channel.short_channel_id, (5_000, 1_000, 100)).await?;
        let payment = pay::transfer(alice, carol, 10_000_000).await?;
        ensure!(payment.fee_msat == 5_000 + 10_000, "{} msat", payment.fee_msat);
        Ok(())
    });
}

/// Waits until a node has heard of a policy in either direction.
async fn gossiped(
    network: &Network,
    node: usize,
    short_channel_id: u64,
    wanted: (u32, u32, u32),
) -> Result<()> {
    poll::eventually("the new policy is known", async || {
        let request = GetGraphChannelRequest { short_channel_id };
        let answer = network.nodes[node].graph().get_channel(request).await?.into_inner();
        let channel = answer.channel.unwrap_or_default();
        let known: Vec<_> = [channel.one_to_two, channel.two_to_one]
            .into_iter()
            .flatten()
            .filter_map(|directed| directed.policy)
            .map(|it| (it.base_fee_msat, it.proportional_millionths, it.cltv_expiry_delta))
            .collect();
        Ok(if known.contains(&wanted) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{known:?}"))
        })
    })
    .await
}
