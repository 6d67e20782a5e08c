//! Figures and health over plain HTTP: the same numbers as the API's, and a refusal in words while all is not well.
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::cli::hex;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::ports::Port;
use fulmen_integration::process::Process;
use fulmen_integration::steps::{bounded, pay, wallet};
use fulmen_integration::{binaries, scenario};
use fulmen_proto::v1::{CancelInvoiceRequest, StoreStatsRequest, SummarizeForwardsRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer's status and body.
async fn ask(port: &Port, method: &str, path: &str) -> Result<(u16, String)> {
    ask_for(&port.address(), port, method, path).await
}

/// [`ask`] in the belief that the port is `host`'s.
async fn ask_for(host: &str, port: &Port, method: &str, path: &str) -> Result<(u16, String)> {
    bounded(&format!("{method} {path}"), async {
        let mut stream = TcpStream::connect(port.address()).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        Ok((status.with_context(|| head.to_owned())?.parse()?, body.to_owned()))
    })
    .await
}

/// Samples by name and labels, as `fulmen_channels{state="ready"}`; each belongs to a type that is declared once.
async fn figures(port: &Port) -> Result<BTreeMap<String, f64>> {
    let (status, text) = ask(port, "GET", "/metrics").await?;
    ensure!(status == 200, "{status}: {text}");
    let mut figures = BTreeMap::new();
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').with_context(|| line.to_owned())?;
            ensure!(types.insert(name, kind).is_none(), "{name} is declared twice");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            let value = value.parse().with_context(|| line.to_owned())?;
            let family = name.split('{').next().unwrap_or_default();
            ensure!(types.keys().any(|known| family.starts_with(known)), "what is {family}?");
            ensure!(family.starts_with("fulmen_"), "{line}");
            ensure!(figures.insert(name.to_owned(), value).is_none(), "{name} is declared twice");
        }
    }
    Ok(figures)
}

/// Waits until the metrics have these values; events are counted once they are durable.
async fn tells(port: &Port, expected: &[(String, u64)]) -> Result<BTreeMap<String, f64>> {
    poll::eventually("the figures are those of the API", async || {
        let figures = figures(port).await?;
        let differs = expected
            .iter()
            .find(|(name, value)| figures.get(name.as_str()) != Some(&(*value as f64)));
        Ok(match differs {
            None => Look::Done(figures),
            Some((name, value)) => {
                Look::NotYet(format!("{name} is {:?}, not {value}", figures.get(name.as_str())))
            }
        })
    })
    .await
}

/// Gives every node a port for figures, and starts it anew.
async fn with_ports(network: &mut Network) -> Result<Vec<Port>> {
    network.stop_nodes().await?;
    let (mut ports, plain) = (Vec::new(), network.settings().clone());
    for node in &mut network.nodes {
        let port = Port::reserve()?;
        let listen = format!("[\"{}\"]", port.address());
        let settings = plain.clone().with("metrics", "listen", listen);
        node.configure(&network.bitcoind, &settings)?;
        node.launch().await?;
        ports.push(port);
    }
    network.wait_synced().await?;
    Ok(ports)
}

