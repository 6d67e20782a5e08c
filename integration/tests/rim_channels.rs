//! Channels at the rim: refused opens and their words, fees of closes, features that are not offered.
use anyhow::{Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::{Plan, follow_open};
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, refused};
use fulmen_proto::v1::close_channel_update::State as CloseState;
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    CloseChannelRequest, CloseChannelUpdate, ListPeersRequest, OpenChannelRequest, SetPolicyRequest,
};
use tonic::Code;

#[test]
fn a_refused_open_is_answered_with_the_peers_first_words() {
    scenario::run("refused-open", async |network| {
        network.add_nodes(2).await?;
        network.give_node(0, 3_000_000, 4).await?;
        network.give_node(1, 100_000, 1).await?;
        let picky = network.settings().clone().with("channels", "max_capacity_sat", 500_000);
        network.nodes[1].stop().await?;
        network.nodes[1].configure(&network.bitcoind, &picky)?;
        network.nodes[1].launch().await?;
        let [_, bob] = &network.nodes[..] else { unreachable!("two were added") };

        // LDK would ask again without anchors, and the client would see only the answer to that.
        let large = channel::open_request(bob, 1_000_000, 0);
        let words = failure(network, large).await?;
        ensure!(words.contains("1000000 sat is too large"), "{words}");
        ensure!(!words.contains("anchor"), "{words}");

        // The third one at once: bob takes two.
        let mut pending = Vec::new();
        for _ in 0..2 {
            let request = channel::open_request(bob, 100_000, 0);
            let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
            network.follow_to_mempool(&mut stream).await?;
            pending.push(stream);
        }
        let words = failure(network, channel::open_request(bob, 100_000, 0)).await?;
        ensure!(words.contains("2 channels of yours are pending already"), "{words}");
        network.mine(6).await?;
        for mut stream in pending {
            follow_open(&mut stream, OpenState::Ready).await?;
        }
        network.wait_usable().await
    });
}

/// Opens a channel that the peer refuses; returns its words.
async fn failure(network: &Network, request: OpenChannelRequest) -> Result<String> {
    let mut stream = network.nodes[0].channels().open(request).await?.into_inner();
    match follow_open(&mut stream, OpenState::Ready).await {
        Ok(update) => anyhow::bail!("it was opened: {update:?}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[test]
fn a_close_pays_what_was_asked_for_or_is_refused() {
    scenario::run("close-fee", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let first = channel::between(alice, bob).await?.channel_id;
        let second = channel::between(bob, carol).await?.channel_id;

        // The side that does not pay cannot say what is paid; nor can anybody pay less than the mempool takes.
        let at = |msat_per_vb, channel_id: &[u8]| CloseChannelRequest {
            feerate_msat_per_vb: msat_per_vb,
            ..channel::close_request(channel_id)
        };
        let word = "feerate_msat_per_vb";
        refused(bob.channels().close(at(2_000, &first)).await, Code::InvalidArgument, word)?;
        refused(alice.channels().close(at(100, &first)).await, Code::InvalidArgument, word)?;

        // 2 sat/vB are paid exactly, whatever the other side would like, and both sides list it.
        let quoted = quote(alice, at(2_000, &first)).await?;
        let update = channel::follow_close(alice, at(2_000, &first)).await?;
        ensure!(
            update.fee_sat == quoted.fee_sat && update.fee_sat > 0,
            "{update:?} not {quoted:?}"
        );
        network.mine(1).await?;
        for node in [alice, bob] {
            let fee_sat = channel::closed(node, &first).await?.closing_fee_sat;
            ensure!(fee_sat == Some(quoted.fee_sat), "{fee_sat:?} not {quoted:?}");
        }
        // Two P2TR outputs: 193 vbytes.
        ensure!((385..=386).contains(&quoted.fee_sat), "{quoted:?}");

        // Without a feerate it is the estimate, also when the side that does not pay begins.
        let quoted = quote(bob, channel::close_request(&second)).await?;
        ensure!(quoted.fee_sat > 0 && quoted.fee_sat <= quoted.max_fee_sat, "{quoted:?}");
        let theirs = quote(carol, channel::close_request(&second)).await?;
        ensure!((theirs.fee_sat, theirs.max_fee_sat) == (0, 0), "bob pays: {theirs:?}");
        channel::follow_close(carol, channel::close_request(&second)).await?;
        network.mine(1).await?;
        let fee_sat = channel::closed(bob, &second).await?.closing_fee_sat;
        ensure!(fee_sat == Some(quoted.fee_sat), "{fee_sat:?} not {quoted:?}");
        chain::sweep_everything(network).await
    });
}

/// What a close would cost.
async fn quote(node: &Node, request: CloseChannelRequest) -> Result<CloseChannelUpdate> {
    let update =
        channel::follow_close(node, CloseChannelRequest { dry_run: true, ..request }).await?;
    ensure!(update.state() == CloseState::Quoted && update.forced_fee_sat > 0, "{update:?}");
    Ok(update)
}

#[test]
fn what_is_refused_is_not_offered() {
    scenario::run("features", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let peers = alice.peers().list(ListPeersRequest::default()).await?.into_inner().peers;
        let [peer] = &peers[..] else { unreachable!("one peer") };
        ensure!(peer.features.iter().any(|feature| feature.name == "option_anchors"), "{peer:?}");
        for refused in ["option_splice", "option_provide_storage"] {
            ensure!(!peer.features.iter().any(|feature| feature.name == refused), "{peer:?}");
        }
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_policy_that_was_answered_survives_a_kill() {
    scenario::run("policy-kill", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let alice = &network.nodes[0];
        let request = SetPolicyRequest {
            which: Some(Which::All(true)),
            base_fee_msat: Some(4_321),
            ..SetPolicyRequest::default()
        };
        let answer = alice.channels().set_policy(request).await?.into_inner();
        ensure!(answer.channels_changed == 1, "{answer:?}");
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let policy = channel::between(alice, bob).await?.policy.unwrap_or_default();
        ensure!(policy.base_fee_msat == 4_321, "{policy:?}");
        Ok(())
    });
}
