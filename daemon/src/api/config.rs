//! Where and how gRPC is served.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Section `[grpc]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on; port 0 for any free one (it is written to `grpc.address`).
    pub listen: SocketAddr,
    /// Names and addresses, besides localhost, in the certificate.
    pub tls_hosts: Vec<String>,
    /// The largest request, in bytes.
    pub max_request_bytes: usize,
    /// Calls that one connection may have in flight.
    pub max_concurrent_calls: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 10_009)),
            tls_hosts: Vec::new(),
            max_request_bytes: 4 * 1024 * 1024,
            max_concurrent_calls: 4_096,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for host in &self.tls_hosts {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.:*".contains(c);
            if host.is_empty() || host.contains(',') || !host.chars().all(is_name) {
                problems.push(format!("grpc.tls_hosts: `{host}` is neither a name nor an address"));
            }
        }
        if self.max_request_bytes < 4_096 {
            problems.push("grpc.max_request_bytes: must be at least 4096".to_owned());
        }
        if self.max_concurrent_calls == 0 {
            problems.push("grpc.max_concurrent_calls: must be at least 1".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_option() {
        assert!(Config::default().problems().is_empty());
        let config = Config {
            tls_hosts: vec!["node.example".to_owned(), "::1".to_owned(), "two words".to_owned()],
            max_request_bytes: 0,
            max_concurrent_calls: 0,
            ..Config::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("two words"));
    }
}
