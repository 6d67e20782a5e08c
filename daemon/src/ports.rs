//! TCP ports that others connect to, bound before anything starts.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen for {whom} on {address}: {source} ({option})")]
pub struct Error {
    whom: &'static str,
    option: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds all addresses of an option at once, for whom to come.
///
/// # Errors
/// Names the option, and the address that could not be bound.
pub async fn bind(
    whom: &'static str,
    option: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, Error> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let failed = |source| Error { whom, option, address, source };
        listeners.push(TcpListener::bind(address).await.map_err(failed)?);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_option() {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = bind("guests", "inn.doors", &[any_port, any_port]).await.expect("free ports");
        let taken = bound[1].local_addr().expect("bound");
        let error = bind("guests", "inn.doors", &[any_port, taken]).await.expect_err("in use");
        let said = error.to_string();
        assert!(said.starts_with(&format!("could not listen for guests on {taken}: ")), "{said}");
        assert!(said.ends_with("(inn.doors)"), "{said}");
    }
}
