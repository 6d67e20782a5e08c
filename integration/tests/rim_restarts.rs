//! Starts at the rim: an older copy that a peer exposes, a store that opens slowly.
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::binaries;
use fulmen_integration::chaos::faults::{Fault, Faults};
use fulmen_integration::chaos::stores;
use fulmen_integration::daemon::Node;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, pay, wallet};
use fulmen_proto::v1::GetInfoRequest;
use fulmen_proto::v1::node_client::NodeClient;
use tonic_types::StatusExt as _;

/// The exit code of a daemon whose data directory is an older copy.
const STALE: i32 = 10;

/// Starts a daemon that has to end by itself; returns its exit code and what it said meanwhile.
async fn ends(node: &mut Node) -> Result<(Option<i32>, String)> {
    let before = std::fs::read_to_string(node.log())?.len();
    node.spawn()?;
    let status = node.ended().await?;
    let said = std::fs::read_to_string(node.log())?;
    Ok((status.code(), said[before..].to_owned()))
}

/// Puts yesterday's data directory of the first daemon, witness included, in the place of today's; returns today's.
async fn go_back_a_day(network: &mut Network) -> Result<PathBuf> {
    network.nodes[0].stop().await?;
    let old = stores::save(&network.nodes[0], "yesterday")?;
    network.nodes[0].launch().await?;
    network.wait_usable().await?;
    let [alice, bob] = &network.nodes[..] else { bail!("a pair") };
    pay::transfer(alice, bob, 1_000_000).await?;
    pay::transfer(bob, alice, 400_000).await?;
    network.nodes[0].stop().await?;
    let new = stores::save(&network.nodes[0], "today")?;
    stores::restore(&network.nodes[0], &old)?;
    Ok(new)
}

/// Runs `fulmend` with these arguments in a daemon's directory; returns whether it went well, and what it said.
fn fulmend(node: &Node, arguments: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(&binaries::get()?.fulmend);
    let output = command.args(arguments).args(node.place()).stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn an_older_copy_that_a_peer_exposes_ends_with_one_sentence_and_is_never_started_again() {
    scenario::run("stale", async |network| {
        network.skip_payment_audit = true;
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let new = go_back_a_day(network).await?;
        let (code, said) = ends(&mut network.nodes[0]).await?;
        ensure!(code == Some(STALE), "{code:?}: {said}");
        let last = said.lines().last().context("a sentence")?;
        let peer = network.nodes[1].uri();
        let (peer, _) = peer.split_once('@').context("a uri")?;
        for part in ["fulmend: peer", peer, "older copy", "`fulmend recover --stale`"] {
            ensure!(last.contains(part), "{part:?} is not in: {last}");
        }
        for part in ["panicked", "PoisonError", "fallen behind"] {
            ensure!(!said.contains(part), "{part:?} is in: {said}");
        }
        ensure!(said.matches("older copy").count() == 1, "it is said once: {said}");
        ensure!(said.len() < 30_000, "{} bytes for one sentence", said.len());

        // No peer has to prove it again, and no command can publish anything.
        network.nodes[1].stop().await?;
        let (code, said) = ends(&mut network.nodes[0]).await?;
        ensure!(code == Some(STALE), "{code:?}: {said}");
        ensure!(said.contains(peer) && said.contains("older copy"), "{said}");

        // The newest store is as good as before; the peer may have closed meanwhile.
        stores::restore(&network.nodes[0], &new)?;
        network.nodes[1].launch().await?;
        network.nodes[0].launch().await?;
        network.mine(1).await?;
        chain::sweep_everything(network).await
    });
}

/// Waits until a warning of the daemon holds these words.
async fn warns(node: &Node, words: &str) -> Result<()> {
    poll::eventually(&format!("a warning of {words:?}"), async || {
        let warnings = node.info().await?.warnings;
        Ok(match warnings.iter().any(|warning| warning.contains(words)) {
            true => Look::Done(()),
            false => Look::NotYet(format!("{warnings:?}")),
        })
    })
    .await
}

#[test]
fn a_recovery_has_the_peers_close_with_their_newest_state_and_collects_what_is_ours() {
    scenario::run("recover", async |network| {
        network.skip_payment_audit = true;
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let before = wallet::balance(&network.nodes[0]).await?.confirmed_sat;
        go_back_a_day(network).await?;
        let (well, said) = fulmend(&network.nodes[0], &["recover", "--stale"])?;
        ensure!(!well && said.contains("--yes") && said.contains("older copy"), "{said}");
        let (well, said) = fulmend(&network.nodes[0], &["recover", "--stale", "--yes"])?;
        ensure!(well && said.contains("Start the node with"), "{said}");

        network.nodes[0].launch().await?;
        warns(&network.nodes[0], "1 channels wait for their peers").await?;
        let request = channel::open_request(&network.nodes[1], 100_000, 0);
        let refused = network.nodes[0].channels().open(request).await;
        let words = refused.err().context("nothing new is taken on")?.message().to_owned();
        ensure!(words.contains("recovering"), "{words}");
        poll::eventually("the peer has published its commitment", async || {
            Ok(match network.bitcoind.mempool()?.len() {
                0 => Look::NotYet("an empty mempool".to_owned()),
                _ => Look::Done(()),
            })
        })
        .await?;
        network.mine(7).await?;
        warns(&network.nodes[0], "have closed 1 channels; restart").await?;
        network.nodes[0].restart().await?;
        network.mine(1).await?;
        chain::sweep_everything(network).await?;
        network.nodes[0].restart().await?;
        ensure!(network.nodes[0].info().await?.warnings.is_empty(), "the recovery has ended");
        // Yesterday's half of the channel, less what was paid since, less the fees of a close and of a sweep.
        let after = wallet::balance(&network.nodes[0]).await?.confirmed_sat;
        ensure!(after > before + 400_000, "{before} sat on chain before, {after} after");
        Ok(())
    });
}

#[test]
fn while_the_store_opens_every_call_is_answered_with_that() {
    scenario::run("slow-store", async |network| {
        let mut alice = network.create_node("alice").await?;
        let database = alice.state_dir().join("sled");
        let scratch = network.folder("faults")?;
        let faults = Faults::under(&mut alice, &database, &scratch)?;
        faults.begin(Fault::Slow)?;
        alice.spawn()?;
        let status = poll::eventually("it waits for the store", async || {
            let connection = alice.dial_as("admin").await?;
            let asked = Instant::now();
            let answer = NodeClient::new(connection).get_info(GetInfoRequest {}).await;
            let Err(status) = answer else { bail!("the store cannot be open") };
            ensure!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
            Ok(match status.message().contains("the store to open") {
                true => Look::Done(status),
                false => Look::NotYet(status.message().to_owned()),
            })
        })
        .await?;
        let info = status.get_details_error_info().context("a reason")?;
        ensure!(info.reason == "STARTING" && info.metadata["waits_for"] == "the store to open");
        faults.end()?;
        alice.reach().await?;
        network.nodes.push(alice);
        Ok(())
    });
}
