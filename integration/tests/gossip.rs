//! Gossip that went past a node is asked for.
use std::time::Duration;

use anyhow::{Result, ensure};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Network;
use fulmen_integration::network::funding::{ANNOUNCE_DEPTH, follow_open};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay};
use fulmen_proto::v1::open_channel_update::State;
use fulmen_proto::v1::{
    ConnectPeerRequest, DisconnectPeerRequest, GetGraphChannelRequest, ListPeersRequest,
};

/// LDK asks for the whole network after so many connections of a run, and never again.
const FULL_SYNCS: usize = 5;

/// How long the news of a channel is repeated by its ends, and some more.
const TOLD_TWICE: Duration = Duration::from_secs(5);

#[test]
fn a_channel_announced_while_nobody_listened_is_asked_for() {
    scenario::run("unheard-of", async |network| {
        network.add_nodes(3).await?;
        for node in 0..3 {
            network.give_node(node, 11_000_000, 2).await?;
        }
        let request = channel::open_request(&network.nodes[2], 10_000_000, 5_000_000_000);
        channel::open(network, 1, 2, request).await?;
        for _ in 0..FULL_SYNCS {
            reconnect(network).await?;
        }

        // Carol misses this gossip, and nobody sends it to her again.
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("three were added") };
        carol.process()?.pause()?;
        bob.peers().disconnect(DisconnectPeerRequest { node_id: carol.id(), force: true }).await?;
        let request = channel::open_request(bob, 10_000_000, 5_000_000_000);
        let mut opening = alice.channels().open(request).await?.into_inner();
        network.follow_to_mempool(&mut opening).await?;
        network.faucet.mine(&network.bitcoind, ANNOUNCE_DEPTH)?;
        let opened = follow_open(&mut opening, State::Ready).await?;
        let opened = channel::usable(alice, &opened.channel_id).await?;
        for node in [alice, bob] {
            knows(node, opened.short_channel_id).await?;
        }
        // A young channel is announced twice within moments; then never again.
        poll::throughout(TOLD_TWICE, "carol is cut off", async || {
            let peers = bob.peers().list(ListPeersRequest::default()).await?.into_inner().peers;
            let cut_off = peers.iter().all(|peer| peer.node_id != carol.id() || !peer.connected);
            ensure!(cut_off, "{peers:?}");
            Ok(())
        })
        .await?;
        carol.process()?.resume()?;
        network.wait_usable().await?;
        knows(carol, opened.short_channel_id).await?;
        pay::transfer(carol, alice, 1_000_000).await?;
        Ok(())
    });
}

async fn reconnect(network: &Network) -> Result<()> {
    let [_, bob, carol] = &network.nodes[..] else { unreachable!("three were added") };
    carol.peers().disconnect(DisconnectPeerRequest { node_id: bob.id(), force: true }).await?;
    let request = ConnectPeerRequest { node_id: bob.id(), address: bob.address() };
    poll::eventually("carol is connected with bob again", async || {
        carol.peers().connect(request.clone()).await?;
        Ok(Look::Done(()))
    })
    .await?;
    network.wait_usable().await
}

async fn knows(node: &Node, short_channel_id: u64) -> Result<()> {
    let what = format!("{} knows both policies of {short_channel_id}", node.name());
    poll::eventually(&what, async || {
        let request = GetGraphChannelRequest { short_channel_id };
        let known = node.graph().get_channel(request).await?.into_inner().channel;
        let known = known.unwrap_or_default();
        ensure!(known.short_channel_id == short_channel_id, "{known:?}");
        let whole = known.one_to_two.is_some() && known.two_to_one.is_some();
        Ok(if whole { Look::Done(()) } else { Look::NotYet(format!("{known:?}")) })
    })
    .await
}
