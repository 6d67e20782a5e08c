//! `fulmen macaroon …`: who may do what.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use fulmen_proto::v1::{
    AttenuateMacaroonRequest, BakeMacaroonRequest, InspectMacaroonRequest, ListMacaroonsRequest,
    RevokeMacaroonRequest, RotateRootKeyRequest,
};

use super::options::paging;
use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::ids::{ChannelName, NodeId, unhex};
use crate::render::macaroons;
use crate::session::Session;
use crate::units::Span;

/// Commands about macaroons.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Make a macaroon that does no more than its options say
    ///
    /// Without options it may do all that the macaroon of this call may. It is shown once: save it, or make another.
    Bake(Bake),
    /// List the macaroons that were baked, the newest first
    List(List),
    /// Show what a macaroon allows, and whether it is accepted
    Inspect(Inspect),
    /// Make a weaker macaroon of one; it is revoked together with that one
    Attenuate(Attenuate),
    /// Refuse a macaroon and all that were attenuated from it, from now on
    Revoke(Revoke),
    /// Make all macaroons worthless but three fresh ones
    ///
    /// A new root key signs new files admin.macaroon, readonly.macaroon and invoice.macaroon in the daemon's directory.
    /// Every macaroon that was made before is refused from then on.
    Rotate(Rotate),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Bake(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Inspect(command) => command.run(session).await,
            Self::Attenuate(command) => command.run(session).await,
            Self::Revoke(command) => command.run(session).await,
            Self::Rotate(command) => command.run(session).await,
        }
    }
}

/// What a macaroon is narrowed to; each option once more narrows further.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What it allows")]
struct Conditions {
    /// These permissions: payments:write,info:read; `*` for any entity or any action
    #[arg(long, value_name = "ENTITY:ACTION,...")]
    permission: Vec<String>,
    /// These methods: Payments/Pay,Node/GetInfo
    #[arg(long, value_name = "SERVICE/METHOD,...")]
    method: Vec<String>,
    /// For so long from now: 30d
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// From these addresses or networks: 10.0.0.0/8,::1
    #[arg(long, value_name = "NETWORK,...")]
    ip: Vec<String>,
    /// Only to connect to, disconnect from and open channels to these nodes
    #[arg(long, value_name = "NODE_ID", value_delimiter = ',')]
    peer: Vec<NodeId>,
    /// Only to show, close and set the policy of these channels: 539x1x0 or a channel id
    #[arg(long, value_name = "CHANNEL", value_delimiter = ',', value_parser = channel)]
    channel: Vec<String>,
}

/// A channel as a caveat names it; the daemon checks it too.
fn channel(text: &str) -> Result<String, String> {
    match text.contains(':') {
        true => Err("a macaroon names a channel by its short id or its channel id".to_owned()),
        false => ChannelName::from_str(text).map(|_| text.to_owned()),
    }
}

impl Conditions {
    /// The caveats, as `access.proto` describes them.
    fn caveats(&self, now: u64) -> Vec<String> {
        let list = |name: &str, given: &[String]| {
            given.iter().map(|value| format!("{name} = {value}")).collect::<Vec<_>>()
        };
        let together = |name: &str, given: Vec<String>| {
            (!given.is_empty()).then(|| format!("{name} = {}", given.join(",")))
        };
        let peers = self.peer.iter().map(|NodeId(id)| human::hex(id)).collect();
        let mut caveats = list("permission", &self.permission);
        caveats.extend(list("method", &self.method));
        caveats.extend(list("ip", &self.ip));
        caveats.extend(together("peer", peers));
        caveats.extend(together("channel", self.channel.clone()));
        caveats.extend(self.expires.map(|span| format!("before = {}", now + u64::from(span.secs))));
        caveats
    }
}

#[derive(Debug, Args)]
pub struct Bake {
    /// A word for the one that it is for, shown by `fulmen macaroon list`
    #[arg(default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    conditions: Conditions,
    /// Write it into a new file that only you can read, instead of showing it in hex
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Bake {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let caveats = self.conditions.caveats(now());
        let request = BakeMacaroonRequest { name: self.name, caveats };
        let baked = session.access().bake(request).await?.into_inner();
        if let Some(file) = &self.save {
            save(file, &baked.macaroon)?;
        }
        session
            .screen
            .show(&baked, |baked, look| macaroons::baked(baked, self.save.as_deref(), look))
    }
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.access();
        let fetch = async |page| client.list(ListMacaroonsRequest { page: Some(page) }).await;
        paging::show(&session.screen, &self.paging, fetch, macaroons::list).await
    }
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// Its file, or the macaroon itself in hex
    #[arg(value_name = "FILE|HEX")]
    given: PathBuf,
}

