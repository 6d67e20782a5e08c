//! The short form of `cargo soak`: each kind of stranger once, a stall, a kill, an open and a close.
use anyhow::ensure;
use fulmen_integration::demo::screen::Screen;
use fulmen_integration::scenario;
use fulmen_integration::soak::{self, options::Options};
use fulmen_integration::strangers::Mischief;

/// What a node may take more after the strangers than before, in memory and in its log.
const MORE_RSS_BYTES: u64 = 64 << 20;
const MORE_LOG_BYTES: u64 = 4 << 20;

#[test]
fn strangers_stalls_and_kills_cost_neither_money_nor_room() {
    scenario::run_with("soak", soak::settings(), async |network| {
        let options = Options { minutes: 0, rounds: Mischief::ALL.len(), round_secs: 2 };
        let report = soak::run(network, &options, &Screen::new()).await?;
        ensure!(report.settled > 50 && report.htlcs_failed > 0, "{report:?}");
        ensure!(report.opens >= 3 && report.closes >= 3, "{report:?}");
        ensure!(report.stalls > 0 && report.kills > 0, "{report:?}");
        for mischief in Mischief::ALL {
            ensure!(report.times(mischief) > 0, "no {mischief:?} came through: {report:?}");
        }
        let (before, after) = (report.before, report.after);
        ensure!(after.rss_bytes < before.rss_bytes + MORE_RSS_BYTES, "{report:?}");
        ensure!(after.log_bytes < before.log_bytes + MORE_LOG_BYTES, "{report:?}");
        Ok(())
    });
}
