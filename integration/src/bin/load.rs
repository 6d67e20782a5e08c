//! `cargo load`: how many payments a network settles, for how long, and at what cost.
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use fulmen_integration::demo::{self, screen::Screen};
use fulmen_integration::load::options::Options;
use fulmen_integration::load::{self, plot};

/// Measures a network under load, interval by interval, and audits every satoshi.
///
/// The last line of the output is one JSON object. CPU is of all daemons; disk and memory are the payer's,
/// written bytes and fsyncs counted by system call. Ctrl-C ends the measurement early.
#[derive(Parser)]
#[command(name = "cargo load", version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Args::parse().options;
    let screen = Screen::new();
    match measure(&options, &screen).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.line(&format!("load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options, screen: &Screen) -> Result<bool> {
    if cfg!(debug_assertions) {
        screen.line("  this measures a dev build: `cargo load` makes a release build");
    }
    demo::provide(screen)?;
    let series = load::run(options, screen).await?;
    let title = format!(
        "{:?}, {} msat, {} in flight, {} idle channels, {} payments before",
        options.topology(),
        options.amount_msat,
        options.in_flight,
        options.idle_channels,
        options.history
    );
    let path = match &options.plot {
        Some(path) => path.clone(),
        None => {
            std::env::current_exe().context("asking which program runs")?.with_file_name("load.svg")
        }
    };
    std::fs::write(&path, plot::svg(&series, &title))
        .with_context(|| format!("writing {}", path.display()))?;
    screen.line(&format!("  plotted in {}", path.display()));
    writeln!(std::io::stdout(), "{}", series.json())?;
    Ok(series.is_perfect())
}
