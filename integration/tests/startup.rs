//! Starts that cannot go well say why in one line; those that can heal wait.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::bitcoind::Bitcoind;
use fulmen_integration::bitcoind::node::Options;
use fulmen_integration::daemon::{Node, Settings, config};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::process::Process;
use fulmen_integration::steps::pay;
use fulmen_integration::{binaries, poll, scenario};
use poll::Look;

/// Starts a daemon that must end by itself, and returns what it said.
async fn refuses(log: &Path, arguments: &[String]) -> Result<String> {
    let process = Process::spawn("refusing", &binaries::get()?.fulmend, arguments, log)?;
    let status = process.wait().await?;
    let said = std::fs::read_to_string(log).context("reading what it said")?;
    ensure!(!status.success(), "it ended well, saying: {said}");
    ensure!(!said.contains("panicked"), "{said}");
    Ok(said)
}

#[test]
fn a_second_daemon_on_the_directory_is_refused() {
    scenario::run("second", async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let log = network.dir().join("second.log");
        let said = refuses(&log, &alice.place()).await?;
        ensure!(said.contains(&alice.dir().display().to_string()), "which directory? {said}");
        alice.info().await?;
        Ok(())
    });
}

#[test]
fn a_port_in_use_is_named() {
    scenario::run("port", async |network| {
        network.add_nodes(1).await?;
        let taken = network.nodes[0].address();
        let bob = network.create_node("bob").await?;
        let mut arguments = bob.place().to_vec();
        arguments.extend(["--set".to_owned(), format!("node.listen=[\"{taken}\"]")]);
        let said = refuses(&network.dir().join("port.log"), &arguments).await?;
        ensure!(said.contains(&taken), "which port? {said}");
        Ok(())
    });
}

#[test]
fn a_wrong_password_and_another_network_are_refused_in_words() {
    scenario::run("wrong-bitcoind", async |network| {
        let alice = network.create_node("alice").await?;
        let mut arguments = alice.place().to_vec();
        let wrong = network.dir().join("cookie");
        std::fs::write(&wrong, "__cookie__:wrong")?;
        let cookie = config::quoted(&wrong.display().to_string());
        arguments.extend(["--set".to_owned(), format!("bitcoind.rpc_cookie_file={cookie}")]);
        let said =
            says(network.dir().join("password.log").as_path(), &arguments, "credentials").await?;
        ensure!(!said.contains("panicked"), "{said}");

        let other_dir = network.folder("signet")?;
        let other =
            Bitcoind::start(&other_dir, Options { chain: "signet", ..Options::default() }).await?;
        let alice =
            Node::create("carol", &network.folder("carol")?, &other, &Settings::default()).await?;
        let log = network.dir().join("network.log");
        let said = says(&log, &alice.place(), "signet").await?;
        ensure!(said.contains("regtest"), "which network was wanted? {said}");
        Ok(())
    });
}

/// Starts a daemon and waits until it says a word, whether it ends then or waits for better times.
async fn says(log: &Path, arguments: &[String], word: &str) -> Result<String> {
    let process = Process::spawn("complaining", &binaries::get()?.fulmend, arguments, log)?;
    let said = poll::eventually(&format!("it speaks of {word}"), async || {
        let said = std::fs::read_to_string(log)?;
        Ok(if said.contains(word) { Look::Done(said) } else { Look::NotYet(said) })
    })
    .await?;
    process.stop().await?;
    Ok(said)
}

#[test]
fn a_daemon_waits_for_a_bitcoind_that_is_not_there_yet() {
    scenario::run("no-bitcoind", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.stop_nodes().await?;
        network.bitcoind.stop().await?;
        for node in &mut network.nodes {
            node.spawn()?;
        }
        let processes: Result<Vec<_>> = network.nodes.iter().map(Node::process).collect();
        let processes = processes?;
        poll::throughout(Duration::from_secs(2), "daemons without bitcoind live", async || {
            processes.iter().try_for_each(|process| process.must_run())
        })
        .await?;
        for process in &processes {
            ensure!(!process.last_lines(50).is_empty(), "it must say what it waits for");
        }
        network.bitcoind.launch().await?;
        for node in &mut network.nodes {
            node.reach().await?;
        }
        network.mine(1).await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn wrong_options_are_all_reported_at_once() {
    scenario::run("options", async |network| {
        let alice = network.create_node("alice").await?;
        let mut arguments = alice.place().to_vec();
        for wrong in ["node.color=red", "channels.cltv_expiry_delta=3", "nonsense.option=1"] {
            arguments.extend(["--set".to_owned(), wrong.to_owned()]);
        }
        let said = refuses(&network.dir().join("options.log"), &arguments).await?;
        for word in ["node.color", "cltv_expiry_delta", "nonsense"] {
            ensure!(said.contains(word), "{word} is not reported: {said}");
        }
        Ok(())
    });
}

#[test]
fn a_directory_without_a_seed_says_what_to_do() {
    scenario::run("no-seed", async |network| {
        let dir = network.folder("empty")?;
        let arguments = [
            "--dir".to_owned(),
            dir.display().to_string(),
            "--network".to_owned(),
            "regtest".to_owned(),
        ];
        let said = refuses(&network.dir().join("empty.log"), &arguments).await?;
        ensure!(said.contains("create"), "{said}");
        Ok(())
    });
}

#[test]
fn a_pruned_bitcoind_is_enough() {
    scenario::run("pruned-scenario", async |network| {
        network.bitcoind.stop().await?;
        network.bitcoind.set_options(Options { pruned: true, ..Options::default() });
        network.bitcoind.launch().await?;
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}
