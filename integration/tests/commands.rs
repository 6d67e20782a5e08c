//! The CLI as people and scripts use it: every command, its JSON, and its exit codes.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::binaries;
use fulmen_integration::cli::{Cli, hex};
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, wallet};
use serde_json::Value;

fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no text at {pointer} in {value}"))
}

#[test]
fn a_day_at_the_command_line() {
    scenario::run("commands", async |network| {
        network.add_nodes(2).await?;
        let alice = network.nodes[0].cli()?;
        let bob = network.nodes[1].cli()?;

        let info = alice.json(&["node", "info"]).await?;
        ensure!(text(&info, "/alias")? == "alice", "{info}");
        ensure!(text(&info, "/node_id")? == hex(&network.nodes[0].id()), "{info}");
        ensure!(alice.ok(&["info"]).await?.contains("alice"));

        // Money from outside, and some of it to bob.
        let address = text(&alice.json(&["wallet", "address"]).await?, "/address")?;
        ensure!(address.starts_with("bcrt1"), "{address}");
        network.give_node(0, 3_000_000, 1).await?;
        let to_bob = text(&bob.json(&["address"]).await?, "/address")?;
        alice.json(&["wallet", "send", &to_bob, "0.005btc", "--feerate", "3", "-y"]).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(1).await?;
        wallet::confirmed(&network.nodes[1], 500_000).await?;
        for arguments in [["wallet", "balance"], ["wallet", "list"], ["wallet", "utxos"]] {
            alice.json(&arguments).await?;
            ensure!(!alice.ok(&arguments).await?.trim().is_empty(), "{arguments:?} says nothing");
        }

        peers(network, &alice).await?;
        let channel = channels(network, &alice, &bob).await?;
        payments(network, &alice, &bob).await?;
        graph(network, &alice, &channel).await?;

        let events = alice.ok(&["--json", "events", "--after", "0", "--until-now"]).await?;
        let lines: Result<Vec<Value>, _> = events.lines().map(serde_json::from_str).collect();
        ensure!(lines.context("one JSON object a line")?.len() > 5, "{events}");

        let closing = alice.ok(&["channel", "close", &channel, "-y"]).await;
        closing.context("closing")?;
        chain::sweep_everything(network).await?;
        let closed = alice.json(&["channel", "closed"]).await?;
        ensure!(closed.to_string().contains("cooperative"), "{closed}");
        alice.ok(&["channel", "show", &channel]).await.context("a closed channel is shown")?;

        alice.ok(&["node", "stop"]).await?;
        ensure!(network.nodes[0].ended().await?.success());
        alice.fails(3, &["info"]).await?;
        Ok(())
    });
}

async fn peers(network: &Network, alice: &Cli) -> Result<()> {
    let bob = &network.nodes[1];
    alice.json(&["peer", "connect", &bob.uri()]).await?;
    ensure!(alice.json(&["peer", "list"]).await?.to_string().contains(&hex(&bob.id())));
    alice.json(&["peer", "disconnect", &hex(&bob.id())]).await?;
    poll::eventually("bob is gone", async || {
        let peers = alice.json(&["peers"]).await?;
        Ok(if peers.to_string().contains(&hex(&bob.id())) {
            Look::NotYet(peers.to_string())
        } else {
            Look::Done(())
        })
    })
    .await?;
    alice.ok(&["connect", &bob.uri()]).await?;
    Ok(())
}

/// Opens a channel with the CLI, and returns its short id as the CLI writes it.
async fn channels(network: &Network, alice: &Cli, bob: &Cli) -> Result<String> {
    let uri = network.nodes[1].uri();
    alice
        .ok(&["channel", "open", &uri, "0.02btc", "--push", "500000sat", "-y", "--no-wait"])
        .await?;
    chain::mempool_holds_some(network).await?;
    network.mine(6).await?;
    network.wait_ready().await?;
    let listed = alice.json(&["channel", "list"]).await?;
    let id = text(&listed, "/channels/0/channel_id")?;
    ensure!(alice.ok(&["channels"]).await?.contains("ready"));
    alice.json(&["channel", "show", &id]).await?;
    alice.ok(&["channel", "policy"]).await?;
    alice.json(&["channel", "policy", &id, "--base-fee", "2sat", "--ppm", "500"]).await?;
    bob.json(&["channel", "policy", "all", "--ppm", "250"]).await?;
    alice.ok(&["forward", "list"]).await?;
    alice.json(&["forward", "summary"]).await?;
    alice.ok(&["node", "balance"]).await?;
    alice.ok(&["balance"]).await?;
    alice.json(&["node", "feerates"]).await?;
    Ok(id)
}

