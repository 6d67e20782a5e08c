//! The store as its operator sees it: checked, measured, exported, mirrored, and refused where it is too old.
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::binaries;
use fulmen_integration::chaos::faults::{Fault, Faults};
use fulmen_integration::chaos::stores;
use fulmen_integration::daemon::{Node, Settings, config};
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{pay, refused};
use fulmen_proto::v1::event::What;
use fulmen_proto::v1::store_mirror::State;
use fulmen_proto::v1::{
    CheckStoreRequest, CompactStoreRequest, CompactStoreUpdate, Event, ExportStoreRequest,
    ExportStoreUpdate, StoreFindings, StoreMirror, StoreStatsRequest, StoreStatsResponse,
    SubscribeEventsRequest,
};
use tonic::{Code, Status};

async fn check(node: &Node) -> Result<StoreFindings> {
    let mut stream = node.store().check(CheckStoreRequest {}).await?.into_inner();
    let (mut rows, mut findings) = (0, None);
    while let Some(update) = stream.message().await? {
        ensure!(update.rows >= rows && findings.is_none(), "{update:?} after {rows} rows");
        (rows, findings) = (update.rows, update.findings);
    }
    findings.context("a check ends with its findings")
}

async fn stats(node: &Node) -> Result<StoreStatsResponse> {
    Ok(node.store().stats(StoreStatsRequest {}).await?.into_inner())
}

async fn mirror(node: &Node) -> Result<StoreMirror> {
    stats(node).await?.mirror.context("stats show the mirror")
}

async fn compact(node: &Node) -> Result<CompactStoreUpdate, Status> {
    let mut stream = node.store().compact(CompactStoreRequest {}).await?.into_inner();
    let mut last = CompactStoreUpdate::default();
    while let Some(update) = stream.message().await? {
        last = update;
    }
    Ok(last)
}

async fn export(node: &Node, path: &str) -> Result<ExportStoreUpdate, Status> {
    let request = ExportStoreRequest { path: path.to_owned() };
    let mut stream = node.store().export(request).await?.into_inner();
    let mut last = ExportStoreUpdate::default();
    while let Some(update) = stream.message().await? {
        last = update;
    }
    Ok(last)
}

async fn events(node: &Node) -> Result<Vec<Event>> {
    let all = SubscribeEventsRequest { until_now: true, ..Default::default() };
    let mut stream = node.events().subscribe(all).await?.into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await? {
        events.push(event);
    }
    Ok(events)
}

