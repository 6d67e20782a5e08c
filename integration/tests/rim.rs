//! Strangers at the peer port: whatever they do there, payments, gRPC and peers with channels go on.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::{Node, Settings, channels};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{pay, refused};
use fulmen_proto::v1::payment::State;
use fulmen_proto::v1::{
    ConnectPeerRequest, CreateInvoiceRequest, DisconnectPeerRequest, ListPeersRequest, PayRequest,
    PaymentLimits,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;

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
    let peers = node.peers().list(ListPeersRequest::default()).await?.into_inner().peers;
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
        let mut more = connect_silently(bob, 200).await?;
        let request = ConnectPeerRequest { node_id: bob.id(), address: bob.address() };
        alice.peers().connect(request).await?;
        network.wait_usable().await?;
        // It stays, though it was among the last that came before these.
        more.extend(connect_silently(bob, 200).await?);
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

#[test]
fn garbage_instead_of_a_handshake_leaves_few_lines_in_the_log() {
    scenario::run("rim-garbage", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let lines = || -> Result<usize> { Ok(std::fs::read_to_string(bob.log())?.lines().count()) };
        let (quiet, before) = (bob.process()?.open_descriptors()?, lines()?);
        for _ in 0..500 {
            let mut stranger = connect_silently(bob, 1).await?.remove(0);
            // The length of act one (BOLT 8), with a key that is no point of the curve.
            stranger.write_all(&[0; 50]).await?;
        }
        poll::eventually("the strangers are gone", async || {
            let open = bob.process()?.open_descriptors()?;
            let are_gone = open < quiet + 20;
            Ok(if are_gone { Look::Done(()) } else { Look::NotYet(format!("{open} are open")) })
        })
        .await?;
        let written = lines()? - before;
        ensure!(written < 50, "{written} lines for 500 strangers");
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

/// Waits until a node says that it is synced, or why it is not.
async fn synced(node: &Node, expected: bool) -> Result<()> {
    poll::eventually(&format!("{} is synced: {expected}", node.name()), async || {
        let info = node.info().await?;
        let says_why = info.warnings.iter().any(|warning| warning.starts_with("not synced: "));
        Ok(match info.synced_to_chain == expected && says_why != expected {
            true => Look::Done(()),
            false => Look::NotYet(format!("{} {:?}", info.synced_to_chain, info.warnings)),
        })
    })
    .await
}

#[test]
fn a_blind_node_refuses_new_htlcs_and_settles_old_ones() {
    scenario::run("rim-blind", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        // Only bob minds a bitcoind that is silent for a while.
        let short = network.settings().clone();
        let short = short.with("bitcoind", "poll_interval_secs", 1);
        let short = short.with("bitcoind", "max_silence_secs", 4);
        network.nodes[1].configure(&network.bitcoind, &short)?;
        network.nodes[1].restart().await?;
        network.wait_usable().await?;
        network.wait_for_graph().await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let request = |bolt11: &str| PayRequest {
            limits: Some(PaymentLimits { timeout_secs: 5, ..PaymentLimits::default() }),
            ..pay::request(bolt11)
        };
        let early = pay::invoice(carol, 1_000_000).await?;
        let refused_forward = pay::invoice(carol, 2_000_000).await?;
        let refused_receipt = pay::invoice(bob, 3_000_000).await?;

        let outgoing = channels::between(bob, carol).await?;
        carol.process()?.pause()?;
        let under_way = alice.payments().pay(pay::request(&early.bolt11)).await?.into_inner();
        channels::carries_htlcs(bob, &outgoing.channel_id, 1).await?;
        network.bitcoind.pause()?;
        synced(bob, false).await?;
        carol.process()?.resume()?;
        let payment = pay::finish(under_way).await?;
        ensure!(payment.state() == State::Succeeded, "{payment:?}");

        for invoice in [&refused_forward, &refused_receipt] {
            let payment = pay::fails(alice, request(&invoice.bolt11)).await?;
            let said: Vec<_> = payment.parts.iter().map(|part| part.failure.as_str()).collect();
            ensure!(!said.is_empty(), "no HTLC was tried: {payment:?}");
        }
        let request = CreateInvoiceRequest { amount_msat: 1_000, ..Default::default() };
        refused(bob.invoices().create(request).await, Code::FailedPrecondition, "not synced")?;

        network.bitcoind.resume()?;
        synced(bob, true).await?;
        pay::transfer(alice, carol, 4_000_000).await?;
        pay::transfer(alice, bob, 5_000_000).await?;
        Ok(())
    });
}
