//! Runs `fulmend` at this terminal, for what is done while no daemon runs.
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::process::Command;

use crate::discover::Place;
use crate::failure::{Exit, Failure};

/// Runs `fulmend` with these arguments on the daemon's directory; `undone` says what holds if it fails.
pub async fn run(place: &Place, arguments: &[&str], undone: &str) -> Result<(), Failure> {
    let daemon = daemon();
    let mut command = Command::new(&daemon);
    command.args(arguments);
    if let Some(dir) = &place.dir {
        command.arg("--dir").arg(dir);
    }
    if let Some(network) = place.network {
        command.arg("--network").arg(network.name());
    }
    let status = command.status().await.map_err(|error| {
        Failure::failed(format!("cannot run {}: {error}", daemon.display()))
            .advise("fulmend does this: install it beside fulmen, or where PATH finds it")
    })?;
    outcome(status, arguments, undone)
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

/// It has printed what was wrong; we only end the same way.
fn outcome(status: ExitStatus, arguments: &[&str], undone: &str) -> Result<(), Failure> {
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => {
            let verb = arguments.first().copied().unwrap_or_default();
            let what = format!("fulmend {verb} did not understand us");
            Err(Failure::new(Exit::Usage, what).advise(
                "See what it said; if it was right, install fulmen and fulmend of one release",
            ))
        }
        _ => Err(Failure::failed(undone)),
    }
}
