//! The sections of the configuration: each is its room's own.

use std::str::FromStr;

use bitcoin::Network;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::layers::{Layered, readings};
use super::paths;

use crate::{
    api, backup, chain, channels, feerates, invoices, log, metrics, node, payments, peers, storage,
    wallet,
};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Which chain.
    pub network: Network,
    /// What is logged, and how.
    pub log: log::Config,
    /// The node itself.
    pub node: node::Config,
    /// How an encrypted seed is opened.
    pub seed: wallet::Config,
    /// The way in.
    pub grpc: api::Config,
    /// lnd's API beside our own.
    pub lnd: api::lnd::Config,
    /// Metrics and health for monitoring programs.
    pub metrics: metrics::Config,
    /// Where blocks come from.
    pub bitcoind: chain::Config,
    /// On-chain fees.
    pub feerates: feerates::Config,
    /// Channels we open and accept.
    pub channels: channels::Config,
    /// Which channels of peers we accept.
    pub acceptance: channels::AcceptanceConfig,
    /// Whom we stay connected to.
    pub peers: peers::Config,
    /// Bounds of what we send.
    pub payments: payments::Config,
    /// Defaults of what we ask for.
    pub invoices: invoices::Config,
    /// Where everything is kept.
    pub storage: storage::Config,
    /// Where static channel backups go.
    pub backup: backup::Config,
}

impl Default for Config {
    fn default() -> Self {
        let mut problems = Vec::new();
        let config = read(Layered::default(), &mut problems);
        assert!(problems.is_empty(), "the defaults are sound: {problems:?}");
        config
    }
}

/// Options whose values no message shows.
const SECRETS: [(&str, &str); 1] = [("bitcoind", "rpc_password")];

/// Options that are any text, quotes included: nobody else decides how a password begins.
const FREE_TEXTS: [(&str, &str); 3] =
    [("bitcoind", "rpc_user"), ("bitcoind", "rpc_password"), ("node", "alias")];

/// Options that name a file or a directory.
const PATHS: [(&str, &str); 6] = [
    ("backup", "path"),
    ("bitcoind", "rpc_cookie_file"),
    ("lnd", "layout"),
    ("seed", "passphrase_file"),
    ("storage", "mirror"),
    ("storage", "witness"),
];

/// Reads every section and reports everything that is wrong.
pub(super) fn read(mut layered: Layered, problems: &mut Vec<String>) -> Config {
    let network = network(layered.table.remove("network"), problems);
    let config = Config {
        network,
        log: section(&mut layered, "log", problems),
        node: section(&mut layered, "node", problems),
        seed: section(&mut layered, "seed", problems),
        grpc: section(&mut layered, "grpc", problems),
        lnd: section(&mut layered, "lnd", problems),
        metrics: section(&mut layered, "metrics", problems),
        bitcoind: section(&mut layered, "bitcoind", problems),
        feerates: section(&mut layered, "feerates", problems),
        channels: section(&mut layered, "channels", problems),
        acceptance: section(&mut layered, "acceptance", problems),
        peers: section(&mut layered, "peers", problems),
        payments: section(&mut layered, "payments", problems),
        invoices: section(&mut layered, "invoices", problems),
        storage: section(&mut layered, "storage", problems),
        backup: section(&mut layered, "backup", problems),
    };
    problems.extend(
        layered.table.keys().map(|name| format!("{name}: there is no such section or option")),
    );
    let mut told = |section: &str, rooms: Vec<String>| {
        problems.extend(rooms.into_iter().map(|problem| named(section, problem)));
    };
    told("log", config.log.problems());
    told("node", config.node.problems());
    told("seed", config.seed.problems());
    told("grpc", config.grpc.problems());
    told("metrics", config.metrics.problems());
    told("bitcoind", config.bitcoind.problems());
    told("feerates", config.feerates.problems());
    told("channels", config.channels.problems());
    told("acceptance", config.acceptance.problems());
    told("peers", config.peers.problems());
    told("payments", config.payments.problems());
    told("invoices", config.invoices.problems());
    told("storage", config.storage.problems());
    config
}

/// Every problem begins with the option's whole name.
fn named(section: &str, problem: String) -> String {
    match problem.starts_with(&format!("{section}.")) {
        true => problem,
        false => format!("{section}.{problem}"),
    }
}

fn network(value: Option<Value>, problems: &mut Vec<String>) -> Network {
    let Some(value) = value else {
        return Network::Bitcoin;
    };
    let parsed = value.as_str().and_then(|name| Network::from_str(name).ok());
    parsed.unwrap_or_else(|| {
        let names = "bitcoin, testnet, testnet4, signet or regtest";
        problems.push(format!("network: {value:?} is not one of {names}"));
        Network::Bitcoin
    })
}

/// Reads one section option by option, so that one wrong option does not hide the next.
fn section<C: DeserializeOwned + Default>(
    Layered { table, texts }: &mut Layered,
    name: &str,
    problems: &mut Vec<String>,
) -> C {
    let options = match table.remove(name) {
        None => return C::default(),
        Some(Value::Table(options)) => options,
        Some(_) => {
            problems.push(format!("{name}: is a section, not an option"));
            return C::default();
        }
    };
    let mut sound = Table::new();
    for (option, value) in options {
        let is_text = texts.contains(&(name.to_owned(), option.clone()));
        match taken::<C>(name, &option, value, is_text) {
            Ok(Value::String(text)) if PATHS.contains(&(name, &option)) => {
                match paths::absolute(&text) {
                    Ok(path) => drop(sound.insert(option, Value::String(path))),
                    Err(why) => problems.push(format!("{name}.{option}: {why}")),
                }
            }
            Ok(value) => drop(sound.insert(option, value)),
            // The parser's message quotes the value.
            Err(_) if SECRETS.contains(&(name, &option)) => {
                problems.push(format!("{name}.{option}: must be a text in quotes"));
            }
            Err(why) => problems.push(format!("{name}.{option}: {why}")),
        }
    }
    sound.try_into().unwrap_or_else(|error: toml::de::Error| {
        problems.push(format!("{name}: {}", one_line(&error)));
        C::default()
    })
}

/// Returns the reading of a value that the section takes for this option.
fn taken<C: DeserializeOwned>(
    section: &str,
    option: &str,
    value: Value,
    is_text: bool,
) -> Result<Value, String> {
    let is_free = FREE_TEXTS.contains(&(section, option));
    let readings = match value {
        Value::String(text) if is_text => readings(&text, is_free),
        value => vec![value],
    };
    let mut why = String::new();
    for value in readings {
        match Table::from_iter([(option.to_owned(), value.clone())]).try_into::<C>() {
            Ok(_) => return Ok(value),
            Err(error) => why = one_line(&error),
        }
    }
    Err(why)
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}
