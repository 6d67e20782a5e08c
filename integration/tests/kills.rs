//! Daemons killed under payment load: after each kill the books are exact.
//!
//! `FULMEN_KILLS=300` makes the run long. `FULMEN_STORAGE_ASYNC_PERSISTENCE=false` stores each monitor update for
//! itself: LDK may then close a channel whose manager is older than its monitor, the money comes home by the chain,
//! and a part that a payee holds back may outlast the patience of this test.
use anyhow::ensure;
use fulmen_integration::chaos::kills;
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::Topology;
use fulmen_integration::scenario;

/// A peer that dies every few seconds would be dialled ever less often, up to once an hour.
fn patient() -> Settings {
    Settings::default().with("peers", "reconnect_max_seconds", 1)
}

#[test]
fn channels_and_money_survive_kills_under_load() {
    let apart = std::env::var("FULMEN_STORAGE_ASYNC_PERSISTENCE").is_ok_and(|it| it == "false");
    let topology = if apart { Topology::Pair } else { Topology::Line(3) };
    let settings = patient().with("storage", "async_persistence", true);
    scenario::run_with("kills", settings, async |network| {
        let toll = kills::run(network, topology, kills::wanted()?).await?;
        ensure!(toll.succeeded > 0 && (apart || toll.reopened == 0), "{toll:?}");
        Ok(())
    });
}
