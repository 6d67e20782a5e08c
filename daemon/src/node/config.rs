//! What an operator can set about the node itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::address;
use super::planner::router::Choice;

/// Section `[node]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name that other nodes see; at most 32 bytes.
    pub alias: String,
    /// The colour that explorers show, as `#rrggbb`.
    pub color: String,
    /// Addresses to listen on for peers; empty to accept no connections.
    pub listen: Vec<SocketAddr>,
    /// Addresses that the node announces (`host:port`); empty to announce none.
    pub announce_addresses: Vec<String>,
    /// The longest random wait, in milliseconds, before received HTLCs are forwarded or claimed.
    ///
    /// Waiting hides from observers which HTLC led to which; 0 forwards at once.
    pub forward_delay_ms: u64,
    /// Most HTLCs that a channel may bring within a minute; more are failed back. 0 for no limit.
    pub max_htlcs_per_minute: u32,
    /// Most connections from peers with which there is no channel; peers with a channel always get in.
    pub max_inbound_peers: usize,
    /// Most inbound connections that have not completed their handshake; a new one takes the place of the oldest.
    pub max_inbound_handshakes: usize,
    /// Most inbound connections without a channel from one IPv4 address or one IPv6 /64; loopback is exempt.
    pub max_inbound_per_address: usize,
    /// Most inbound connections without a channel from one IPv4 /24 or one IPv6 /48; loopback is exempt.
    pub max_inbound_per_subnet: usize,
    /// Seconds that an inbound connection may take until it has completed its handshake and sent `init`.
    pub handshake_timeout_secs: u64,
    /// Router of our payments: `fulmen`, with LDK's as a second opinion, or only `ldk`.
    pub router: Choice,
    /// Monitor updates stored apart before a channel's whole monitor is written again.
    pub monitor_updates_before_rewrite: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            alias: String::new(),
            color: "#ffb000".to_owned(),
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 9735))],
            announce_addresses: Vec::new(),
            forward_delay_ms: 0,
            max_htlcs_per_minute: 0,
            max_inbound_peers: 250,
            max_inbound_handshakes: 128,
            max_inbound_per_address: 8,
            max_inbound_per_subnet: 32,
            handshake_timeout_secs: 15,
            router: Choice::Fulmen,
            monitor_updates_before_rewrite: 100,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.alias.len() > 32 {
            problems.push(format!("alias: {} bytes, at most 32 fit", self.alias.len()));
        }
        if self.rgb().is_none() {
            problems.push(format!("color: `{}` is not of the form #rrggbb", self.color));
        }
        for address in &self.announce_addresses {
            if address::parse(address).is_err() {
                problems
                    .push(format!("announce_addresses: `{address}` is not of the form host:port"));
            }
        }
        for (option, value) in [
            ("max_inbound_handshakes", self.max_inbound_handshakes),
            ("max_inbound_per_address", self.max_inbound_per_address),
            ("max_inbound_per_subnet", self.max_inbound_per_subnet),
        ] {
            if value == 0 {
                problems.push(format!(
                    "{option}: 0 would keep peers with channels out; empty node.listen to accept nobody"
                ));
            }
        }
        if self.handshake_timeout_secs == 0 {
            problems.push("handshake_timeout_secs: at least 1".to_owned());
        }
        problems
    }

    /// Returns red, green and blue, or `None` if `color` is not of the form `#rrggbb`.
    pub fn rgb(&self) -> Option<[u8; 3]> {
        let digits = self.color.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some([red, green, blue])
    }

    /// Returns the alias as it is announced: padded with zeros to 32 bytes.
    pub fn alias_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let length = self.alias.len().min(32);
        bytes[..length].copy_from_slice(&self.alias.as_bytes()[..length]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_option() {
        let config = Config {
            alias: "x".repeat(33),
            color: "red".to_owned(),
            announce_addresses: vec!["nowhere".to_owned()],
            max_inbound_handshakes: 0,
            handshake_timeout_secs: 0,
            ..Config::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems[0].starts_with("alias:"));
        assert!(problems[1].starts_with("color:"));
        assert!(problems[2].starts_with("announce_addresses:"));
        assert!(problems[3].starts_with("max_inbound_handshakes:"));
        assert!(problems[4].starts_with("handshake_timeout_secs:"));
        assert!(Config::default().problems().is_empty());
    }
}
