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
use failure::{Exit, Failure};
use render::Screen;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(wrong) => return not_understood(&wrong),
    };
    let screen = Screen::new(args.json, args.wide);
    match dispatch::run(args, screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Help goes to people; wrong arguments end with clap's words, or as JSON where that was asked for.
fn not_understood(wrong: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && wrong.use_stderr() {
        let rendered = wrong.render().to_string();
        let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("the command line is wrong");
        let what = first.strip_prefix("error: ").unwrap_or(first);
        let advice: Vec<&str> = lines.collect();
        let failure = Failure::new(Exit::Usage, what).advise(advice.join("; "));
        Screen::new(true, false).failure(&failure);
    } else {
        // A closed output is ignored.
        let _ = wrong.print();
    }
    ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(Exit::Usage.code()))
}
