//! What is charged for forwarding: by channel, by peer, by default, tried out before, and taken back.
use anyhow::{Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, refused};
use fulmen_proto::v1::set_policy_request::{Scope, Which};
use fulmen_proto::v1::{ChannelRefs, ListNewPoliciesRequest, SetPolicyRequest, SetPolicyResponse};
use tonic::Code;

async fn set(node: &Node, which: Which, ppm: u32, dry_run: bool) -> Result<SetPolicyResponse> {
    let request = SetPolicyRequest {
        which: Some(which),
        proportional_millionths: Some(ppm),
        dry_run,
        ..SetPolicyRequest::default()
    };
    Ok(node.channels().set_policy(request).await?.into_inner())
}

/// The proportional fees of a node's channels, in the order of their list.
async fn charged(node: &Node) -> Result<Vec<u32>> {
    let channels = channel::all(node).await?;
    Ok(channels
        .iter()
        .map(|channel| channel.policy.unwrap_or_default().proportional_millionths)
        .collect())
}

#[test]
fn by_channel_by_peer_and_in_bulk_after_a_dry_run() {
    scenario::run("policies", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        ensure!(charged(bob).await? == [100, 100]);

        let dry = set(bob, Which::All(true), 7, true).await?;
        ensure!(dry.channels_changed == 0 && dry.changes.len() == 2, "{dry:?}");
        ensure!(dry.changes[0].after.unwrap_or_default().proportional_millionths == 7);
        ensure!(charged(bob).await? == [100, 100], "a dry run changes nothing");

        let peer = set(bob, Which::NodeId(carol.id()), 7, false).await?;
        ensure!(peer.channels_changed == 1 && peer.changes[0].node_id == carol.id(), "{peer:?}");
        let to_carol = channel::between(bob, carol).await?;
        let to_alice = channel::between(bob, alice).await?;
        ensure!(to_carol.policy.unwrap_or_default().proportional_millionths == 7);
        ensure!(to_alice.policy.unwrap_or_default().proportional_millionths == 100);

        let both = vec![
            channel::reference(&to_alice.channel_id),
            channel::reference(&to_carol.channel_id),
        ];
        let bulk = Which::Channels(ChannelRefs { channels: both });
        ensure!(set(bob, bulk, 7, false).await?.channels_changed == 1, "one had it already");
        let unknown = vec![channel::reference(&to_alice.channel_id), channel::reference(&[9; 32])];
        let request = SetPolicyRequest {
            which: Some(Which::Channels(ChannelRefs { channels: unknown })),
            base_fee_msat: Some(1),
            ..SetPolicyRequest::default()
        };
        refused(bob.channels().set_policy(request).await, Code::NotFound, "no such channel")?;
        let stranger = SetPolicyRequest {
            which: Some(Which::NodeId(bob.id())),
            base_fee_msat: Some(1),
            ..SetPolicyRequest::default()
        };
        refused(bob.channels().set_policy(stranger).await, Code::InvalidArgument, "node_id")?;
        ensure!(charged(bob).await? == [7, 7], "a refused call changes nothing");

        let cli = bob.cli()?;
        let shown = cli.ok(&["channel", "policy", "all", "--ppm", "9", "--dry-run"]).await?;
        ensure!(shown.contains("Would change 2 channels") && shown.contains("9 ppm"), "{shown}");
        let reset = cli.json(&["channel", "policy", "all", "--reset"]).await?;
        ensure!(reset["channels_changed"] == 2, "{reset}");
        ensure!(charged(bob).await? == [100, 100]);
        Ok(())
    });
}

#[test]
fn new_channels_take_the_policy_of_their_peer_or_of_all() {
    scenario::run("new-policies", async |network| {
        network.add_nodes(3).await?;
        for node in 0..3 {
            network.give_node(node, 2_000_000, 3).await?;
        }
        let carol = fulmen_integration::cli::hex(&network.nodes[2].id());
        let cli = network.nodes[0].cli()?;
        let shown = cli.ok(&["channel", "policy", "--only-new", "--ppm", "11"]).await?;
        ensure!(shown.contains("New channels charge this"), "{shown}");
        let of_peer = ["channel", "policy", "--peer", &carol, "--also-new", "--base-fee", "3msat"];
        cli.ok(&of_peer).await?;
        // What is stored outlives a restart.
        network.nodes[0].restart().await?;
        let alice = &network.nodes[0];
        let known = alice.channels().list_new_policies(ListNewPoliciesRequest {}).await?;
        let known = known.into_inner().policies;
        ensure!(known.len() == 2 && known.iter().all(|of| of.set), "{known:?}");
        let of = |at: usize| known[at].policy.unwrap_or_default();
        ensure!((of(0).base_fee_msat, of(0).proportional_millionths) == (1_000, 11), "{known:?}");
        ensure!((of(1).base_fee_msat, of(1).proportional_millionths) == (3, 11), "{known:?}");
        let table = alice.cli()?.ok(&["channel", "policy", "--only-new"]).await?;
        ensure!(table.contains("all others") && table.contains(&carol[..8]), "{table}");

        let to_bob = channel::open_request(&network.nodes[1], 500_000, 0);
        let ours = channel::open(network, 0, 1, to_bob).await?.policy.unwrap_or_default();
        ensure!((ours.base_fee_msat, ours.proportional_millionths) == (1_000, 11), "{ours:?}");
        // A channel that carol opens takes it as well.
        let from_carol = channel::open_request(&network.nodes[0], 500_000, 0);
        let opened = channel::open(network, 2, 0, from_carol).await?;
        let theirs = channel::by_id(&network.nodes[0], &opened.channel_id).await?;
        let theirs = theirs.policy.unwrap_or_default();
        ensure!((theirs.base_fee_msat, theirs.proportional_millionths) == (3, 11), "{theirs:?}");

        let reset = SetPolicyRequest {
            which: Some(Which::All(true)),
            scope: Scope::New.into(),
            reset: true,
            ..SetPolicyRequest::default()
        };
        network.nodes[0].channels().set_policy(reset).await?;
        let known =
            network.nodes[0].channels().list_new_policies(ListNewPoliciesRequest {}).await?;
        let known = known.into_inner().policies;
        ensure!(!known[0].set && known.len() == 2, "the peer's own stays: {known:?}");
        Ok(())
    });
}
