//! Daemons killed under payment load: after each kill the books are exact. `FULMEN_KILLS=300` makes the runs long.
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
fn channels_and_money_survive_with_monitors_and_manager_stored_together() {
    let together = patient().with("storage", "async_persistence", true);
    scenario::run_with("kills-together", together, async |network| {
        let toll = kills::run(network, Topology::Line(3), kills::wanted()?).await?;
        ensure!(toll.succeeded > 0 && toll.reopened == 0, "{toll:?}");
        Ok(())
    });
}

#[test]
fn money_survives_with_each_monitor_update_stored_for_itself() {
    scenario::run_with("kills-apart", patient(), async |network| {
        // LDK may close a channel whose manager is older than its monitor; the money comes home by the chain.
        let toll = kills::run(network, Topology::Pair, kills::wanted()?).await?;
        ensure!(toll.succeeded > 0, "{toll:?}");
        Ok(())
    });
}