async fn payments(network: &Network, alice: &Cli, bob: &Cli) -> Result<()> {
    let made =
        bob.json(&["invoice", "create", "1000sat", "-d", "coffee", "--expiry", "1h"]).await?;
    let bolt11 = text(&made, "/invoice/bolt11")?;
    let hash = text(&made, "/invoice/payment_hash")?;
    ensure!(alice.ok(&["decode", &bolt11]).await?.contains("coffee"));
    ensure!(alice.json(&["invoice", "decode", &bolt11]).await?.to_string().contains("coffee"));
    let paid = alice.json(&["pay", &bolt11, "-y", "--max-fee", "10sat", "--label", "cup"]).await?;
    ensure!(paid.to_string().contains(&hash), "{paid}");
    // Paying it again is refused, and the exit code says so; the API's names of arguments are not the user's.
    let said = alice.fails(1, &["pay", &bolt11, "-y"]).await?;
    ensure!(said.contains("paid already") && !said.contains("bolt11:"), "{said}");
    ensure!(bob.ok(&["invoice", "show", &hash]).await?.to_lowercase().contains("settled"));
    bob.ok(&["invoice", "watch", &hash]).await?;
    bob.json(&["invoice", "list", "--state", "settled"]).await?;
    bob.ok(&["invoices"]).await?;
    let unwanted = bob.json(&["invoice", "any", "-d", "unwanted"]).await?;
    let unwanted = text(&unwanted, "/invoice/payment_hash")?;
    bob.json(&["invoice", "cancel", &unwanted]).await?;

    let to_bob = hex(&network.nodes[1].id());
    alice.json(&["keysend", &to_bob, "2500msat", "--record", "65537=00ff", "-y"]).await?;
    ensure!(alice.ok(&["payments"]).await?.lines().count() >= 2);
    let listed = alice.json(&["payment", "list", "--state", "succeeded"]).await?;
    ensure!(listed.pointer("/payments/1").is_some(), "two payments: {listed}");
    ensure!(alice.ok(&["payment", "show", &hash]).await?.contains("cup"));
    // It has ended: there is nothing to cancel.
    alice.fails(1, &["payment", "cancel", &hash]).await?;

    let signed = text(&alice.json(&["node", "sign", "hello"]).await?, "/signature")?;
    let verified = bob.json(&["node", "verify", "hello", &signed]).await?;
    ensure!(verified.to_string().contains(&hex(&network.nodes[0].id())), "{verified}");
    bob.fails(1, &["node", "verify", "another text", &signed]).await?;
    Ok(())
}

async fn graph(network: &Network, alice: &Cli, channel_id: &str) -> Result<()> {
    let summary = alice.json(&["graph", "summary"]).await?;
    ensure!(summary.to_string().contains("channels"), "{summary}");
    let bob = hex(&network.nodes[1].id());
    alice.json(&["graph", "node", &bob]).await?;
    let shown = alice.ok(&["channels"]).await?;
    let short = shown
        .split_whitespace()
        .find(|word| word.split('x').filter(|part| part.parse::<u64>().is_ok()).count() == 3)
        .with_context(|| format!("no short id for {channel_id} in {shown}"))?;
    alice.json(&["graph", "channel", short]).await?;
    Ok(())
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    scenario::run("exits", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let node = &network.nodes[0];
        let alice = node.cli()?;
        for wrong in
            [&["nonsense"][..], &["send", "bcrt1q", "50"], &["close", "539"], &["pay", "x"]]
        {
            alice.fails(2, wrong).await?;
        }
        // What cannot be undone wants --yes where nobody can be asked.
        let channel = text(&alice.json(&["channels"]).await?, "/channels/0/channel_id")?;
        let address = text(&alice.json(&["address"]).await?, "/address")?;
        for risky in [&["close", &channel, "--force"][..], &["send", &address, "20000sat"]] {
            let said = alice.fails(2, risky).await?;
            ensure!(said.contains("--yes"), "{risky:?}: {said}");
        }
        ensure!(alice.ok(&["channels"]).await?.contains("ready"), "the channel is still open");
        // Machines get JSON for wrong usage too.
        let said = alice.fails(2, &["--json", "send", &address, "50"]).await?;
        let wrong: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        ensure!(wrong.pointer("/error/exit_code") == Some(&Value::from(2)), "{said}");

        let unknown = "ab".repeat(32);
        let said = alice.fails(1, &["payment", "show", &unknown]).await?;
        ensure!(!said.trim().is_empty() && !said.contains("Status {"), "for people: {said}");
        let readonly = node.state_dir().join("readonly.macaroon").display().to_string();
        alice.fails(4, &["--macaroon", &readonly, "invoice", "1000sat"]).await?;
        let nowhere = network.folder("nowhere")?;
        let stranger = Cli::new(&binaries::get()?.fulmen, &nowhere);
        stranger.fails(3, &["info"]).await?;
        ensure!(alice.ok(&["completions", "bash"]).await?.contains("fulmen"));
        Ok(())
    });
}

#[test]
fn a_seed_is_created_once_and_restored_from_its_words() {
    scenario::run("create", async |network| {
        let dir = network.folder("fresh")?;
        let fresh = Cli::new(&binaries::get()?.fulmen, &dir);
        let shown = fresh.ok(&["create"]).await?;
        let words: Vec<&str> = shown
            .split_whitespace()
            .filter(|word| word.len() >= 3 && word.chars().all(|c| c.is_ascii_lowercase()))
            .collect();
        ensure!(words.len() >= 24, "24 words are shown once: {shown}");
        let again = fresh.run(&["create"]).await?;
        ensure!(again.code != 0, "a second seed over the first: {again:?}");
        Ok(())
    });
}
