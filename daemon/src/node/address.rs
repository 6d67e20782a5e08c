//! Addresses of peers as people write them.

use lightning::ln::msgs::SocketAddress;

/// The port of Lightning on mainnet (BOLT 1).
pub const DEFAULT_PORT: u16 = 9735;

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
    fn addresses_are_read_or_refused() {
        for good in ["127.0.0.1:9735", "[::1]:9735", "example.com:9736", "::1"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "nowhere", "host:99999", "host:", "a b:1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
