//! `fulmen create`: has `fulmend create` make or restore the seed of a new node.
use std::path::PathBuf;
use std::process::ExitStatus;

use clap::Args;
use tokio::process::Command;

use crate::failure::{Exit, Failure};
use crate::locate::Place;
use crate::render::Screen;

#[derive(Debug, Args)]
pub struct Create {
    /// Make the seed from 24 words that you type in
    #[arg(long)]
    restore: bool,
    /// When that seed was made: the block's height, or the day as 2026-01-31; blocks before are not
    /// searched for its money
    #[arg(long, value_name = "HEIGHT|DAY", requires = "restore")]
    birthday: Option<String>,
}

impl Create {
    /// Runs `fulmend create` at this terminal; the words never pass through this program.
    pub async fn run(self, place: &Place, screen: Screen) -> Result<(), Failure> {
        let daemon = daemon();
        let mut command = Command::new(&daemon);
        command.arg("create");
        if let Some(dir) = &place.dir {
            command.arg("--dir").arg(dir);
        }
        if let Some(network) = place.network {
            command.arg("--network").arg(network.name());
        }
        if self.restore {
            command.arg("--restore");
        }
        if let Some(birthday) = &self.birthday {
            command.arg("--birthday").arg(birthday);
        }
        if screen.json {
            command.arg("--json");
        }
        if self.restore && screen.has_someone_to_ask() {
            screen.note("Type the 24 words, then Enter and Ctrl-D:");
        }
        let status = command.status().await.map_err(|error| {
            Failure::failed(format!("cannot run {}: {error}", daemon.display()))
                .advise("fulmend makes the seed: install it beside fulmen, or where PATH finds it")
        })?;
        outcome(status)
    }
}

/// The daemon beside us, else the one that PATH finds.
fn daemon() -> PathBuf {
    let name = format!("fulmend{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|us| us.canonicalize().ok());
    match beside.map(|us| us.with_file_name(&name)) {
        Some(daemon) if daemon.is_file() => daemon,
        _ => PathBuf::from(name),
    }
}

/// It has told what was wrong; we only end the same way.
fn outcome(status: ExitStatus) -> Result<(), Failure> {
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => Err(Failure::new(Exit::Usage, "fulmend create did not understand us").advise(
            "See what it said; if it was right, install fulmen and fulmend of one release",
        )),
        _ => Err(Failure::failed("no seed was made")),
    }
}
