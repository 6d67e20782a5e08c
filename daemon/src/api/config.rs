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
    /// Calls in flight on all connections together.
    pub max_calls: usize,
    /// Bytes of requests being received on all connections together.
    pub max_receiving_bytes: usize,
    /// Open connections. A new one takes the place of one without a macaroon, or else of an idle one.
    pub max_connections: usize,
    /// Seconds until a connection has to have completed TLS and made a call with a valid macaroon.
    pub handshake_timeout_secs: u64,
    /// Seconds without a call after which a connection is closed; clients connect again by themselves.
    pub idle_timeout_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 10_009)),
            tls_hosts: Vec::new(),
            max_request_bytes: 4 * 1024 * 1024,
            max_concurrent_calls: 4_096,
            max_calls: 8_192,
            max_receiving_bytes: 64 * 1024 * 1024,
            max_connections: 256,
            handshake_timeout_secs: 10,
            idle_timeout_secs: 600,
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
        if self.max_receiving_bytes < self.max_request_bytes {
            problems.push(
                "grpc.max_receiving_bytes: must be at least grpc.max_request_bytes".to_owned(),
            );
        }
        for (option, is_zero) in [
            ("max_concurrent_calls", self.max_concurrent_calls == 0),
            ("max_calls", self.max_calls == 0),
            ("max_connections", self.max_connections == 0),
            ("handshake_timeout_secs", self.handshake_timeout_secs == 0),
            ("idle_timeout_secs", self.idle_timeout_secs == 0),
        ] {
            if is_zero {
                problems.push(format!("grpc.{option}: must be at least 1"));
            }
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
            idle_timeout_secs: 0,
            ..Config::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].contains("two words"));
    }
}
