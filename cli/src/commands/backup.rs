//! `fulmen backup …`: static channel backups, and what a recovery has brought back.
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fulmen_proto::v1::{
    ExportBackupRequest, GetBackupStatusRequest, RestoreBackupRequest, SubscribeBackupsRequest,
    VerifyBackupRequest,
};

use crate::failure::{Exit, Failure};
use crate::render::backup;
use crate::session::{Session, next_state};

/// A backup of more than this is none: 100,000 channels take less.
const MOST_BYTES: u64 = 16 << 20;

/// Commands about static channel backups.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Write the backup into a file on this machine
    ///
    /// It names the channels and where their peers are, and no state: an old backup is never dangerous, but it lacks
    /// the channels that were opened since. The daemon keeps one in its own directory, and at `backup.path`.
    Export(Export),
    /// Write the backup into a file now, and after each change of channels, until Ctrl-C
    Follow(Follow),
    /// Show what a backup holds; one that is damaged or of another seed is refused
    Verify(Verify),
    /// Have the peers of a backup's channels close those that this node does not know
    ///
    /// For a node whose store is lost: make the seed from its words (`fulmen create --restore`), start the daemon, and
    /// restore the newest backup. Each peer is asked to force its channel closed, and what was ours in it is swept to
    /// the wallet. HTLCs that were under way are not recovered.
    Restore(Restore),
    /// What a recovery has brought back, and what it still waits for
    Status(Status),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Export(command) => command.run(session).await,
            Self::Follow(command) => command.run(session).await,
            Self::Verify(command) => command.run(session).await,
            Self::Restore(command) => command.run(session).await,
            Self::Status(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Export {
    /// The file to write; an older backup in it is replaced
    file: PathBuf,
}

impl Export {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let exported = session.backup().export(ExportBackupRequest {}).await?.into_inner();
        write(&self.file, &exported.sealed)?;
        session.screen.show(&exported, |exported, _| backup::written(exported, &self.file))
    }
}

#[derive(Debug, Args)]
pub struct Follow {
    /// The file to write; an older backup in it is replaced
    file: PathBuf,
}

impl Follow {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut backups =
            session.backup().subscribe(SubscribeBackupsRequest {}).await?.into_inner();
        while let Some(next) = next_state(&mut backups, "no longer following").await? {
            write(&self.file, &next.sealed)?;
            session.screen.show_next(&next, |next, _| backup::written(next, &self.file))?;
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The backup; `-` reads the standard input
    file: PathBuf,
}

impl Verify {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let sealed = read(&self.file)?;
        let verified = session.backup().verify(VerifyBackupRequest { sealed }).await?.into_inner();
        session.screen.show(&verified, backup::verified)
    }
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The backup; `-` reads the standard input
    file: PathBuf,
}

impl Restore {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let sealed = read(&self.file)?;
        let request = RestoreBackupRequest { sealed };
        let restored = session.backup().restore(request).await?.into_inner();
        session.screen.show(&restored, |restored, _| backup::restored(restored))
    }
}

#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let status = session.backup().get_status(GetBackupStatusRequest {}).await?.into_inner();
        session.screen.show(&status, backup::status)
    }
}

/// Replaces the file as a whole, so that a crash leaves the old backup or the new one.
fn write(file: &Path, sealed: &[u8]) -> Result<(), Failure> {
    let named = |error: std::io::Error| Failure::failed(format!("{}: {error}", file.display()));
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, sealed).map_err(named)?;
    std::fs::File::open(&beside).and_then(|written| written.sync_all()).map_err(named)?;
    std::fs::rename(&beside, file).map_err(named)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let named =
        |error: std::io::Error| Failure::new(Exit::Usage, format!("{}: {error}", file.display()));
    let mut sealed = Vec::new();
    let limited = match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut sealed),
        false => std::fs::File::open(file)
            .and_then(|opened| opened.take(MOST_BYTES + 1).read_to_end(&mut sealed)),
    };
    limited.map_err(named)?;
    match u64::try_from(sealed.len()) {
        Ok(length) if length <= MOST_BYTES => Ok(sealed),
        _ => Err(Failure::new(Exit::Usage, format!("{}: too large for a backup", file.display()))),
    }
}
