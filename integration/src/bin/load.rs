//! `cargo load`: the demo's network under an open-ended stream of payments, until a time is over or Ctrl-C.
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use fulmen_integration::demo;
use fulmen_integration::demo::options::Options;
use fulmen_integration::demo::report::Report;
use fulmen_integration::demo::screen::Screen;
use fulmen_integration::steps::traffic::Until;

/// Pays until the rounds are over, and reports every round; the last line of each is JSON.
#[derive(Parser)]
#[command(name = "cargo load", version)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Seconds of each round
    #[arg(long, default_value_t = 10)]
    round_secs: u64,
    /// Rounds; 0 for no end
    #[arg(long, default_value_t = 0)]
    rounds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let screen = Screen::new();
    let loaded = tokio::select! {
        loaded = load(&args, &screen) => loaded,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    match loaded {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.line(&format!("load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn load(args: &Args, screen: &Screen) -> Result<()> {
    demo::provide(screen)?;
    let network = demo::bring_up(&args.options, screen).await?;
    let round = Until::Elapsed(Duration::from_secs(args.round_secs));
    let mut number = 0;
    while args.rounds == 0 || number < args.rounds {
        number += 1;
        let (outcome, cpu) = demo::pay(&network, &args.options, round, screen).await?;
        writeln!(std::io::stdout(), "{}", Report::of_load(&outcome, cpu).json())?;
    }
    Ok(())
}
