//! `cargo demo`: a real Lightning network on regtest, from nothing to the bill and the audit.
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use fulmen_integration::demo::options::Options;
use fulmen_integration::demo::screen::Screen;
use fulmen_integration::demo::{self, report::Report};
use fulmen_integration::network::Network;

/// Brings up bitcoind and daemons, opens channels, pays, closes, and audits every satoshi.
///
/// The last line of the output is one JSON object with the figures.
#[derive(Parser)]
#[command(name = "cargo demo", version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Args::parse().options;
    let screen = Screen::new();
    let shown = tokio::select! {
        shown = show(&options, &screen) => shown,
        // Dropping the show ends its processes.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match shown {
        Ok(report) if report.is_perfect() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            screen.line(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn show(options: &Options, screen: &Screen) -> Result<Report> {
    demo::provide(screen)?;
    let mut network = demo::bring_up(options, screen).await?;
    let report = demo::run(&mut network, options, screen).await;
    if report.is_err() {
        network.keep();
        screen.line(&format!("logs are kept in {}", network.dir().display()));
    }
    let report = report?;
    screen.line(&format!("  all together {:.1} s", screen.elapsed().as_secs_f64()));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", report.table())?;
    if options.keep {
        write!(out, "{}", exploring(&network)?)?;
        leave_running(network);
    }
    writeln!(out, "{}", report.json())?;
    Ok(report)
}

fn exploring(network: &Network) -> Result<String> {
    let mut text = format!("everything runs on in {}\n", network.dir().display());
    for node in &network.nodes {
        let fulmen = &fulmen_integration::binaries::get()?.fulmen;
        text.push_str(&format!(
            "  {:<6} {} --dir {} --network regtest channels\n",
            node.name(),
            fulmen.display(),
            node.dir().display()
        ));
    }
    let pids = network.pids().iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    text.push_str(&format!("  to end it: kill {pids}\n"));
    Ok(text)
}

/// The processes outlive us: their destructors must not run.
fn leave_running(mut network: Network) {
    network.keep();
    std::mem::forget(network);
}
