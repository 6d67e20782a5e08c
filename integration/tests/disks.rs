//! Disks that run full or fail under load: nothing is acknowledged that is not durable, and the end comes in words.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::chaos::disks::Disk;
use fulmen_integration::chaos::faults::{Fault, Faults};
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::traffic::{self, End, Load, Until};
use fulmen_integration::steps::{channel, pay, refused};
use fulmen_proto::v1::StoreStatsRequest;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

/// Room for a few segments of the database, and for a margin that can be filled in a moment.
const DISK_MIB: u64 = 160;
const MARGIN_MIB: u64 = 24;

fn settings() -> Settings {
    Settings::default().with("storage", "min_free_mib", MARGIN_MIB)
}

#[test]
fn a_disk_below_the_margin_takes_on_nothing_new() {
    scenario::run("disk-margin", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[0].stop().await?;
        // A margin that no disk has: works where no small disk can be mounted.
        let wide = network.settings().clone().with("storage", "min_free_mib", 1_u64 << 40);
        network.nodes[0].configure(&network.bitcoind, &wide)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        nothing_new(network).await?;
        network.nodes[0].stop().await?;
        network.nodes[0].configure(&network.bitcoind, &network.settings().clone())?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        ensure!(alice.info().await?.warnings.is_empty());
        pay::transfer(alice, bob, 1_000_000).await?;
        Ok(())
    });
}

#[test]
fn a_full_disk_under_load() {
    scenario::run_with("disk-full", settings(), async |network| full_disk(network).await);
}

#[test]
fn a_full_disk_under_load_as_the_daemon_is_told_it() {
    scenario::run_with("disk-enospc", settings(), async |network| {
        failing_writes(network, Fault::Enospc, "no space left").await
    });
}

#[test]
fn io_errors_under_load() {
    scenario::run_with("disk-eio", settings(), async |network| {
        failing_writes(network, Fault::Eio, "Input/output error").await
    });
}

#[test]
fn io_errors_under_load_while_ldk_waits_for_its_updates() {
    let settings = settings().with("storage", "async_persistence", true);
    scenario::run_with("disk-eio-async", settings, async |network| {
        failing_writes(network, Fault::Eio, "Input/output error").await
    });
}

/// A real small disk where this machine lets us mount one; else writes that fail as on a full one.
async fn full_disk(network: &mut Network) -> Result<()> {
    let state = network.folder("alice")?.join("regtest");
    let image = network.dir().join("disk.img");
    let Some(disk) = Disk::mount(&image, &state, DISK_MIB)? else {
        return failing_writes(network, Fault::Enospc, "no space left").await;
    };
    network.disks.push(disk);
    network.build(&Plan::balanced(Topology::Pair)).await?;
    {
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 1_000_000).await?;
    }
    network.disks[0].fill(MARGIN_MIB / 2)?;
    poll::eventually("alice sees that her disk runs full", async || {
        let warnings = network.nodes[0].info().await?.warnings;
        Ok(if warnings.is_empty() { Look::NotYet("no warning".to_owned()) } else { Look::Done(()) })
    })
    .await?;
    nothing_new(network).await?;

    // Space comes back, and with it the daemon's will.
    network.disks[0].free()?;
    poll::eventually("alice sees that there is space again", async || {
        let warnings = network.nodes[0].info().await?.warnings;
        Ok(if warnings.is_empty() { Look::Done(()) } else { Look::NotYet(warnings.join("; ")) })
    })
    .await?;
    {
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(alice, bob, 1_000_000).await?;
    }

    let load = paying_alice(network).await?;
    network.disks[0].fill(0)?;
    ends_in_words(network, "no space left").await?;

    // Still full: it starts, or says in words why it does not.
    network.nodes[0].spawn()?;
    if network.nodes[0].reach().await.is_err() {
        ends_in_words(network, "no space left").await?;
    } else {
        network.nodes[0].kill()?;
    }
    network.disks[0].free()?;
    goes_on(network, load).await
}

