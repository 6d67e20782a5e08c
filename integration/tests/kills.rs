//! Daemons killed under payment load: after each kill the books are exact and all channels are there.
//!
//! `FULMEN_KILLS=300` makes the run long, `FULMEN_STORAGE_ASYNC_PERSISTENCE=true` lets LDK wait for its updates.
use anyhow::ensure;
use fulmen_integration::chaos::kills;
use fulmen_integration::daemon::Settings;
use fulmen_integration::network::Topology;
use fulmen_integration::scenario;

/// A peer that dies every few seconds would be dialled ever less often, up to once an hour.
fn patient() -> Settings {
    Settings::default().with("peers", "reconnect_max_secs", 1)
}

#[test]
fn channels_and_money_survive_kills_under_load() {
    scenario::run_with("kills", patient(), async |network| {
        let toll = kills::run(network, Topology::Line(3), kills::wanted()?).await?;
        ensure!(toll.succeeded > 0, "{toll:?}");
        Ok(())
    });
}
