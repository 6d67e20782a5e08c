//! Where metrics are served.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Section `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses that answer `/metrics` (for Prometheus) and `/healthz` over HTTP; none by default.
    pub listen: Vec<SocketAddr>,
    /// Whether other machines may scrape. There is no password, and the metrics show what the node owns.
    pub allow_remote: bool,
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let remote = |address: &&SocketAddr| !address.ip().is_loopback() && !self.allow_remote;
        let problem = |address: &SocketAddr| {
            format!(
                "metrics.listen: other machines reach {address} and could read what the node owns without a \
                 password; set metrics.allow_remote to allow that"
            )
        };
        self.listen.iter().filter(remote).map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_to_be_allowed() {
        assert!(Config::default().problems().is_empty());
        let listen: Vec<SocketAddr> = ["127.0.0.1:1", "[::1]:2", "0.0.0.0:3", "10.0.0.1:4"]
            .map(|address| address.parse().expect("an address"))
            .to_vec();
        let careful = Config { listen: listen.clone(), allow_remote: false };
        let problems = careful.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("metrics.listen: ") && problems[0].contains("0.0.0.0:3"));
        assert!(Config { listen, allow_remote: true }.problems().is_empty());
    }
}
