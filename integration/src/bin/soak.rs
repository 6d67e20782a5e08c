//! `cargo soak`: half an hour of payments, opens and closes against strangers, stalls and kills.
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use fulmen_integration::demo::{self, screen::Screen};
use fulmen_integration::network::Network;
use fulmen_integration::soak::{self, options::Options};

/// Keeps four daemons at work while strangers do their worst, and audits every satoshi.
///
/// The last line of the output is one JSON object: what was counted, and what the node that the strangers came to
/// needed before and after. FULMEN_SEED repeats a run's choices.
#[derive(Parser)]
#[command(name = "cargo soak", version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Args::parse().options;
    let screen = Screen::new();
    let soaked = tokio::select! {
        soaked = soak(&options, &screen) => soaked,
        // Dropping the soak ends its processes.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match soaked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.line(&format!("soak: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn soak(options: &Options, screen: &Screen) -> Result<()> {
    demo::provide(screen)?;
    let mut network = Network::start("soak", soak::settings()).await?;
    let soaked = async {
        let mut report = soak::run(&mut network, options, screen).await?;
        soak::audit(&mut network, &mut report).await?;
        writeln!(std::io::stdout(), "{}", report.json())?;
        Ok(())
    };
    let soaked = soaked.await;
    if soaked.is_err() {
        network.keep();
        screen.line(&format!(
            "FULMEN_SEED={}, files in {}",
            network.chance.seed(),
            network.dir().display()
        ));
    }
    soaked
}
