//! Runs one black-box scenario: a network of its own, the story, the audit; on failure the seed and the files.
use std::io::Write as _;

use anyhow::{Context as _, Result};

use crate::audit;
use crate::daemon::Settings;
use crate::network::Network;

/// Runs `story` on a fresh network without nodes, and the audit after it.
///
/// # Panics
/// When the story or the audit fails: that is how a test says so.
pub fn run(name: &str, story: impl AsyncFnOnce(&mut Network) -> Result<()>) {
    run_with(name, Settings::default(), story);
}

/// [`run`] with settings for all its daemons.
///
/// # Panics
/// As [`run`].
pub fn run_with(
    name: &str,
    settings: Settings,
    story: impl AsyncFnOnce(&mut Network) -> Result<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime needs only threads and descriptors");
    if let Err(error) = runtime.block_on(tell(name, settings, story)) {
        panic!("{name}: {error:#}");
    }
}

async fn tell(
    name: &str,
    settings: Settings,
    story: impl AsyncFnOnce(&mut Network) -> Result<()>,
) -> Result<()> {
    let mut network = Network::start(name, settings).await.context("starting the network")?;
    let outcome = match story(&mut network).await {
        Ok(()) => audit::run(&mut network).await.and_then(audit::Verdict::into_result),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        network.keep();
        network.tear_down();
        let mut screen = std::io::stderr();
        // A closed standard error is ignored.
        let _ = writeln!(
            screen,
            "{name}: failed; FULMEN_SEED={}, files in {}",
            network.chance.seed(),
            network.dir().display()
        );
    }
    outcome
}
