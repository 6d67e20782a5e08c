//! The process entry of `fulmend`: arguments, logging, runtime, exit code.

use std::process::ExitCode;

use clap::Parser;
use fulmen_daemon::config::{self, Args, Config};
use fulmen_daemon::node::stale::is_ldks_words;
use fulmen_daemon::{daemon, descriptors, log, offline};

/// Measured under sustained load against glibc's and mimalloc: equally fast, and it gives memory back, so that what
/// the node takes stays two thirds of theirs. Its options are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = config::load(&args, std::env::vars()).map_err(anyhow::Error::new).and_then(
        |(places, config)| match &args.command {
            None => run(&places, config),
            Some(command) => {
                let said = offline::run(command, &places, &config)?;
                write_out(&said)
            }
        },
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = write_err(&format!("fulmend: {error:#}\n"));
            let known = error.downcast_ref::<daemon::Error>();
            known.map_or(ExitCode::FAILURE, |error| ExitCode::from(error.exit_code()))
        }
    }
}

fn run(places: &config::Places, config: Config) -> anyhow::Result<()> {
    let log = log::start(&config.log, &places.data)?;
    if let Err(error) = descriptors::raise() {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    // LDK stores a channel's new state before it answers the peer, and the thread that does so waits for
    // the disk; more threads than cores let updates of different peers share one write.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(4, usize::from).max(4))
        .enable_all()
        .build()?;
    log::report_panics(is_ldks_words);
    let ended = runtime.block_on(daemon::run(places, config));
    match &ended {
        // LDK's locks are poisoned: to drop what holds them would panic.
        Err(error) if error.is_stale() => std::mem::forget(runtime),
        Ok(()) | Err(_) => runtime.shutdown_timeout(std::time::Duration::from_secs(5)),
    }
    log.end(&ended.as_ref().err().map(|error| format!("fulmend: {error}")).unwrap_or_default());
    Ok(ended?)
}

fn write_out(text: &str) -> anyhow::Result<()> {
    Ok(std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?)
}

fn write_err(text: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes())
}
