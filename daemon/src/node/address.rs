//! Addresses of peers as people write them.

use lightning::ln::msgs::SocketAddress;

/// The port of Lightning on mainnet (BOLT 1).
pub const DEFAULT_PORT: u16 = 9735;

/// What this node asks of an address.
pub trait AddressKind {
    /// Whether it is reached through Tor only.
    fn is_onion(&self) -> bool;
    /// Whether it is a host name, which DNS resolves.
    fn is_name(&self) -> bool;
    /// Whether machines elsewhere can reach it: not in a private, loopback, link-local or documentation range.
    fn is_routable(&self) -> bool;
    /// The port; 0 where the address has none.
    fn port(&self) -> u16;
}

impl AddressKind for SocketAddress {
    fn is_onion(&self) -> bool {
        match self {
            Self::OnionV2(_) | Self::OnionV3 { .. } => true,
            Self::Hostname { hostname, .. } => {
                hostname.as_str().trim_end_matches('.').to_ascii_lowercase().ends_with(".onion")
            }
            Self::TcpIpV4 { .. } | Self::TcpIpV6 { .. } => false,
        }
    }

    fn is_name(&self) -> bool {
        matches!(self, Self::Hostname { .. }) && !self.is_onion()
    }

    fn is_routable(&self) -> bool {
        match self {
            Self::TcpIpV4 { addr, .. } => {
                let ip = std::net::Ipv4Addr::from(*addr);
                let [first, second, ..] = *addr;
                // RFC 6598: between a provider and its customers.
                let is_shared = first == 100 && (64..128).contains(&second);
                !(ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || is_shared
                    || first == 0
                    || first >= 224)
            }
            // Global unicast (RFC 4291) without the range for documentation (RFC 3849).
            Self::TcpIpV6 { addr, .. } => {
                addr[0] & 0xe0 == 0x20 && addr[..4] != [0x20, 1, 0x0d, 0xb8]
            }
            Self::Hostname { hostname, .. } => {
                let name = hostname.as_str().trim_end_matches('.').to_ascii_lowercase();
                name.contains('.') && !name.ends_with(".local") && !name.ends_with(".localhost")
            }
            Self::OnionV2(_) | Self::OnionV3 { .. } => true,
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::TcpIpV4 { port, .. }
            | Self::TcpIpV6 { port, .. }
            | Self::OnionV3 { port, .. }
            | Self::Hostname { port, .. } => *port,
            Self::OnionV2(_) => 0,
        }
    }
}

/// Reads `host:port`, `[v6]:port`, a bare IPv6 address (then with [`DEFAULT_PORT`]), or an onion v3 address with port.
///
/// # Errors
/// Returns the text if it is none of these.
pub fn parse(text: &str) -> Result<SocketAddress, String> {
    if text.is_empty() || text.chars().any(char::is_whitespace) {
        return Err(text.to_owned());
    }
    let with_port = match text.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() && !is_bare_ipv6(text) => text.to_owned(),
        Some(_) if is_bare_ipv6(text) => format!("[{text}]:{DEFAULT_PORT}"),
        Some(_) => return Err(text.to_owned()),
        None => return Err(text.to_owned()),
    };
    with_port.parse::<SocketAddress>().map_err(|_| text.to_owned())
}

fn is_bare_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onions_names_and_private_addresses_are_known() {
        for (text, onion, routable) in [
            ("1.2.3.4:9735", false, true),
            ("127.0.0.1:9735", false, false),
            ("10.1.2.3:9735", false, false),
            ("100.64.0.1:9735", false, false),
            ("192.168.1.1:9735", false, false),
            ("0.0.0.0:9735", false, false),
            ("[2a01:4f8::1]:9735", false, true),
            ("[fe80::1]:9735", false, false),
            ("[::1]:9735", false, false),
            ("ln.example.com:9735", false, true),
            ("raspberry.local:9735", false, false),
        ] {
            let Ok(address) = parse(text) else { panic!("{text}") };
            assert_eq!((address.is_onion(), address.is_routable()), (onion, routable), "{text}");
        }
        // LDK reads names of Tor only where they are whole.
        let v3 = format!("{}d.onion:9735", "a".repeat(55));
        assert!(parse(&v3).is_ok_and(|address| address.is_onion()));
        assert!(
            parse("ln.example.com:1").is_ok_and(|address| address.is_name() && address.port() == 1)
        );
    }

    #[test]
    fn addresses_are_read_or_refused() {
        for good in ["127.0.0.1:9735", "[::1]:9735", "example.com:9736", "::1"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "nowhere", "host:99999", "host:", "a b:1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
