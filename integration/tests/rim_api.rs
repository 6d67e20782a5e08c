//! The rim of the API: floods of connections, and calls before the daemon has started.
use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::Network;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::refused;
use fulmen_proto::dial::dial;
use fulmen_proto::v1::GetInfoRequest;
use fulmen_proto::v1::node_client::NodeClient;
use tonic::Code;
use tonic_types::StatusExt as _;

/// More than all places together.
const FLOOD: usize = 600;

#[test]
fn connections_that_say_nothing_are_closed_and_lock_nobody_out() {
    let settings = Settings::default().with("grpc", "handshake_timeout_secs", 2).with(
        "grpc",
        "max_connections",
        64,
    );
    scenario::run_with("silence", settings, async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let before = descriptors(alice)?;
        let address = std::fs::read_to_string(alice.state_dir().join("grpc.address"))?;

        let mut silent = Vec::new();
        for _ in 0..FLOOD {
            silent.push(TcpStream::connect(address.trim()).context("connecting")?);
        }
        let during = descriptors(alice)?;
        ensure!(during <= before + 80, "{before} descriptors before, {during} during the flood");
        // A new connection gets a place although all are taken.
        let cli = alice.cli()?;
        cli.ok(&["info"]).await?;
        for stream in &mut silent {
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let end = stream.read(&mut [0; 1]);
            ensure!(matches!(end, Ok(0)) || end.is_err_and(is_reset), "it is still open");
        }
        poll::eventually("the descriptors are given back", async || {
            let now = descriptors(alice)?;
            Ok(if now <= before + 8 { Look::Done(()) } else { Look::NotYet(now.to_string()) })
        })
        .await
    });
}

/// How many files and sockets a daemon has open.
fn descriptors(node: &Node) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", node.process()?.pid()))?.count())
}

fn is_reset(error: std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionReset
}

#[test]
fn a_client_without_calls_is_closed_and_connects_again() {
    let settings = Settings::default().with("grpc", "idle_timeout_secs", 1);
    scenario::run_with("idle", settings, async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = NodeClient::new(alice.dial_as("readonly").await?);
            client.get_info(GetInfoRequest {}).await?;
            clients.push(client);
        }
        let full = descriptors(alice)?;
        poll::eventually("idle connections are closed", async || {
            let now = descriptors(alice)?;
            Ok(if now + 15 <= full {
                Look::Done(())
            } else {
                Look::NotYet(format!("{now} of {full}"))
            })
        })
        .await?;
        for client in &mut clients {
            client.get_info(GetInfoRequest {}).await.context("it connects again by itself")?;
        }
        Ok(())
    });
}

#[test]
fn more_calls_than_places_are_refused() {
    let settings = Settings::default().with("grpc", "max_calls", 3);
    scenario::run_with("calls", settings, async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let subscribe =
            || fulmen_proto::v1::SubscribeEventsRequest { from_now: true, ..Default::default() };
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(alice.events().subscribe(subscribe()).await?.into_inner());
        }
        refused(
            alice.events().subscribe(subscribe()).await,
            Code::ResourceExhausted,
            "too many calls",
        )?;
        streams.pop();
        poll::eventually("the place of a dropped stream is free", async || {
            Ok(match alice.events().subscribe(subscribe()).await {
                Ok(_) => Look::Done(()),
                Err(status) => Look::NotYet(status.message().to_owned()),
            })
        })
        .await
    });
}

#[test]
fn while_it_starts_every_call_is_answered_with_what_it_waits_for() {
    scenario::run("starting", async |network| {
        let mut alice = network.create_node("alice").await?;
        network.bitcoind.stop().await?;
        alice.spawn()?;
        network.nodes.push(alice);
        let Network { nodes, bitcoind, .. } = network;
        let alice = &nodes[0];
        let connection = poll::eventually("the port is open", async || {
            Ok(Look::Done(alice.dial_as("admin").await?))
        })
        .await?;
        let status = poll::eventually("it waits for bitcoind", async || {
            let asked = Instant::now();
            let answer = NodeClient::new(connection.clone()).get_info(GetInfoRequest {}).await;
            let Err(status) = answer else { bail!("it cannot have started") };
            ensure!(
                asked.elapsed() < Duration::from_secs(5),
                "the answer took {:?}",
                asked.elapsed()
            );
            Ok(match status.message().contains("bitcoind (") {
                true => Look::Done(status),
                false => Look::NotYet(status.message().to_owned()),
            })
        })
        .await?;
        ensure!(status.code() == Code::Unavailable, "{status:?}");
        let info = status.get_details_error_info().context("a reason")?;
        ensure!(info.reason == "STARTING" && info.metadata["waits_for"].starts_with("bitcoind"));
        ensure!(info.metadata["since"].parse::<u64>()? > 1_700_000_000, "{info:?}");

        let cli = alice.cli()?;
        let said = cli.fails(1, &["payments"]).await?;
        ensure!(said.contains("waited") && said.contains("--wait-start"), "{said}");
        let (waited, launched) = tokio::join!(cli.ok(&["--wait-start", "info"]), bitcoind.launch());
        launched?;
        ensure!(waited?.contains("alice"), "it answers once it has started");
        nodes[0].reach().await
    });
}

#[test]
fn a_daemon_that_is_not_ours_is_not_trusted() {
    scenario::run("other-certificate", async |network| {
        network.add_nodes(2).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        let address = std::fs::read_to_string(alice.state_dir().join("grpc.address"))?;
        let certificate = std::fs::read(bob.state_dir().join("tls.cert"))?;
        let macaroon = std::fs::read(alice.state_dir().join("admin.macaroon"))?;
        let dialled = dial(address.trim(), &certificate, &macaroon).await;
        ensure!(dialled.is_err(), "alice with bob's certificate");
        Ok(())
    });
}
