//! `fulmen store …`: the daemon's disk while it runs.
use std::path::PathBuf;

use clap::{Args, Subcommand};
use fulmen_proto::v1::{
    CheckStoreRequest, CheckStoreUpdate, CompactStoreRequest, CompactStoreUpdate,
    ExportStoreRequest, ExportStoreUpdate, StoreStatsRequest,
};

use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::render::store;
use crate::session::Session;

/// Commands about what the daemon keeps on disk.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Read and verify every record
    ///
    /// It ends with exit code 1 where something does not hold. The daemon goes on working meanwhile.
    Check(Check),
    /// Sizes by table, the largest values, growth, the state of disk and mirror
    Stats(Stats),
    /// Write the state of one instant into a file on the daemon's machine
    ///
    /// It holds everything but the seed: channels, payments, invoices, the wallet's history. `fulmend store import`
    /// makes a store from it. Channels move on with every payment: running a node on an older state can lose all the
    /// money in its channels, because peers may punish it as a fraud. Use an export to move a stopped node to another
    /// machine, or to look into it; for a second copy that is always current set `storage.mirror`.
    Export(Export),
    /// Write the database anew without the space that old values left
    ///
    /// The daemon goes on working meanwhile. The disk needs room for a second copy for a while; breaking it off
    /// changes nothing.
    Compact(Compact),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Check(command) => command.run(session).await,
            Self::Stats(command) => command.run(session).await,
            Self::Export(command) => command.run(session).await,
            Self::Compact(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Check {}

impl Check {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let progress = session.screen.progress("reading the store");
        let mut stream = session.store().check(CheckStoreRequest {}).await?.into_inner();
        let mut last = CheckStoreUpdate::default();
        while let Some(update) = stream.message().await? {
            progress.doing(read_so_far(update.rows, update.bytes));
            last = update;
        }
        drop(progress);
        let Some(findings) = &last.findings else { return Err(broken_off()) };
        session.screen.show(&last, store::checked)?;
        match findings.sound {
            true => Ok(()),
            false => Err(Failure::failed("the store is damaged")
                .advise("Stop the daemon, check its disk, then restore the mirror or an export")),
        }
    }
}

#[derive(Debug, Args)]
pub struct Stats {}

impl Stats {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let stats = session.store().stats(StoreStatsRequest {}).await?.into_inner();
        session.screen.show(&stats, store::stats)
    }
}

#[derive(Debug, Args)]
pub struct Export {
    /// The file to make; only an older export is overwritten
    file: PathBuf,
}

impl Export {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let absolute = std::path::absolute(&self.file)
            .map_err(|error| Failure::new(Exit::Usage, format!("not a path: {error}")))?;
        let path = absolute.display().to_string();
        let progress = session.screen.progress("writing the export");
        let request = ExportStoreRequest { path: path.clone() };
        let mut stream = session.store().export(request).await?.into_inner();
        let mut last = ExportStoreUpdate::default();
        while let Some(update) = stream.message().await? {
            progress.doing(read_so_far(update.rows, update.bytes));
            last = update;
        }
        drop(progress);
        if last.commit == 0 {
            return Err(broken_off());
        }
        session.screen.show(&last, |last, _| store::exported(last, &path))
    }
}

#[derive(Debug, Args)]
pub struct Compact {}

impl Compact {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let progress = session.screen.progress("writing the database anew");
        let mut stream = session.store().compact(CompactStoreRequest {}).await?.into_inner();
        let mut last = CompactStoreUpdate::default();
        while let Some(update) = stream.message().await? {
            progress.doing(read_so_far(update.rows, update.bytes));
            last = update;
        }
        drop(progress);
        if last.after_bytes == 0 {
            return Err(broken_off());
        }
        session.screen.show(&last, |last, _| store::compacted(last))
    }
}

fn read_so_far(rows: u64, bytes: u64) -> String {
    format!("{}, {}", human::count(rows, "row", "rows"), human::size(bytes))
}

fn broken_off() -> Failure {
    Failure::failed("the daemon broke off before the end")
}
