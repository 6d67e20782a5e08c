//! Channels whose state is lost: with the words alone, or with a static channel backup, their money comes back.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::{Node, channels};
use fulmen_integration::network::funding::Plan;
use fulmen_integration::network::{Network, Topology};
use fulmen_integration::poll::{self, Look};
use fulmen_integration::scenario;
use fulmen_integration::steps::{chain, channel, wallet};
use fulmen_proto::v1::lost_channel::{KnownFrom, State};
use fulmen_proto::v1::{
    BackupStatus, ConnectPeerRequest, ExportBackupRequest, GetBackupStatusRequest,
    RestoreBackupRequest, SubscribeBackupsRequest, VerifyBackupRequest,
};
use tonic::Code;

/// What a sweep and the close may cost, in satoshis.
const FEES_SAT: u64 = 10_000;

async fn status(node: &Node) -> Result<BackupStatus> {
    Ok(node.backup().get_status(GetBackupStatusRequest {}).await?.into_inner())
}

/// Alice's directory is gone; she starts again from her words, on the same port.
async fn loses_everything(network: &mut Network, birthday: u32) -> Result<()> {
    let words = network.nodes[0].seed_words();
    network.nodes[0].stop().await?;
    std::fs::remove_dir_all(network.nodes[0].state_dir())?;
    restore_words(network, &words, birthday).await
}

async fn restore_words(network: &mut Network, words: &str, birthday: u32) -> Result<()> {
    let birthday = birthday.to_string();
    let arguments = ["create", "--restore", "--birthday", &birthday];
    let ran = network.nodes[0].cli()?.run_with_input(&arguments, words).await?;
    ensure!(ran.code == 0, "{ran:?}");
    network.nodes[0].launch().await
}

/// Mines until the lost channel's money is in the wallet; it must be all but the fees.
async fn comes_back(network: &Network, amount_sat: u64) -> Result<()> {
    let alice = &network.nodes[0];
    chain::mempool_holds_some(network).await?;
    network.mine(1).await?;
    network.wait_synced().await?;
    let swept = poll::eventually("the sweep is broadcast", async || {
        let status = status(alice).await?;
        let swept = status.recovered.iter().any(|output| !output.sweep_txid.is_empty());
        Ok(if swept { Look::Done(status) } else { Look::NotYet(format!("{status:?}")) })
    })
    .await?;
    ensure!(swept.recovered.len() == 1, "{swept:?}");
    ensure!(
        swept.recovered_sat <= amount_sat && swept.recovered_sat + FEES_SAT > amount_sat,
        "{} of {amount_sat} sat came back",
        swept.recovered_sat
    );
    let before = wallet::balance(alice).await?.confirmed_sat;
    chain::mempool_holds_some(network).await?;
    network.mine(1).await?;
    poll::eventually("the sweep is in the wallet", async || {
        let balance = wallet::balance(alice).await?;
        let gained = balance.confirmed_sat.saturating_sub(before);
        let is_there = gained <= amount_sat && gained + FEES_SAT > amount_sat;
        Ok(if is_there { Look::Done(()) } else { Look::NotYet(format!("{balance:?}")) })
    })
    .await
}

#[test]
fn words_alone_find_the_channels_that_the_network_knows() {
    scenario::run("recovery-words", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("three") };
        let lost = channels::between(alice, bob).await?;
        let (bob_id, carol_uri) = (bob.id(), (carol.id(), carol.address()));
        // Bob is away while Alice asks Carol, who knows the network.
        loses_everything(network, 1).await?;
        network.nodes[1].stop().await?;
        let alice = &network.nodes[0];
        let request = ConnectPeerRequest { node_id: carol_uri.0, address: carol_uri.1 };
        alice.peers().connect(request).await?;
        let noticed = poll::eventually("the lost channel is noticed", async || {
            let status = status(alice).await?;
            Ok(match status.lost.first() {
                Some(lost) => Look::Done(lost.clone()),
                None => Look::NotYet(format!("{status:?}")),
            })
        })
        .await?;
        ensure!(noticed.node_id == bob_id && noticed.known_from() == KnownFrom::Gossip);
        ensure!(noticed.short_channel_id == lost.short_channel_id, "{noticed:?}");
        ensure!(noticed.state() == State::PeerAway, "{noticed:?}");
        let shown = alice.cli()?.ok(&["backup", "status"]).await?;
        ensure!(shown.contains("peer away") && shown.contains("gossip"), "{shown}");
        ensure!(alice.info().await?.warnings.iter().any(|it| it.contains("fulmen backup status")));

        network.nodes[1].launch().await?;
        comes_back(network, lost.local_msat / 1_000).await?;
        let shown = network.nodes[0].cli()?.ok(&["backup", "status"]).await?;
        ensure!(shown.contains("closed") && shown.contains("swept"), "{shown}");
        chain::sweep_everything(network).await
    });
}

