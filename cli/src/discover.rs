//! Finds the daemon: its directory, its network, its address, its certificate and a macaroon.
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::failure::{Exit, Failure};

/// Where the daemon writes the address that its gRPC server is bound to.
const ADDRESS_FILE: &str = "grpc.address";
/// Where the daemon listens by default.
const DEFAULT_ADDRESS: &str = "127.0.0.1:10009";

/// Which daemon to talk to. Without any of these, the one that runs for this user is found.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which daemon")]
pub struct Place {
    /// The daemon's data directory [default: ~/.fulmen]
    #[arg(
        long,
        env = "FULMEN_DIR",
        value_name = "DIR",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub dir: Option<PathBuf>,
    /// The network [default: the one that has a daemon here, else bitcoin]
    #[arg(
        long,
        env = "FULMEN_NETWORK",
        global = true,
        hide_env_values = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub network: Option<Network>,
    /// The daemon's gRPC address [default: what DIR/NETWORK/grpc.address says]
    #[arg(
        long,
        env = "FULMEN_RPC",
        value_name = "HOST:PORT",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub rpc: Option<String>,
    /// The daemon's certificate [default: DIR/NETWORK/tls.cert]
    #[arg(
        long,
        env = "FULMEN_TLS_CERT",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub tls_cert: Option<PathBuf>,
    /// What we may do there [default: DIR/NETWORK/admin.macaroon]
    #[arg(
        long,
        env = "FULMEN_MACAROON",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub macaroon: Option<PathBuf>,
}

/// The networks that a daemon can run on; each has its own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// The main network.
    Bitcoin,
    /// The fourth test network.
    Testnet4,
    /// The signed test network.
    Signet,
    /// The third test network.
    Testnet,
    /// A network of one's own.
    Regtest,
}

impl Network {
    const ALL: [Self; 5] =
        [Self::Bitcoin, Self::Testnet4, Self::Signet, Self::Testnet, Self::Regtest];

    /// As folders and options spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitcoin => "bitcoin",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
        }
    }
}

/// All that is needed to dial.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// `host:port`.
    pub address: String,
    /// The content of the certificate file.
    pub tls_certificate_pem: Vec<u8>,
    /// The content of the macaroon file.
    pub macaroon: Vec<u8>,
}

/// Reads what is needed to dial; `home` is the user's home directory.
pub fn discover(place: &Place, home: Option<&Path>) -> Result<Found, Failure> {
    let dir = match (&place.dir, home) {
        (Some(dir), _) => dir.clone(),
        (None, Some(home)) => home.join(".fulmen"),
        (None, None) => {
            let what = "there is no home directory to look for the daemon in";
            return Err(Failure::new(Exit::Usage, what).advise("Give --dir"));
        }
    };
    let network = match place.network {
        Some(network) => network,
        None => only_network(&dir)?,
    };
    let folder = dir.join(network.name());
    let address = match &place.rpc {
        Some(address) => address.clone(),
        None => written_address(&folder)?,
    };
    let certificate = place.tls_cert.clone().unwrap_or_else(|| folder.join("tls.cert"));
    let macaroon = place.macaroon.clone().unwrap_or_else(|| folder.join("admin.macaroon"));
    Ok(Found {
        address,
        tls_certificate_pem: read(&certificate, "certificate", "--tls-cert")?,
        macaroon: read(&macaroon, "macaroon", "--macaroon")?,
    })
}

fn only_network(dir: &Path) -> Result<Network, Failure> {
    let runs = |network: &Network| dir.join(network.name()).join(ADDRESS_FILE).exists();
    let found: Vec<Network> = Network::ALL.into_iter().filter(runs).collect();
    match found[..] {
        [] => Ok(Network::Bitcoin),
        [only] => Ok(only),
        // A guess between play money and real money would be a bad one.
        _ => {
            let names: Vec<&str> = found.iter().map(|network| network.name()).collect();
            let what = format!("there are daemons for {} in {}", names.join(", "), dir.display());
            Err(Failure::new(Exit::Usage, what)
                .advise("Say which with --network or FULMEN_NETWORK"))
        }
    }
}

fn written_address(folder: &Path) -> Result<String, Failure> {
    let file = folder.join(ADDRESS_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().to_owned()),
        // A certificate without an address: the daemon is configured to write elsewhere, or is older.
        Err(_) if folder.join("tls.cert").exists() => Ok(DEFAULT_ADDRESS.to_owned()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(unreadable(&file, &error)),
        Err(_) => {
            let what = format!("no daemon has run in {}", folder.display());
            Err(Failure::new(Exit::NotReachable, what).advise(
                "Start fulmend, or say where it is: --dir, --network, or --rpc with --tls-cert and \
                 --macaroon",
            ))
        }
    }
}

fn read(file: &Path, what: &str, option: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => unreadable(file, &error),
        _ => {
            let what = format!("cannot read the {what} {}: {error}", file.display());
            Failure::new(Exit::NotReachable, what)
                .advise(format!("Has the daemon been started? Name another place with {option}"))
        }
    })
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::NotPermitted, format!("cannot read {}: {error}", file.display()))
        .advise("Run as the user of the daemon, or give a macaroon that you may read by --macaroon")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home_with(networks: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a scratch directory");
        for network in networks {
            let folder = home.path().join(".fulmen").join(network);
            std::fs::create_dir_all(&folder).expect("create");
            for (file, content) in
                [("grpc.address", "127.0.0.1:4242\n"), ("tls.cert", "pem"), ("admin.macaroon", "m")]
            {
                std::fs::write(folder.join(file), content).expect("write");
            }
        }
        home
    }

    #[test]
    fn the_only_daemon_is_found_without_options() {
        for network in Network::ALL {
            let home = home_with(&[network.name()]);
            let found = discover(&Place::default(), Some(home.path())).expect("it is there");
            assert_eq!(found.address, "127.0.0.1:4242");
            assert_eq!(
                (found.tls_certificate_pem, found.macaroon),
                (b"pem".to_vec(), b"m".to_vec())
            );
        }
    }

    #[test]
    fn no_daemon_and_too_many_are_told_apart() {
        let nobody = discover(&Place::default(), Some(home_with(&[]).path())).expect_err("none");
        assert_eq!(nobody.exit, Exit::NotReachable);
        assert!(nobody.what.contains("bitcoin"), "{}", nobody.what);
        let two = home_with(&["bitcoin", "regtest"]);
        let many = discover(&Place::default(), Some(two.path())).expect_err("two");
        assert_eq!(many.exit, Exit::Usage);
        let named = Place { network: Some(Network::Regtest), ..Place::default() };
        assert!(discover(&named, Some(two.path())).is_ok());
    }

    #[test]
    fn options_win_over_files() {
        let home = home_with(&["regtest"]);
        let other = home.path().join("other.macaroon");
        std::fs::write(&other, "o").expect("write");
        let place =
            Place { rpc: Some("10.0.0.1:1".to_owned()), macaroon: Some(other), ..Place::default() };
        let found = discover(&place, Some(home.path())).expect("all is there");
        assert_eq!((found.address.as_str(), found.macaroon), ("10.0.0.1:1", b"o".to_vec()));
        let missing = Place { tls_cert: Some(home.path().join("nothing")), ..Place::default() };
        let failure = discover(&missing, Some(home.path())).expect_err("no such file");
        assert_eq!(failure.exit, Exit::NotReachable);
        assert!(failure.advice.is_some_and(|advice| advice.contains("--tls-cert")));
    }
}
