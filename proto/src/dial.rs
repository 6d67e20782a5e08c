//! Connecting to a daemon: TLS that trusts its own certificate only, and the macaroon on every call.

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

/// How long a connection attempt may take, handshakes included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may go without its first answer; what a stream sends later has no deadline.
pub const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval of HTTP/2 pings during a call, because a stream of events may be silent for hours.
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

/// Why there is no connection to a daemon.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is not `host:port`.
    #[error("address {address:?} is not host:port")]
    Address {
        /// What was given.
        address: String,
    },
    /// The certificate cannot be used.
    #[error("the TLS certificate cannot be used")]
    Certificate {
        /// The TLS library's reason.
        source: tonic::transport::Error,
    },
    /// Nothing answers at the address, or a server with another certificate.
    #[error("no connection to {address}")]
    Connect {
        /// The address that was tried.
        address: String,
        /// The transport's reason.
        source: tonic::transport::Error,
    },
}

/// Connects to the daemon at `address` (`host:port`).
///
/// `tls_certificate_pem` is the daemon's own certificate (`tls.cert` in its directory); no other is trusted. Its name is
/// always `localhost`, at whatever address the daemon is reached: the certificate identifies the daemon, not the name.
/// `macaroon` is the binary content of a macaroon file (`admin.macaroon`, `readonly.macaroon`, `invoice.macaroon`).
///
/// # Errors
/// See [`DialError`]. Once connected, the connection is restored by itself when it is lost.
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
        .timeout(FIRST_ANSWER_TIMEOUT)
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
