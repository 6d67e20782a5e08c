//! The sections of the configuration: each is its room's own.

use std::str::FromStr;

use bitcoin::Network;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{
    api, chain, channels, feerates, invoices, log, metrics, node, payments, peers, storage, wallet,
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
    /// Metrics and health for monitoring programs.
    pub metrics: metrics::Config,
    /// Where blocks come from.
    pub bitcoind: chain::Config,
    /// On-chain fees.
    pub feerates: feerates::Config,
    /// Channels we open and accept.
    pub channels: channels::Config,
    /// Whom we stay connected to.
    pub peers: peers::Config,
    /// Bounds of what we send.
    pub payments: payments::Config,
    /// Defaults of what we ask for.
    pub invoices: invoices::Config,
    /// Where everything is kept.
    pub storage: storage::Config,
}

impl Default for Config {
    fn default() -> Self {
        let mut problems = Vec::new();
        let config = read(Table::new(), &mut problems);
        assert!(problems.is_empty(), "the defaults are sound: {problems:?}");
        config
    }
}

/// The names of all sections.
pub(super) const SECTIONS: [&str; 12] = [
    "log", "node", "seed", "grpc", "metrics", "bitcoind", "feerates", "channels", "peers",
    "payments", "invoices", "storage",
];

/// Reads every section and reports everything that is wrong.
pub(super) fn read(mut table: Table, problems: &mut Vec<String>) -> Config {
    let network = network(table.remove("network"), problems);
    let config = Config {
        network,
        log: section(&mut table, "log", problems),
        node: section(&mut table, "node", problems),
        seed: section(&mut table, "seed", problems),
        grpc: section(&mut table, "grpc", problems),
        metrics: section(&mut table, "metrics", problems),
        bitcoind: section(&mut table, "bitcoind", problems),
        feerates: section(&mut table, "feerates", problems),
        channels: section(&mut table, "channels", problems),
        peers: section(&mut table, "peers", problems),
        payments: section(&mut table, "payments", problems),
        invoices: section(&mut table, "invoices", problems),
        storage: section(&mut table, "storage", problems),
    };
    problems.extend(table.keys().map(|name| format!("{name}: there is no such section or option")));
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
    table: &mut Table,
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
        let alone = Table::from_iter([(option.clone(), value.clone())]);
        match alone.try_into::<C>() {
            Ok(_) => {
                sound.insert(option, value);
            }
            Err(error) => problems.push(format!("{name}.{option}: {}", one_line(&error))),
        }
    }
    sound.try_into().unwrap_or_else(|error: toml::de::Error| {
        problems.push(format!("{name}: {}", one_line(&error)));
        C::default()
    })
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}