#[test]
fn a_backup_brings_back_a_channel_that_nobody_announces() {
    scenario::run("recovery-backup", async |network| {
        let plan = Plan { announce: false, ..Plan::balanced(Topology::Pair) };
        network.build(&plan).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let lost = channels::between(alice, bob).await?;
        let file = network.folder("elsewhere")?.join("channels.backup");
        let path = file.display().to_string();
        let said = alice.cli()?.ok(&["backup", "export", &path]).await?;
        ensure!(said.contains("1 channel"), "{said}");
        let verified = alice.cli()?.ok(&["backup", "verify", &path]).await?;
        ensure!(verified.contains("10,000,000"), "{verified}");

        // It is of Alice alone, and a flipped bit is noticed.
        let sealed = std::fs::read(&file)?;
        let refused = bob.backup().verify(VerifyBackupRequest { sealed: sealed.clone() }).await;
        ensure!(refused.is_err_and(|status| status.code() == Code::InvalidArgument));
        let mut damaged = sealed.clone();
        *damaged.last_mut().context("it is not empty")? ^= 1;
        let request = RestoreBackupRequest { sealed: damaged };
        let refused = alice.backup().restore(request).await;
        ensure!(refused.is_err_and(|status| status.code() == Code::InvalidArgument));
        let restored = alice.backup().restore(RestoreBackupRequest { sealed }).await?.into_inner();
        ensure!((restored.channels, restored.newly_lost) == (1, 0), "{restored:?}");

        loses_everything(network, 1).await?;
        let alice = &network.nodes[0];
        let said = alice.cli()?.ok(&["backup", "restore", &path]).await?;
        ensure!(said.contains("1 of them lost"), "{said}");
        // The peer is reached at the address that the backup names; a kill in between loses nothing.
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        comes_back(network, lost.local_msat / 1_000).await?;
        chain::sweep_everything(network).await
    });
}

#[test]
fn a_channel_that_was_closed_meanwhile_is_found_by_the_words() {
    scenario::run("recovery-closed", async |network| {
        network.build(&Plan::balanced(Topology::Pair)).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("a pair") };
        let lost = channels::between(alice, bob).await?;
        let words = alice.seed_words();
        network.nodes[0].stop().await?;
        std::fs::remove_dir_all(network.nodes[0].state_dir())?;
        channel::force_close(&network.nodes[1], &lost.channel_id).await?;
        chain::mempool_holds_some(network).await?;
        network.mine(3).await?;

        restore_words(network, &words, 1).await?;
        let alice = &network.nodes[0];
        let found = poll::eventually("the output is found", async || {
            let status = status(alice).await?;
            Ok(match status.recovered.first() {
                Some(output) if !output.sweep_txid.is_empty() => Look::Done(output.clone()),
                Some(_) | None => Look::NotYet(format!("{status:?}")),
            })
        })
        .await?;
        let ours_sat = lost.local_msat / 1_000;
        ensure!(
            found.amount_sat <= ours_sat && found.amount_sat + FEES_SAT > ours_sat,
            "{found:?}"
        );
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        chain::sweep_everything(network).await?;
        ensure!(status(&network.nodes[0]).await?.recovered.len() == 1);

        // The same words once more: what was swept in the life before is reported as that.
        loses_everything(network, 1).await?;
        let alice = &network.nodes[0];
        poll::eventually("the output is found to be spent", async || {
            let shown = alice.cli()?.ok(&["backup", "status"]).await?;
            let told = shown.contains("swept before");
            Ok(if told { Look::Done(()) } else { Look::NotYet(shown) })
        })
        .await?;
        ensure!(status(alice).await?.recovered_sat == 0);
        Ok(())
    });
}

#[test]
fn the_backup_follows_the_channels() {
    scenario::run("backup", async |network| {
        let settings = network.settings().clone();
        network.add_nodes(2).await?;
        let second = network.folder("second-disk")?.join("channels.backup");
        let settings =
            settings.with("backup", "path", format!("{:?}", second.display().to_string()));
        network.nodes[0].configure(&network.bitcoind, &settings)?;
        network.nodes[0].restart().await?;
        network.give_node(0, 3_000_000, 3).await?;
        network.give_node(1, 100_000, 1).await?;
        let alice = &network.nodes[0];
        let mut backups = alice.backup().subscribe(SubscribeBackupsRequest {}).await?.into_inner();
        let first = backups.message().await?.context("a first one")?;
        ensure!(first.channels == 0, "{first:?}");
        let opened =
            channel::open(network, 0, 1, channel::open_request(&network.nodes[1], 1_000_000, 0))
                .await?;
        let next = backups.message().await?.context("one more")?;
        ensure!(next.channels == 1, "{next:?}");
        let in_files = async |count: usize| {
            poll::eventually("both files name the channels", async || {
                for file in [&second, &alice.state_dir().join("channels.backup")] {
                    let sealed = std::fs::read(file)?;
                    let holds = alice.backup().verify(VerifyBackupRequest { sealed }).await?;
                    let channels = holds.into_inner().channels;
                    if channels.len() != count {
                        return Ok(Look::NotYet(format!("{}: {channels:?}", file.display())));
                    }
                }
                Ok(Look::Done(()))
            })
            .await
        };
        in_files(1).await?;
        channel::close(network, 0, &opened.channel_id).await?;
        network.mine(6).await?;
        in_files(0).await?;
        let exported = alice.backup().export(ExportBackupRequest {}).await?.into_inner();
        ensure!(exported.channels == 0);

        // Somebody else's file is not overwritten.
        network.allowed_errors.push("no backup of this node".to_owned());
        std::fs::write(&second, b"precious")?;
        network.nodes[0].restart().await?;
        let alice = &network.nodes[0];
        poll::eventually("the daemon warns", async || {
            let warnings = alice.info().await?.warnings;
            let told = warnings.iter().any(|warning| warning.contains("is not written"));
            Ok(if told { Look::Done(()) } else { Look::NotYet(format!("{warnings:?}")) })
        })
        .await?;
        ensure!(std::fs::read(&second)? == b"precious");
        // Once it is out of the way the backup is written there, and the warning ends.
        std::fs::remove_file(&second)?;
        alice.backup().export(ExportBackupRequest {}).await?;
        ensure!(second.exists(), "the backup is not written again");
        let warnings = alice.info().await?.warnings;
        ensure!(!warnings.iter().any(|it| it.contains("is not written")), "{warnings:?}");
        Ok(())
    });
}