/// Runs `fulmend store VERB` on a directory; what it said, and whether it ended well.
fn offline(dir: &Path, verb: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(&binaries::get()?.fulmend)
        .args(["--dir", &dir.display().to_string(), "--network", "regtest", "store"])
        .args(verb)
        .output()
        .context("running fulmend store")?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn done(dir: &Path, verb: &[&str]) -> Result<String> {
    let (well, said) = offline(dir, verb)?;
    ensure!(well, "fulmend store {verb:?}: {said}");
    Ok(said)
}

/// Starts a node that must end by itself; what it said last.
async fn refuses_to_start(node: &mut Node) -> Result<String> {
    node.spawn()?;
    let process = node.process()?;
    let status = process.wait().await?;
    let said = process.last_lines(1);
    node.ended().await?;
    ensure!(!status.success(), "it ended well, saying: {said}");
    Ok(said)
}

#[test]
fn a_running_store_is_checked_measured_and_exported() {
    scenario::run_with("store-verbs", Settings::default(), async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        for _ in 0..3 {
            pay::transfer(alice, bob, 1_000_000).await?;
        }
        let findings = check(alice).await?;
        ensure!(findings.sound && findings.decoded > 2, "{findings:?}");

        let sizes = stats(alice).await?;
        let payments = sizes.tables.iter().find(|table| table.name == "payments");
        ensure!(payments.is_some_and(|table| table.rows == 3 && table.bytes > 0), "{sizes:?}");
        ensure!(sizes.largest.iter().any(|value| value.name.starts_with("monitors/")), "{sizes:?}");
        let growth = sizes.since_start.context("it runs")?;
        ensure!(growth.commits > 10 && growth.written_bytes > 10_000, "{growth:?}");
        ensure!(sizes.directory == alice.state_dir().display().to_string(), "{sizes:?}");
        ensure!(mirror(alice).await?.state() == State::Off);

        // An export taken under payments is one instant of the store.
        let file = network.dir().join("export").display().to_string();
        let (exported, paid) = tokio::join!(export(alice, &file), async {
            for _ in 0..5 {
                pay::transfer(alice, bob, 1_000_000).await?;
            }
            anyhow::Ok(())
        });
        paid?;
        ensure!(exported?.commit > 0);
        let elsewhere = network.folder("elsewhere")?;
        done(&elsewhere, &["import", &file])?;
        ensure!(done(&elsewhere, &["check"])?.contains("the store is sound"));
        ensure!(done(&elsewhere, &["stats"])?.contains("monitors"));
        // It is put back nowhere else, and never over a store.
        let (well, said) = offline(&elsewhere, &["import", &file])?;
        ensure!(!well && said.contains("there is a store"), "{said}");
        let (well, said) = offline(alice.dir(), &["check"])?;
        ensure!(!well && said.contains("another fulmend"), "{said}");

        // Compacted under payments: nothing is lost, nothing waits for its end.
        let (compacted, paid) = tokio::join!(compact(alice), async {
            for _ in 0..5 {
                pay::transfer(alice, bob, 1_000_000).await?;
            }
            anyhow::Ok(())
        });
        paid?;
        let compacted = compacted?;
        ensure!(compacted.before_bytes > 0 && compacted.after_bytes > 0, "{compacted:?}");
        ensure!(check(alice).await?.sound);
        pay::transfer(bob, alice, 1_000_000).await?;

        for path in ["", "export", &alice.state_dir().join("seed").display().to_string()] {
            refused(export(alice, path).await, Code::InvalidArgument, "path")?;
        }
        let words = network.dir().join("words");
        std::fs::write(&words, "of somebody")?;
        let words = words.display().to_string();
        refused(export(alice, &words).await, Code::AlreadyExists, "path")?;
        refused(export(alice, "/nowhere/export").await, Code::FailedPrecondition, "path")?;

        let cli = alice.cli()?;
        ensure!(cli.ok(&["store", "check"]).await?.contains("the store is sound"));
        ensure!(cli.ok(&["store", "stats"]).await?.contains("monitors"));
        ensure!(cli.json(&["store", "stats"]).await?.pointer("/tables/0/rows").is_some());
        ensure!(cli.ok(&["store", "export", &file]).await?.contains(&file));
        ensure!(cli.ok(&["store", "compact"]).await?.contains("on disk before"));
        cli.fails(1, &["store", "export", &words]).await?;
        Ok(())
    });
}

#[test]
fn a_store_of_yesterday_is_refused_in_words() {
    scenario::run_with("yesterday", Settings::default(), async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[0].stop().await?;
        let old = stores::save_store(&network.nodes[0], "yesterday")?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(alice, bob, 1_000_000).await?;
        }
        network.nodes[0].stop().await?;
        let new = stores::save_store(&network.nodes[0], "today")?;
        stores::put_store(&network.nodes[0], &old)?;
        let said = refuses_to_start(&mut network.nodes[0]).await?;
        let directory = network.nodes[0].state_dir().display().to_string();
        for part in [&directory, "older copy", "put the newest store back"] {
            ensure!(said.contains(part), "{part:?} is not in: {said}");
        }
        let (well, said) = offline(network.nodes[0].dir(), &["check"])?;
        ensure!(!well && said.contains("older copy"), "{said}");
        stores::put_store(&network.nodes[0], &new)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(bob, alice, 500_000).await?;
        Ok(())
    });
}

#[test]
fn an_older_data_directory_is_refused_by_the_witness_elsewhere() {
    scenario::run_with("witness", Settings::default(), async |network| {
        let witness = network.folder("witness")?.join("seen").display().to_string();
        let quoted = config::quoted(&witness);
        let witnessed = network.settings().clone().with("storage", "witness", quoted);
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[0].stop().await?;
        network.nodes[0].configure(&network.bitcoind, &witnessed)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        network.nodes[0].stop().await?;
        // The store with the witness file beside it, as a backup of the whole directory has it.
        let beside = network.nodes[0].state_dir().join("witness");
        let old = stores::save_store(&network.nodes[0], "yesterday")?;
        let old_witness = std::fs::read(&beside)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            pay::transfer(alice, bob, 1_000_000).await?;
        }
        network.nodes[0].stop().await?;
        let new = stores::save_store(&network.nodes[0], "today")?;
        let new_witness = std::fs::read(&beside)?;
        stores::put_store(&network.nodes[0], &old)?;
        std::fs::write(&beside, old_witness)?;
        let said = refuses_to_start(&mut network.nodes[0]).await?;
        for part in [witness.as_str(), "older copy", "put the newest store back"] {
            ensure!(said.contains(part), "{part:?} is not in: {said}");
        }
        stores::put_store(&network.nodes[0], &new)?;
        std::fs::write(&beside, new_witness)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        pay::transfer(bob, alice, 500_000).await?;
        Ok(())
    });
}

