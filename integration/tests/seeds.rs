//! The seed's file under a passphrase: made, opened, refused, encrypted and decrypted in its place.
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::{Cli, Ran};
use fulmen_integration::daemon::Node;
use fulmen_integration::daemon::config::quoted;
use fulmen_integration::scenario;

fn write_private(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

/// The one line of `fulmend` among what was said.
fn told(ran: &Ran) -> Result<String> {
    let mut lines = ran.stderr.lines().filter(|line| line.starts_with("fulmend: "));
    let line = lines.next().with_context(|| format!("fulmend said nothing: {ran:?}"))?;
    ensure!(lines.next().is_none(), "{ran:?}");
    Ok(line.to_owned())
}

async fn refused(cli: &Cli, arguments: &[&str], words: &str) -> Result<()> {
    let ran = cli.run(arguments).await?;
    let line = told(&ran)?;
    ensure!(ran.code == 1 && line.contains(words), "{words:?} is not said: {ran:?}");
    Ok(())
}

/// Starts a daemon that must end by itself, with one line that has these words.
async fn does_not_start(node: &mut Node, words: &str) -> Result<()> {
    node.spawn()?;
    let status = node.process()?.wait().await?;
    let said = node.process()?.last_lines(1);
    node.ended().await?;
    ensure!(!status.success() && said.starts_with("fulmend: "), "{status}: {said}");
    ensure!(said.contains(words), "{words:?} is not said: {said}");
    Ok(())
}

#[test]
fn a_seed_is_kept_under_a_passphrase() {
    scenario::run("seed", async |network| {
        let folder = network.folder("alice")?;
        let (seed, passphrase) = (folder.join("regtest").join("seed"), folder.join("passphrase"));
        let plain = network.settings().clone();
        let named = quoted(&passphrase.display().to_string());
        let unattended = plain.clone().with("seed", "passphrase_file", named);
        let mut alice = Node::without_seed("alice", &folder, &network.bitcoind, &plain)?;
        let cli = alice.cli()?;

        // Nobody to ask, and no file: nothing is made.
        refused(&cli, &["create", "--encrypt"], "passphrase_file").await?;
        alice.configure(&network.bitcoind, &unattended)?;
        refused(&cli, &["create", "--encrypt"], "could not read the seed's passphrase").await?;
        write_private(&passphrase, "\n")?;
        refused(&cli, &["create", "--encrypt"], "is empty").await?;
        ensure!(!seed.exists());

        write_private(&passphrase, "open sesame\n")?;
        let made = cli.json(&["create", "--encrypt"]).await?;
        let words = made.get("mnemonic").and_then(|words| words.as_str()).context("words")?;
        let sealed = std::fs::read(&seed)?;
        ensure!(sealed.starts_with(b"FULMSEED"));
        ensure!(std::fs::metadata(&seed)?.permissions().mode() & 0o777 == 0o600);
        refused(&cli, &["create", "--encrypt"], "never overwritten").await?;
        refused(&cli, &["seed", "encrypt"], "encrypted already").await?;
        alice.launch().await?;
        let id = alice.id();
        alice.stop().await?;

        // Another passphrase, none, a damaged file: one line, and nothing is changed.
        write_private(&passphrase, "open, sesame")?;
        does_not_start(&mut alice, "the passphrase is wrong").await?;
        refused(&cli, &["seed", "decrypt"], "the passphrase is wrong").await?;
        alice.configure(&network.bitcoind, &plain)?;
        does_not_start(&mut alice, "FULMEN_SEED_PASSPHRASE_FILE").await?;
        refused(&cli, &["seed", "decrypt"], "is encrypted: name a file").await?;
        ensure!(std::fs::read(&seed)? == sealed);
        alice.configure(&network.bitcoind, &unattended)?;
        write_private(&passphrase, "open sesame")?;
        let mut damaged = sealed.clone();
        *damaged.last_mut().context("it is not empty")? ^= 1;
        write_private(&seed, "")?;
        std::fs::write(&seed, &damaged)?;
        does_not_start(&mut alice, "is damaged").await?;
        std::fs::write(&seed, &sealed)?;

        // In the clear and back again: the same node, and the same words.
        ensure!(cli.ok(&["seed", "decrypt"]).await?.contains("in the clear"));
        ensure!(std::fs::read_to_string(&seed)?.trim() == words);
        refused(&cli, &["seed", "decrypt"], "is not encrypted").await?;
        alice.configure(&network.bitcoind, &plain)?;
        alice.launch().await?;
        ensure!(alice.id() == id);
        alice.stop().await?;
        refused(&cli, &["seed", "encrypt"], "a passphrase is needed").await?;
        alice.configure(&network.bitcoind, &unattended)?;
        ensure!(cli.ok(&["seed", "encrypt"]).await?.contains("is encrypted"));
        let again = std::fs::read(&seed)?;
        ensure!(again.starts_with(b"FULMSEED") && again != sealed, "the salt is a new one");
        alice.launch().await?;
        ensure!(alice.id() == id);

        // The words of another machine, encrypted from the start.
        let elsewhere = network.folder("elsewhere")?;
        std::fs::copy(folder.join("fulmen.toml"), elsewhere.join("fulmen.toml"))?;
        let restoring = Cli::new(&fulmen_integration::binaries::get()?.fulmen, &elsewhere);
        let restored = ["create", "--restore", "--encrypt", "--birthday", "1"];
        let ran = restoring.run_with_input(&restored, words).await?;
        ensure!(ran.code == 0, "{ran:?}");
        ensure!(restoring.ok(&["seed", "decrypt"]).await?.contains("in the clear"));
        let stored = std::fs::read_to_string(elsewhere.join("regtest").join("seed"))?;
        ensure!(stored.trim() == words);
        network.nodes.push(alice);
        Ok(())
    });
}
