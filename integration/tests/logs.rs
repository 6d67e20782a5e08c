//! The daemon's log files do not grow without bound.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::daemon::{Node, Settings};
use fulmen_integration::scenario;

const FILE_BYTES: u64 = 10_000;

/// The lines of all log files, the oldest first, and how many files there are.
fn logged(node: &Node) -> Result<(String, usize)> {
    let folder = node.state_dir();
    let mut text = String::new();
    let mut files = 0;
    for age in (0..10).rev() {
        let name = if age == 0 { "fulmend.log".to_owned() } else { format!("fulmend.log.{age}") };
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        files += 1;
        let read = std::fs::read_to_string(&path).context("reading a log file")?;
        let length = u64::try_from(read.len())?;
        ensure!(length <= FILE_BYTES, "{} has {length} bytes", path.display());
        text.push_str(&read);
    }
    Ok((text, files))
}

#[test]
fn the_log_is_kept_in_files_that_are_rotated() {
    let settings = Settings::default()
        .with("log", "files", 3)
        .with("log", "file_bytes", FILE_BYTES)
        .with("log", "filter", "\"debug\"");
    scenario::run_with("logs", settings, async |network| {
        network.add_nodes(1).await?;
        network.mine(120).await?;
        network.nodes[0].stop().await?;
        let (text, files) = logged(&network.nodes[0])?;
        ensure!(files == 3, "{files} files of debug lines");
        let stderr = std::fs::read_to_string(network.nodes[0].log())?;
        let strange = text.lines().find(|line| !stderr.contains(line));
        ensure!(strange.is_none(), "standard error does not have this line: {strange:?}");
        ensure!(text.trim_end().ends_with("stopped"), "the last line is there: {text}");

        // Files alone, and as machines like them.
        let quiet = network.settings().clone();
        let quiet = quiet.with("log", "stderr", false).with("log", "format", "\"json\"");
        network.nodes[0].configure(&network.bitcoind, &quiet)?;
        network.nodes[0].launch().await?;
        network.nodes[0].stop().await?;
        ensure!(std::fs::read_to_string(network.nodes[0].log())?.len() <= stderr.len());
        let (text, _) = logged(&network.nodes[0])?;
        let last = text.lines().last().context("no line")?;
        let last: serde_json::Value = serde_json::from_str(last)?;
        ensure!(last.to_string().contains("stopped"), "{last}");
        network.nodes[0].configure(&network.bitcoind, network.settings())?;
        network.nodes[0].launch().await
    });
}

#[test]
fn a_start_that_fails_says_why_in_the_file_too() {
    scenario::run("log-failure", async |network| {
        network.add_nodes(1).await?;
        network.nodes[0].stop().await?;
        std::fs::rename(
            network.nodes[0].state_dir().join("seed"),
            network.nodes[0].state_dir().join("seed.away"),
        )?;
        network.nodes[0].spawn()?;
        ensure!(!network.nodes[0].ended().await?.success(), "there is no seed");
        let text = std::fs::read_to_string(network.nodes[0].state_dir().join("fulmend.log"))?;
        ensure!(
            text.lines().last().is_some_and(|last| last.contains("there is no seed")),
            "{text}"
        );
        std::fs::rename(
            network.nodes[0].state_dir().join("seed.away"),
            network.nodes[0].state_dir().join("seed"),
        )?;
        network.nodes[0].launch().await
    });
}
