//! How to reach bitcoind.

use std::path::PathBuf;

use bitcoin::Network;
use serde::{Deserialize, Serialize};

/// How to reach bitcoind, and how often to ask it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Host of bitcoind's RPC server, or `host:port`; the port defaults to the network's own.
    pub rpc_address: String,
    /// File with bitcoind's cookie; the default is the one in `~/.bitcoin` of the network.
    pub rpc_cookie_file: Option<PathBuf>,
    /// User for RPC, as in bitcoind's `rpcauth`; set with `rpc_password`, instead of the cookie.
    pub rpc_user: Option<String>,
    /// Password of `rpc_user`.
    pub rpc_password: Option<Secret>,
    /// Most requests made to bitcoind at the same time, besides the one that waits for blocks.
    pub rpc_connections: usize,
    /// Seconds after which bitcoind is asked for its tip though it has not announced a new one.
    pub poll_interval_secs: u64,
    /// Seconds without an answer of bitcoind, or without a connection of its own to the network, after which the node
    /// takes on no new channels, payments and HTLCs; more than `poll_interval_secs`.
    pub max_silence_secs: u64,
    /// Seconds between two looks at the mempool for payments to the wallet; 0 to wait for blocks.
    pub mempool_interval_secs: u64,
    /// Most blocks fetched ahead of the one being processed while catching up.
    pub prefetch_blocks: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rpc_address: "127.0.0.1".to_owned(),
            rpc_cookie_file: None,
            rpc_user: None,
            rpc_password: None,
            rpc_connections: 6,
            poll_interval_secs: 10,
            max_silence_secs: 120,
            mempool_interval_secs: 5,
            prefetch_blocks: 6,
        }
    }
}

impl Config {
    /// Returns everything that is wrong with these options, each in one line.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |wrong: bool, text: &str| {
            if wrong {
                problems.push(text.to_owned());
            }
        };
        problem(self.rpc_address.trim().is_empty(), "rpc_address: must name a host");
        problem(
            self.rpc_user.is_some() != self.rpc_password.is_some(),
            "rpc_user, rpc_password: set both or neither",
        );
        problem(
            self.rpc_user.is_some() && self.rpc_cookie_file.is_some(),
            "rpc_cookie_file: cannot be set together with rpc_user",
        );
        problem(
            !(1..=64).contains(&self.rpc_connections),
            "rpc_connections: must be between 1 and 64",
        );
        problem(
            !(1..=600).contains(&self.poll_interval_secs),
            "poll_interval_secs: must be between 1 and 600",
        );
        problem(
            !(self.poll_interval_secs + 1..=3_600).contains(&self.max_silence_secs),
            "max_silence_secs: must be greater than poll_interval_secs and at most 3600",
        );
        problem(
            self.mempool_interval_secs > 600,
            "mempool_interval_secs: must be between 0 and 600",
        );
        problem(
            !(1..=64).contains(&self.prefetch_blocks),
            "prefetch_blocks: must be between 1 and 64",
        );
        problems
    }

    /// Returns the address of the RPC server as a URL.
    pub(super) fn url(&self, network: Network) -> String {
        let address = self.rpc_address.trim();
        let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        let last_part = address.rsplit(']').next().unwrap_or(address);
        let bare_ipv6 = !address.starts_with('[') && address.matches(':').count() > 1;
        match (bare_ipv6, last_part.contains(':')) {
            (true, _) => format!("http://[{address}]:{}", rpc_port(network)),
            (false, true) => format!("http://{address}"),
            (false, false) => format!("http://{address}:{}", rpc_port(network)),
        }
    }

    /// Returns the cookie file in use when there is no user.
    pub(super) fn cookie_file(&self, network: Network) -> PathBuf {
        if let Some(path) = &self.rpc_cookie_file {
            return path.clone();
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        home.join(".bitcoin").join(network_folder(network)).join(".cookie")
    }
}

/// A text that does not show itself in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("\"…\"")
    }
}

/// bitcoind's own ports (`CBaseChainParams`).
fn rpc_port(network: Network) -> u16 {
    match network {
        Network::Bitcoin => 8332,
        Network::Testnet => 18332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    }
}

fn network_folder(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "",
        Network::Testnet => "testnet3",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_becomes_url() {
        for (address, expected) in [
            ("127.0.0.1", "http://127.0.0.1:18443"),
            ("127.0.0.1:9", "http://127.0.0.1:9"),
            ("node.lan", "http://node.lan:18443"),
            ("http://node.lan:1/", "http://node.lan:1"),
            ("::1", "http://[::1]:18443"),
            ("[::1]", "http://[::1]:18443"),
            ("[::1]:9", "http://[::1]:9"),
        ] {
            let config = Config { rpc_address: address.to_owned(), ..Config::default() };
            assert_eq!(config.url(Network::Regtest), expected, "{address}");
        }
    }

    #[test]
    fn defaults_are_sound_and_every_problem_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let config = Config {
            rpc_address: " ".into(),
            rpc_user: Some("alice".into()),
            rpc_cookie_file: Some("/c".into()),
            rpc_connections: 0,
            poll_interval_secs: 0,
            max_silence_secs: 0,
            mempool_interval_secs: 601,
            prefetch_blocks: 0,
            rpc_password: None,
        };
        assert_eq!(config.problems().len(), 8);
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = Config { rpc_password: Some(Secret("hush".into())), ..Config::default() };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
