//! Strangers at the peer port: whatever they do there, payments, gRPC and peers with channels go on.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::pay;
use fulmen_proto::v1::{ConnectPeerRequest, DisconnectPeerRequest, ListPeersRequest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

/// The usual limit of a system service.
const DESCRIPTORS: u64 = 1_024;
const SILENT: usize = 1_800;

/// The strangers are in this process.
fn allow_many_sockets() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("raising the limit of open files")
}

async fn connect_silently(node: &Node, count: usize) -> Result<Vec<TcpStream>> {
    let mut silent = Vec::with_capacity(count);
    for _ in 0..count {
        let address = node.address();
        let connect = async || Ok(Look::Done(TcpStream::connect(&address).await?));
        silent.push(poll::eventually("a stranger connects", connect).await?);
    }
    Ok(silent)
}

async fn connected(node: &Node) -> Result<Vec<Vec<u8>>> {
    let peers = node.peers().list(ListPeersRequest {}).await?.into_inner().peers;
    Ok(peers.into_iter().filter(|peer| peer.connected).map(|peer| peer.node_id).collect())
}

#[test]
fn silent_connections_stop_nothing() {
    let settings = Settings::default().with("node", "handshake_timeout_secs", 5);
    scenario::run_with("rim-silent", settings, async |network| {
        allow_many_sockets()?;
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[1].stop().await?;
        network.nodes[1].set_descriptors(DESCRIPTORS);
        network.nodes[1].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let quiet = bob.process()?.open_descriptors()?;

        let silent = connect_silently(bob, SILENT).await?;
        let flooded = bob.process()?.open_descriptors()?;
        ensure!(flooded < 700, "{flooded} descriptors are open, {quiet} before the flood");
        pay::transfer(alice, bob, 1_000_000).await?;
        pay::transfer(bob, alice, 1_000_000).await?;
        bob.dial_as("readonly").await.context("a new gRPC connection")?;

        // The peer with the channel comes back while the house is full.
        let request = DisconnectPeerRequest { node_id: bob.id(), force: true };
        alice.peers().disconnect(request).await?;
        let more = connect_silently(bob, 200).await?;
        let request = ConnectPeerRequest { node_id: bob.id(), address: bob.address() };
        alice.peers().connect(request).await?;
        network.wait_usable().await?;
        pay::transfer(alice, bob, 1_000_000).await?;

        poll::eventually("the silent connections are closed", async || {
            let open = bob.process()?.open_descriptors()?;
            let are_closed = open < quiet + 20;
            Ok(if are_closed { Look::Done(()) } else { Look::NotYet(format!("{open} are open")) })
        })
        .await?;
        drop((silent, more));
        Ok(())
    });
}

#[test]
fn a_stranger_too_many_goes_and_a_peer_with_a_channel_stays() {
    scenario::run("rim-strangers", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let settings = network.settings().clone().with("node", "max_inbound_peers", 0);
        network.nodes[1].configure(&network.bitcoind, &settings)?;
        network.nodes[1].restart().await?;
        network.wait_usable().await?;
        let carol = network.create_node("carol").await?;
        network.nodes.push(carol);
        network.nodes[2].launch().await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("three") };
        let request = ConnectPeerRequest { node_id: bob.id(), address: bob.address() };
        carol.peers().connect(request).await?;
        poll::eventually("bob lets the stranger go", async || {
            let peers = connected(bob).await?;
            Ok(match peers == [alice.id()] {
                true => Look::Done(()),
                false => Look::NotYet(format!("{} are connected", peers.len())),
            })
        })
        .await?;
        poll::throughout(Duration::from_secs(2), "alice stays", async || {
            ensure!(connected(bob).await?.contains(&alice.id()), "alice is gone");
            Ok(())
        })
        .await?;
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}