#[test]
fn a_mirror_is_lost_comes_back_and_restores_the_store() {
    scenario::run_with("mirror", Settings::default(), async |network| {
        let copy = network.folder("mirror")?;
        let quoted = config::quoted(&copy.display().to_string());
        let mirrored = network.settings().clone().with("storage", "mirror", quoted);
        network.build(&Plan::balanced(Topology::Pair)).await?;
        network.nodes[0].stop().await?;
        network.nodes[0].configure(&network.bitcoind, &mirrored)?;
        let scratch = network.folder("faults")?;
        let faults = Faults::under(&mut network.nodes[0], &copy, &scratch)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            ensure!(mirror(alice).await?.state() == State::InStep);
            let caught_up = |event: &Event| matches!(event.what, Some(What::MirrorCaughtUp(_)));
            ensure!(events(alice).await?.iter().any(caught_up), "the new mirror was filled");
            pay::transfer(alice, bob, 1_000_000).await?;

            // Its disk dies; the daemon says so, and goes on with one copy.
            faults.begin(Fault::Eio)?;
            pay::transfer(alice, bob, 1_000_000).await?;
            let failed = mirror(alice).await?;
            ensure!(failed.state() == State::Failed, "{failed:?}");
            ensure!(failed.why.contains(&copy.display().to_string()), "{failed:?}");
            let warnings = alice.info().await?.warnings;
            ensure!(warnings.iter().any(|words| words.contains("mirror")), "{warnings:?}");
            poll::eventually("the journal has it", async || {
                let told = events(alice).await?.into_iter().find_map(|event| match event.what {
                    Some(What::MirrorFailed(failed)) => Some(failed.why),
                    _ => None,
                });
                Ok(told.map_or(Look::NotYet("nothing".to_owned()), Look::Done))
            })
            .await?;
            pay::transfer(alice, bob, 1_000_000).await?;
        }
        network.allowed_errors.push("mirror failed".to_owned());
        faults.end()?;
        network.nodes[0].restart().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            ensure!(mirror(alice).await?.state() == State::InStep);
            ensure!(alice.info().await?.warnings.is_empty());
            pay::transfer(alice, bob, 1_000_000).await?;
        }

        // The disk of the store itself dies in the midst of its work.
        network.nodes[0].kill()?;
        let database = network.nodes[0].state_dir().join("sled");
        std::fs::remove_dir_all(&database)?;
        let said = refuses_to_start(&mut network.nodes[0]).await?;
        ensure!(said.contains("restore the mirror"), "{said}");
        let said = done(network.nodes[0].dir(), &["import", &copy.display().to_string()])?;
        ensure!(said.contains("the mirror is restored"), "{said}");
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        {
            let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
            ensure!(check(alice).await?.sound && mirror(alice).await?.state() == State::InStep);
            pay::transfer(alice, bob, 1_000_000).await?;
            pay::transfer(bob, alice, 1_000_000).await?;
        }

        // Where the operator wants two copies or none, the daemon ends with the mirror.
        network.nodes[0].stop().await?;
        let strict = mirrored.with("storage", "stop_without_mirror", true);
        network.nodes[0].configure(&network.bitcoind, &strict)?;
        network.nodes[0].launch().await?;
        network.wait_usable().await?;
        faults.begin(Fault::Eio)?;
        let invoice = pay::invoice(&network.nodes[0], 1_000_000).await;
        ensure!(invoice.is_err(), "an invoice was stored in one place: {invoice:?}");
        let status = network.nodes[0].process()?.wait().await?;
        let said = network.nodes[0].process()?.last_lines(1);
        network.nodes[0].ended().await?;
        ensure!(!status.success() && said.contains("stop_without_mirror"), "{said}");
        for words in ["the store failed", "a call failed with an internal error"] {
            network.allowed_errors.push(words.to_owned());
        }
        faults.end()?;
        network.nodes[0].launch().await?;
        network.wait_usable().await
    });
}
