//! `fulmen`: asks a running `fulmend` to do things, and shows what it answers.
mod amount;
mod args;
mod commands;
mod discover;
mod dispatch;
mod failure;
mod format;
mod ids;
mod render;
mod session;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use render::Screen;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Wrong arguments end the process in here, with clap's words and exit code 2.
    let args = Args::parse();
    let screen = Screen::new(args.json);
    match dispatch::run(args, screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}
