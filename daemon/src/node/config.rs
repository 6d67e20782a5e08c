//! What an operator can set about the node itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::planner::router::Choice;
use crate::node::address::{self, AddressKind as _};

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
        problems.extend(announce_problems(&self.announce_addresses));
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

    /// Returns a sentence if an announced address cannot be reached from the Internet.
    pub fn announce_warning(&self) -> Option<String> {
        let unreachable =
            |text: &&String| address::parse(text).is_ok_and(|address| !address.is_routable());
        let unreachable: Vec<&str> =
            self.announce_addresses.iter().filter(unreachable).map(String::as_str).collect();
        (!unreachable.is_empty()).then(|| {
            format!(
                "node.announce_addresses: nobody on the Internet can reach {}: announce a public address, or none",
                unreachable.join(", ")
            )
        })
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

/// What BOLT 7 forbids in an announcement ("The `node_announcement` Message").
fn announce_problems(addresses: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = 0;
    for text in addresses {
        match address::parse(text) {
            Err(_) => problems.push(format!("`{text}` is not of the form host:port")),
            Ok(address) if address.port() == 0 => problems.push(format!("`{text}` has port 0")),
            Ok(address) => names += usize::from(address.is_name()),
        }
    }
    if names > 1 {
        problems.push(format!("{names} host names, at most one may be announced"));
    }
    problems.into_iter().map(|problem| format!("announce_addresses: {problem}")).collect()
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

    #[test]
    fn what_must_not_be_announced_is_refused_and_what_is_in_vain_is_warned_of() {
        let config = |addresses: &[&str]| Config {
            announce_addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            ..Config::default()
        };
        assert_eq!(config(&["1.2.3.4:0"]).problems().len(), 1);
        assert_eq!(config(&["a.example:1", "b.example:1"]).problems().len(), 1);
        let good = config(&["1.2.3.4:9735", "a.example:9735"]);
        assert_eq!((good.problems(), good.announce_warning()), (vec![], None));
        let private = config(&["192.168.0.7:9735", "1.2.3.4:9735"]);
        let warning = private.announce_warning().expect("warned");
        assert!(warning.contains("192.168.0.7") && !warning.contains("1.2.3.4"), "{warning}");
    }
}
