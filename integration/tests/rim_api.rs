//! The rim of the API: floods of connections, and calls before the daemon has started.
use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, pay, refused, wallet};
use fulmen_proto::dial::dial;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    DecodeInvoiceRequest, GetInfoRequest, SetPolicyRequest, SubscribeEventsRequest, payment,
};
use tonic::Code;
use tonic_types::StatusExt as _;

/// More than all places together.
const FLOOD: usize = 600;
/// What a payment in flight carries.
const AMOUNT_MSAT: u64 = 4_500_000_000;

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
        let subscribe = || SubscribeEventsRequest { from_now: true, ..Default::default() };
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

#[test]
fn money_in_flight_is_shown_and_leaves_the_sum_as_it_is() {
    scenario::run("in-flight", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let before = wallet::balances(alice).await?;
        ensure!(before.in_flight_outbound_msat == 0 && before.in_flight_inbound_msat == 0);
        let invoice = pay::invoice(bob, AMOUNT_MSAT).await?;
        let channel_id = channel::between(alice, bob).await?.channel_id;

        bob.process()?.pause()?;
        let paying = alice.payments().pay(pay::request(&invoice.bolt11)).await?.into_inner();
        let open = channel::carries_htlcs(alice, &channel_id, 1).await?;
        let parts = open.local_msat + open.remote_msat + open.in_flight_outbound_msat;
        ensure!(open.in_flight_outbound_msat == AMOUNT_MSAT && open.in_flight_inbound_msat == 0);
        ensure!(parts == open.capacity_sat * 1_000, "{open:?}");
        let during = wallet::balances(alice).await?;
        ensure!(during.in_flight_outbound_msat == AMOUNT_MSAT, "{during:?}");
        ensure!(during.total_msat == before.total_msat, "{before:?}\n{during:?}");
        let cli = alice.cli()?;
        let shown = cli.ok(&["balance"]).await?;
        ensure!(shown.contains("in flight, out") && shown.contains("4,500,000 sat"), "{shown}");
        let shown = cli.ok(&["channels"]).await?;
        ensure!(shown.contains("4,500,000 sat out in flight"), "{shown}");
        bob.process()?.resume()?;

        let paid = pay::finish(paying).await?;
        ensure!(paid.state() == payment::State::Succeeded, "{paid:?}");
        poll::eventually("the sum has changed by the payment", async || {
            let after = wallet::balances(alice).await?;
            let spent = before.total_msat - after.total_msat;
            let settled =
                spent == AMOUNT_MSAT + paid.fee_msat && after.in_flight_outbound_msat == 0;
            Ok(if settled { Look::Done(()) } else { Look::NotYet(format!("{after:?}")) })
        })
        .await
    });
}

#[test]
fn a_policy_that_was_acknowledged_survives_a_kill() {
    scenario::run("policy", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        for base_fee_msat in [1_111, 2_222, 3_333, 4_444, 5_555] {
            let alice = &mut network.nodes[0];
            let request = SetPolicyRequest {
                which: Some(Which::All(true)),
                base_fee_msat: Some(base_fee_msat),
                ..SetPolicyRequest::default()
            };
            alice.channels().set_policy(request).await?;
            alice.kill()?;
            alice.launch().await?;
            let channels = channel::all(&network.nodes[0]).await?;
            let kept = channels[0].policy.map(|policy| policy.base_fee_msat);
            ensure!(kept == Some(base_fee_msat), "{kept:?} instead of {base_fee_msat}");
        }
        network.wait_usable().await
    });
}

#[test]
fn what_is_no_invoice_is_named_and_what_is_one_is_shown_in_full() {
    scenario::run("decode", async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let offer = "lno1qgsqvgnwgcg35z6ee2h3yczraddm72xrfua9uve2rlrm9deu7xyfzrc";
        for (text, words) in [(offer, "BOLT 12 offer"), ("bob@example.org", "user@domain")] {
            let decode = DecodeInvoiceRequest { bolt11: text.to_owned() };
            refused(alice.invoices().decode(decode).await, Code::InvalidArgument, words)?;
            let paid = alice.payments().pay(pay::request(text)).await;
            refused(paid, Code::InvalidArgument, words)?;
        }
        // BOLT 11's example with a fallback address and two hops of extra routing information.
        let example = "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqc\
            yq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqsfpp3qjmp7lwpagxun9pygexvgpj\
            dc4jdj85fr9yq20q82gphp2nflc7jtzrcazrra7wwgzxqc8u7754cdlpfrmccae92qgzqvzq2ps8pqqqqqqpqqqqq9qqqvpeuqafqxu92d8lr6f\
            vg0r5gv0heeeqgcrqlnm6jhphu9y00rrhy4grqszsvpcgpy9qqqqqqgqqqqq7qqzq9qrsgqdfjcdk6w3ak5pca9hwfwfh63zrrz06wwfya0ydlz\
            pgzxkn5xagsqz7x9j4jwe7yj7vaf2k9lqsdk45kts2fd0fkr28am0u4w95tt2nsq76cqw0";
        let decode = DecodeInvoiceRequest { bolt11: example.to_owned() };
        let decoded = alice.invoices().decode(decode).await?.into_inner();
        ensure!(decoded.fallback_addresses == ["1RustyRX2oai4EYYDpQGWvEL62BBGqN9T"], "{decoded:?}");
        ensure!(decoded.route_hints.len() == 1 && decoded.route_hints[0].hops.len() == 2);
        Ok(())
    });
}