impl Inspect {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = InspectMacaroonRequest { macaroon: read(&self.given)? };
        let inspected = session.access().inspect(request).await?.into_inner();
        session.screen.show(&inspected, macaroons::inspected)
    }
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("narrower").required(true).multiple(true)
    .args(["permission", "method", "expires", "ip", "peer", "channel"])))]
pub struct Attenuate {
    /// The file of the stronger one, or that one itself in hex
    #[arg(value_name = "FILE|HEX")]
    given: PathBuf,
    #[command(flatten)]
    conditions: Conditions,
    /// Write it into a new file that only you can read, instead of showing it in hex
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Attenuate {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let macaroon = read(&self.given)?;
        let request =
            AttenuateMacaroonRequest { macaroon, caveats: self.conditions.caveats(now()) };
        let weaker = session.access().attenuate(request).await?.into_inner();
        if let Some(file) = &self.save {
            save(file, &weaker.macaroon)?;
        }
        session.screen.show(&weaker, |weaker, _| {
            macaroons::handed_out(&weaker.macaroon, self.save.as_deref())
        })
    }
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// Its id, from `fulmen macaroon list`
    #[arg(value_name = "MACAROON_ID", value_parser = id)]
    macaroon_id: Id,
}

/// 16 bytes in hex.
#[derive(Debug, Clone)]
struct Id(Vec<u8>);

fn id(text: &str) -> Result<Id, String> {
    let bytes = unhex(text).filter(|bytes| bytes.len() == 16);
    bytes.map(Id).ok_or_else(|| "a macaroon's id has 32 hex digits".to_owned())
}

impl Revoke {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = RevokeMacaroonRequest { macaroon_id: self.macaroon_id.0 };
        let revoked = session.access().revoke(request).await?.into_inner();
        session.screen.show(&revoked, |revoked, _| macaroons::revoked(revoked))
    }
}

#[derive(Debug, Args)]
pub struct Rotate {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Rotate {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        if !self.yes && session.screen.has_someone_to_ask() {
            session.screen.confirm("Make every macaroon worthless that was handed out?")?;
        }
        let request = RotateRootKeyRequest {};
        let rotated = session.access().rotate_root_key(request).await?.into_inner();
        session.screen.show(&rotated, |rotated, _| {
            format!("Root key {} signs macaroons now; the files are renewed", rotated.root_key)
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads a macaroon: hex digits that name no file, or a file.
fn read(given: &Path) -> Result<Vec<u8>, Failure> {
    if let Some(bytes) = given.to_str().and_then(unhex).filter(|_| !given.exists()) {
        return Ok(bytes);
    }
    std::fs::read(given).map_err(|error| {
        let what = format!("cannot read the macaroon {}: {error}", given.display());
        Failure::new(Exit::Usage, what).advise("Give its file, or the macaroon itself in hex")
    })
}

/// Writes a new file for its owner only; one that is there is not replaced.
fn save(file: &Path, macaroon: &[u8]) -> Result<(), Failure> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    options.and_then(|mut opened| opened.write_all(macaroon)).map_err(|error| {
        let what = format!("cannot write {}: {error}", file.display());
        Failure::failed(what).advise("The macaroon was made: revoke it, see `fulmen macaroon list`")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        conditions: Conditions,
    }

    #[test]
    fn options_become_caveats() {
        let node = format!("02{}", "11".repeat(32));
        let line = Line::try_parse_from([
            "fulmen",
            "--permission",
            "info:read,payments:write",
            "--permission",
            "*:read",
            "--expires",
            "1h",
            "--ip",
            "10.0.0.0/8",
            "--peer",
            &node,
            "--channel",
            "539x1x0,540x1x0",
            "--method",
            "Payments/Pay",
        ]);
        assert_eq!(
            line.expect("well-formed").conditions.caveats(100),
            [
                "permission = info:read,payments:write".to_owned(),
                "permission = *:read".to_owned(),
                "method = Payments/Pay".to_owned(),
                "ip = 10.0.0.0/8".to_owned(),
                format!("peer = {node}"),
                "channel = 539x1x0,540x1x0".to_owned(),
                "before = 3700".to_owned(),
            ]
        );
        assert!(Line::try_parse_from(["fulmen", "--channel", "539"]).is_err());
    }
}
