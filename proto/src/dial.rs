//! Reaches a daemon: TLS pinned to its own certificate, the macaroon on every call.
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// The metadata key that carries the macaroon, in hex.
pub const MACAROON_KEY: &str = "macaroon";

/// A connection that every generated client takes: `NodeClient::new(connection.clone())`.
/// Clones share one HTTP/2 connection, which reconnects by itself after it was lost.
pub type Connection = InterceptedService<Channel, Macaroon>;

/// How long a connection attempt may take, handshake of TCP included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a call under way asks whether the other side still lives: a stream of events may be
/// silent for hours.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Adds the macaroon to each request.
#[derive(Clone)]
pub struct Macaroon(MetadataValue<Ascii>);

impl Macaroon {
    fn new(binary: &[u8]) -> Self {
        let hex: String = binary.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut value: MetadataValue<Ascii> =
            hex.parse().expect("hexadecimal digits are visible ASCII");
        value.set_sensitive(true);
        Self(value)
    }
}

impl Interceptor for Macaroon {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(MACAROON_KEY, self.0.clone());
        Ok(request)
    }
}

/// Why a daemon could not be dialled.
#[derive(Debug)]
pub enum DialError {
    /// The address is not `host:port`.
    Address {
        /// What was given.
        address: String,
    },
    /// The certificate cannot be used.
    Certificate {
        /// What the TLS library says of it.
        source: tonic::transport::Error,
    },
    /// Nobody answers there, or somebody with another certificate.
    Connect {
        /// Where we tried.
        address: String,
        /// What the transport says.
        source: tonic::transport::Error,
    },
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address { address } => write!(f, "address {address:?} is not host:port"),
            Self::Certificate { .. } => f.write_str("the TLS certificate cannot be used"),
            Self::Connect { address, .. } => write!(f, "no connection to {address}"),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { .. } => None,
            Self::Certificate { source } | Self::Connect { source, .. } => Some(source),
        }
    }
}

/// Connects to the daemon at `address` (`host:port`).
///
/// `tls_certificate_pem` is the daemon's own certificate: nobody else is trusted. The name inside is
/// always `localhost`, whatever name or address the daemon is reached by; the certificate, not the
/// name, says who it is. `macaroon` is the binary content of a macaroon file.
pub async fn dial(
    address: &str,
    tls_certificate_pem: &[u8],
    macaroon: &[u8],
) -> Result<Connection, DialError> {
    let endpoint = endpoint(address, tls_certificate_pem)?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|source| DialError::Connect { address: address.to_owned(), source })?;
    Ok(InterceptedService::new(channel, Macaroon::new(macaroon)))
}

fn endpoint(address: &str, tls_certificate_pem: &[u8]) -> Result<Endpoint, DialError> {
    let wrong = || DialError::Address { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(tls_certificate_pem))
        .domain_name("localhost");
    Endpoint::from_shared(format!("https://{address}"))
        .map_err(|_| wrong())?
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .tls_config(tls)
        .map_err(|source| DialError::Certificate { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port() {
        for good in ["127.0.0.1:10009", "localhost:1", "[::1]:10009", "node.example:65535"] {
            // The certificate is empty: only the address is of interest.
            assert!(!matches!(endpoint(good, b""), Err(DialError::Address { .. })), "{good}");
        }
        for bad in ["", "localhost", ":10009", "localhost:", "localhost:65536", "a b:1", "h:x"] {
            assert!(matches!(endpoint(bad, b""), Err(DialError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn the_macaroon_goes_out_as_hex() {
        let request =
            Macaroon::new(&[0, 0xab, 0xff]).call(Request::new(())).expect("never refuses");
        assert_eq!(request.metadata().get(MACAROON_KEY).expect("just set"), "00abff");
    }
}