/// What the API says about a node that the metrics say as well.
async fn as_the_api_tells(node: &Node) -> Result<Vec<(String, u64)>> {
    let info = node.info().await?;
    let balances = wallet::balances(node).await?;
    let forwards = node.forwards().summarize(SummarizeForwardsRequest {}).await?.into_inner();
    let told = [
        ("fulmen_synced", info.synced_to_chain.into()),
        ("fulmen_block_height", info.block_height.into()),
        ("fulmen_start_time_seconds", info.started_at),
        ("fulmen_peers_connected", info.peers.into()),
        ("fulmen_channels{state=\"ready\"}", info.channels_ready.into()),
        ("fulmen_channels{state=\"pending_open\"}", info.channels_pending.into()),
        ("fulmen_channels_usable", info.channels_usable.into()),
        ("fulmen_graph_nodes", info.graph_nodes),
        ("fulmen_graph_channels", info.graph_channels),
        ("fulmen_onchain_confirmed_sat", balances.onchain_confirmed_sat),
        ("fulmen_onchain_unconfirmed_sat", balances.onchain_unconfirmed_sat),
        ("fulmen_onchain_reserved_sat", balances.onchain_reserved_sat),
        ("fulmen_channels_local_msat", balances.channels_local_msat),
        ("fulmen_channels_remote_msat", balances.channels_remote_msat),
        ("fulmen_channels_outbound_capacity_msat", balances.outbound_capacity_msat),
        ("fulmen_channels_inbound_capacity_msat", balances.inbound_capacity_msat),
        ("fulmen_closing_sat", balances.closing_sat),
        ("fulmen_forwards_total{outcome=\"settled\"}", forwards.count),
        ("fulmen_forwards_total{outcome=\"failed\"}", forwards.failed_count),
        ("fulmen_forwards_msat_total", forwards.outbound_msat),
        ("fulmen_forwards_fees_msat_total", forwards.fee_msat),
        ("fulmen_payments_pending", 0),
        ("fulmen_htlcs_pending{direction=\"inbound\"}", 0),
        ("fulmen_htlcs_pending_msat{direction=\"outbound\"}", 0),
        ("fulmen_store_failed", 0),
    ];
    Ok(told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn figures_equal_what_the_api_tells() {
    scenario::run("metrics", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let ports = with_ports(network).await?;
        network.wait_usable().await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let [of_alice, of_bob, of_carol] = &ports[..] else { unreachable!("a line of three") };

        let (mut sent_msat, mut fees_msat) = (0, 0);
        for amount_msat in [1_000_000, 2_345_678, 40_000_001] {
            let payment = pay::transfer(alice, carol, amount_msat).await?;
            sent_msat += amount_msat;
            fees_msat += payment.fee_msat;
        }
        pay::keysend(bob, carol, 5_000).await?;
        let unpaid = pay::invoice(carol, 10_000).await?;
        let cancel = CancelInvoiceRequest { payment_hash: unpaid.payment_hash };
        carol.invoices().cancel(cancel).await?;
        pay::fails(alice, pay::request(&unpaid.bolt11)).await?;
        poll::eventually("bob has counted his forwards", async || {
            let totals = bob.forwards().summarize(SummarizeForwardsRequest {}).await?.into_inner();
            let done = totals.count == 3 && totals.failed_count >= 1;
            Ok(if done { Look::Done(()) } else { Look::NotYet(format!("{totals:?}")) })
        })
        .await?;

        let named = |name: &str, value: u64| (name.to_owned(), value);
        let mut expected = as_the_api_tells(alice).await?;
        expected.extend([
            named("fulmen_payments_total{outcome=\"succeeded\"}", 3),
            named("fulmen_payments_total{outcome=\"failed\"}", 1),
            named("fulmen_payments_sent_msat_total", sent_msat),
            named("fulmen_payments_fees_msat_total", fees_msat),
            named("fulmen_invoices_settled_total{kind=\"bolt11\"}", 0),
            named(
                &format!(
                    "fulmen_info{{version=\"{}\",node_id=\"{}\",network=\"regtest\",alias=\"alice\"}}",
                    alice.info().await?.version,
                    hex(&alice.id())
                ),
                1,
            ),
        ]);
        let told = tells(of_alice, &expected).await?;
        ensure!(told["fulmen_tip_age_seconds"] < 120.0, "{told:?}");
        ensure!(told["fulmen_payments_fees_msat_total"] > 0.0, "bob forwards for a fee");

        let told = tells(of_bob, &as_the_api_tells(bob).await?).await?;
        ensure!(told["fulmen_forwards_fees_msat_total"] == fees_msat as f64, "{told:?}");

        let mut expected = as_the_api_tells(carol).await?;
        expected.extend([
            named("fulmen_invoices_settled_total{kind=\"bolt11\"}", 3),
            named("fulmen_invoices_received_msat_total{kind=\"bolt11\"}", sent_msat),
            named("fulmen_invoices_settled_total{kind=\"keysend\"}", 1),
            named("fulmen_invoices_received_msat_total{kind=\"keysend\"}", 5_000),
            named("fulmen_payments_total{outcome=\"succeeded\"}", 0),
        ]);
        let told = tells(of_carol, &expected).await?;

        let stats = carol.store().stats(StoreStatsRequest {}).await?.into_inner();
        let commits = stats.since_start.context("it runs")?.commits;
        let counted = told["fulmen_store_commit_duration_seconds_count"];
        ensure!(counted > 0.0 && counted <= commits as f64, "{counted} of {commits} commits");
        ensure!(told["fulmen_store_written_bytes_total"] > 0.0, "{told:?}");
        ensure!(told["fulmen_checkpoint_duration_seconds_count"] > 0.0, "{told:?}");
        ensure!(told["fulmen_checkpoint_duration_seconds_sum"] > 0.0, "{told:?}");
        ensure!(told["fulmen_checkpoint_bytes_total"] > 0.0, "{told:?}");
        ensure!(told["fulmen_store_free_bytes"] > 0.0, "{told:?}");
        ensure!(!told.contains_key("fulmen_mirror_ok"), "there is no mirror");
        Ok(())
    });
}

/// Waits for a status of `/healthz`, and returns the body.
async fn health(port: &Port, wanted: u16) -> Result<String> {
    poll::eventually(&format!("/healthz answers {wanted}"), async || {
        let (status, said) = ask(port, "GET", "/healthz").await?;
        Ok(if status == wanted {
            Look::Done(said)
        } else {
            Look::NotYet(format!("{status} {said}"))
        })
    })
    .await
}

#[test]
fn health_is_refused_in_words_until_the_daemon_has_started() {
    scenario::run("health", async |network| {
        network.add_nodes(1).await?;
        let ports = with_ports(network).await?;
        let [port] = &ports[..] else { unreachable!("one node") };
        ensure!(health(port, 200).await? == "ok\n");
        for (method, path, expected) in
            [("GET", "/", 404), ("POST", "/metrics", 405), ("PUT", "/healthz", 405)]
        {
            let (status, said) = ask(port, method, path).await?;
            ensure!(status == expected, "{method} {path}: {status} {said}");
        }
        for page in ["/healthz", "/metrics"] {
            let (status, said) = ask_for("evil.example", port, "GET", page).await?;
            ensure!(status == 403 && said.contains("metrics.allow_remote"), "{status} {said}");
        }

        network.stop_nodes().await?;
        network.bitcoind.stop().await?;
        network.nodes[0].spawn()?;
        let said = health(port, 503).await?;
        ensure!(said.contains("starting") && said.lines().count() == 1, "{said}");
        network.bitcoind.launch().await?;
        network.nodes[0].reach().await?;
        ensure!(health(port, 200).await? == "ok\n");
        Ok(())
    });
}

#[test]
fn a_port_in_use_and_one_for_everybody_are_refused_in_one_line() {
    scenario::run("metrics-port", async |network| {
        let alice = network.create_node("alice").await?;
        let taken = Port::reserve()?;
        let _holder = std::net::TcpListener::bind(taken.address())?;
        let cases = [
            (taken.address(), taken.address()),
            ("0.0.0.0:1".to_owned(), "allow_remote".to_owned()),
        ];
        for (listen, word) in cases {
            let log = network.dir().join("refusing.log");
            let mut arguments = alice.place().to_vec();
            arguments.extend(["--set".to_owned(), format!("metrics.listen=[\"{listen}\"]")]);
            let process = Process::spawn("refusing", &binaries::get()?.fulmend, &arguments, &log)?;
            let status = process.wait().await?;
            let said = std::fs::read_to_string(&log).context("reading what it said")?;
            if status.success() || said.contains("panicked") {
                bail!("it was not refused: {said}");
            }
            let lines: Vec<&str> = said.lines().filter(|line| line.contains(&word)).collect();
            ensure!(lines.len() == 1 && lines[0].contains("metrics.listen"), "{said}");
        }
        Ok(())
    });
}