/// Writes of alice's fail under load until she has ended; then they succeed again.
async fn failing_writes(network: &mut Network, fault: Fault, words: &str) -> Result<()> {
    network.build(&Plan::balanced(Topology::Pair)).await?;
    let faults = Faults::restart(network, 0).await?;

    let load = paying_alice(network).await?;
    faults.begin(fault)?;
    ends_in_words(network, words).await?;
    faults.end()?;
    goes_on(network, load).await
}

/// Bob pays alice all the time, so that her disk has to take something; she would not pay while it is nearly full.
async fn paying_alice(network: &Network) -> Result<JoinSet<()>> {
    let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
    pay::transfer(bob, alice, 1_000_000).await?;
    let load = Load {
        pairs: vec![(End::of(1, bob).await?, End::of(0, alice).await?)],
        amount_msat: 1_000_000,
        in_flight: 8,
        keysend_every: 2,
        // A payee holds a part for minutes when another one came back (BOLT 4, `mpp_timeout`).
        max_parts: 1,
        out_through: Vec::new(),
        until: Until::Payments(400),
    };
    let mut paying = JoinSet::new();
    // The audit checks how each ends: what bob's node reports as paid, alice must have.
    paying.spawn(async move { drop(traffic::run(load, |_| ()).await) });
    Ok(paying)
}

/// Alice refuses to pay and to open, with the reason, and still takes what comes.
async fn nothing_new(network: &Network) -> Result<()> {
    let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
    let directory = alice.state_dir().display().to_string();
    let warnings = alice.info().await?.warnings;
    ensure!(warnings.iter().any(|words| words.contains(&directory)), "{warnings:?}");
    let stats = alice.store().stats(StoreStatsRequest {}).await?.into_inner();
    ensure!(stats.low_space.contains("min_free_mib"), "{stats:?}");

    let invoice = pay::invoice(bob, 1_000_000).await?;
    let paid = alice.payments().pay(pay::request(&invoice.bolt11)).await;
    let status = refused(paid, Code::FailedPrecondition, &directory)?;
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    ensure!(reason == "LOW_DISK_SPACE", "{reason}");
    let opened = alice.channels().open(channel::open_request(bob, 100_000, 0)).await;
    refused(opened, Code::FailedPrecondition, &directory)?;
    // Bob asks for a channel, and does not learn about alice's directories.
    let mut asked =
        bob.channels().open(channel::open_request(alice, 100_000, 0)).await?.into_inner();
    let mut answer = String::new();
    while let Ok(Some(update)) = asked.message().await {
        answer = update.failure;
    }
    ensure!(!answer.is_empty() && !answer.contains(&directory), "{answer}");
    let received = pay::transfer(bob, alice, 1_000_000).await;
    ensure!(received.is_err(), "alice takes no HTLC while her disk is nearly full");
    Ok(())
}

/// Alice's daemon ends by itself, and its last words name the directory and what to do.
async fn ends_in_words(network: &mut Network, words: &str) -> Result<()> {
    let process = network.nodes[0].process().context("alice ran")?;
    let status = process.wait().await?;
    let said = process.last_lines(1);
    let log = std::fs::read_to_string(network.nodes[0].log())?;
    network.nodes[0].ended().await?;
    ensure!(!status.success(), "it ended well");
    let directory = network.nodes[0].state_dir().display().to_string();
    for part in ["fulmend: ", words, &directory, "start again"] {
        ensure!(said.contains(part), "{part:?} is not in the last words: {said}");
    }
    ensure!(!log.contains("panicked at"), "it panicked");
    Ok(())
}

/// With a sound disk alice starts again and has her channel; the audit follows.
async fn goes_on(network: &mut Network, mut load: JoinSet<()>) -> Result<()> {
    for words in
        ["the store failed", "could not handle an event", "a call failed with an internal error"]
    {
        network.allowed_errors.push(words.to_owned());
    }
    network.nodes[0].set_environment(Vec::new());
    network.nodes[0].launch().await?;
    network.wait_synced().await?;
    network.wait_usable().await?;
    // What was under way when she ended goes on now.
    while load.join_next().await.is_some() {}
    let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
    channel::between(alice, bob).await.context("a failing disk has closed a channel")?;
    pay::transfer(alice, bob, 1_000_000).await?;
    pay::transfer(bob, alice, 1_000_000).await?;
    Ok(())
}
