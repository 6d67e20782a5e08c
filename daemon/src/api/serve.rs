//! The gRPC port: bound eagerly, served behind TLS and macaroons until the daemon stops.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fulmen_lnd_proto::lnrpc::state_server::StateServer;
use fulmen_proto::v1;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::server::HealthReporter;

use super::auth::AuthLayer;
use super::config::Config;
use super::limits::calls::CallsLayer;
use super::limits::connections::Connections;
use super::lnd;
use super::lnd::state::StateService;
use super::starting::{Starting, Switch};
use super::tls;
use crate::access::Access;
use crate::clock::Clock;
use crate::private_file;
use crate::tasks::{Stage, Tasks};

/// The file with the address, for clients on this machine.
pub const ADDRESS_FILE: &str = "grpc.address";

/// Interval of HTTP/2 pings on a silent connection, and how long an answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The HTTP/2 window of a connection, in bytes: what a client can make us hold before a call is even read.
const WINDOW: u32 = 256 * 1024;
/// How long calls may go on when the daemon stops; the stage's own deadline is longer.
const GRACE: Duration = Duration::from_secs(5);

/// Why gRPC cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be bound; usually it is in use.
    #[error("could not listen for gRPC on {address}: {source} (grpc.listen)")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// There is no certificate.
    #[error("no certificate for gRPC")]
    Tls(#[from] tls::Error),
    /// TLS refuses the certificate or the key.
    #[error("the certificate for gRPC cannot be used")]
    Identity(#[source] tonic::transport::Error),
    /// The files in lnd's layout cannot be written.
    #[error("cannot write lnd's layout to {} (lnd.layout): {source}", path.display())]
    LndLayout {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file with the address cannot be written.
    #[error("cannot write {}", path.display())]
    AddressFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Reflection cannot be built.
    #[error("reflection cannot be built from the descriptors")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// The bound port, with its certificate in the data directory.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: Identity,
    config: Config,
    lnd: lnd::Config,
    clock: Clock,
}

/// Binds the port and makes the certificate where it is missing, so that every mistake is known before anything starts.
/// Connections wait until [`Bound::serve`].
///
/// Must run inside the runtime.
///
/// # Errors
/// See [`Error`].
pub fn bind(
    config: &Config,
    lnd: &lnd::Config,
    data_dir: &Path,
    clock: Clock,
) -> Result<Bound, Error> {
    let bind_error = |source| Error::Bind { address: config.listen, source };
    let listener = std::net::TcpListener::bind(config.listen).map_err(bind_error)?;
    listener.set_nonblocking(true).map_err(bind_error)?;
    let listener = TcpListener::from_std(listener).map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    let files = tls::load_or_create(data_dir, &config.tls_hosts, clock.unix_secs())?;
    let identity = Identity::from_pem(files.cert_pem, files.key_pem);
    let path = data_dir.join(ADDRESS_FILE);
    private_file::write(&path, format!("{}\n", dialable(address)).as_bytes())
        .map_err(|source| Error::AddressFile { path, source })?;
    let (config, lnd) = (config.clone(), lnd.clone());
    Ok(Bound { listener, address, identity, config, lnd, clock })
}

/// The port while it is served.
pub struct Port {
    address: SocketAddr,
    access: Arc<OnceLock<Access>>,
    services: Arc<OnceLock<Routes>>,
    starting: Starting,
    health: HealthReporter,
}

impl Port {
    /// Returns the address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Decides by `access` from now on which macaroons are good; until then no call is.
    pub fn admit(&self, access: Access) {
        let _ = self.access.set(access);
    }

    /// Lets calls through to the services; until then each is answered with what the start waits for.
    pub async fn open(self, services: Routes) {
        let _ = self.services.set(services);
        self.starting.finish();
        self.health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    }
}

impl Bound {
    /// Serves until the API's stage ends; calls under way may then go on for some seconds.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub async fn serve(self, starting: Starting, tasks: &Tasks) -> Result<Port, Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        let mut always = Routes::builder();
        always
            .add_service(health_service)
            .add_service(reflection().build_v1().map_err(Error::Reflection)?)
            .add_service(reflection().build_v1alpha().map_err(Error::Reflection)?);
        if self.lnd.enabled {
            let state =
                StateService { starting: starting.clone(), stopping: tasks.stopping(Stage::Api) };
            always.add_service(StateServer::new(state));
        }
        let (access, services) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let switch = Switch::new(always.routes(), services.clone(), starting.clone());
        let handshake = Duration::from_secs(self.config.handshake_timeout_secs);
        let server = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(self.identity).timeout(handshake))
            .map_err(Error::Identity)?
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW)
            .max_concurrent_streams(self.config.max_concurrent_calls)
            .layer(AuthLayer::new(access.clone(), starting.clone(), self.clock))
            .layer(CallsLayer::new(&self.config));
        let incoming = Connections::new(&self.config).accept(self.listener);
        let address = self.address;
        let reporter = health.clone();
        tasks.spawn(Stage::Api, "serve gRPC", move |stopping| async move {
            tracing::info!(%address, "serving gRPC");
            let stop = stopping.clone();
            let graceful = async move {
                stop.cancelled().await;
                reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            };
            let too_long = async {
                stopping.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                served = server.serve_with_incoming_shutdown(switch, incoming, graceful) => Ok(served?),
                () = too_long => {
                    tracing::info!("cutting off calls that did not end in time");
                    Ok(())
                }
            }
        });
        Ok(Port { address, access, services, starting, health })
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(fulmen_lnd_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Returns the address at which a client on this machine reaches a server that listens on `address`.
fn dialable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::storage::Store;

    fn on_any_port() -> Config {
        Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() }
    }

    fn bound_to(config: &Config, dir: &Path) -> Result<Bound, Error> {
        bind(config, &lnd::Config::default(), dir, Clock::system())
    }

    fn access_of(dir: &Path) -> Access {
        let (store, clock) = (Store::temporary(), Clock::system());
        let journal = Journal::open(&store, clock.clone()).expect("an empty journal opens");
        Access::open(dir, &store, journal, clock).expect("writable")
    }

    #[tokio::test]
    async fn the_address_is_written_and_a_port_in_use_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bound = bound_to(&on_any_port(), dir.path()).expect("a free port");
        let written = std::fs::read_to_string(dir.path().join(ADDRESS_FILE)).expect("written");
        assert_eq!(written.trim(), bound.address.to_string());
        let taken = Config { listen: bound.address, ..on_any_port() };
        let error = bound_to(&taken, dir.path()).err().expect("the port is in use");
        let error = error.to_string();
        assert!(error.contains(&bound.address.to_string()), "{error}");
        assert!(error.contains("grpc.listen"), "{error}");
    }

    #[tokio::test]
    async fn calls_need_tls_and_a_macaroon_until_the_stop() {
        use tonic_health::pb::HealthCheckRequest;
        use tonic_health::pb::health_client::HealthClient;

        let dir = tempfile::tempdir().expect("a temporary directory");
        let bound = bound_to(&on_any_port(), dir.path()).expect("a free port");
        let tasks = Tasks::new();
        let starting = Starting::new(Clock::system());
        starting.waits_for("bitcoind");
        let port = bound.serve(starting, &tasks).await.expect("a sound certificate");
        let address = port.address();

        let cert = std::fs::read(dir.path().join(tls::CERT_FILE)).expect("made");
        let trusted = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(cert))
            .domain_name("localhost");
        let channel = tonic::transport::Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(trusted))
            .expect("a sound endpoint")
            .connect()
            .await
            .expect("the certificate is trusted");
        let mut health = HealthClient::new(channel.clone());
        let checked = health.check(HealthCheckRequest::default()).await.expect("public");
        assert_eq!(checked.into_inner().status, 2, "not serving yet");

        let mut node = v1::node_client::NodeClient::new(channel);
        let refused = node.get_info(v1::GetInfoRequest {}).await.expect_err("no macaroons yet");
        assert_eq!(refused.code(), tonic::Code::Unavailable, "the store is not open");
        port.admit(access_of(dir.path()));
        let refused = node.get_info(v1::GetInfoRequest {}).await.expect_err("no macaroon");
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let macaroon = std::fs::read(dir.path().join("readonly.macaroon")).expect("made");
        let hex = bitcoin::hex::DisplayHex::to_lower_hex_string(macaroon.as_slice());
        let with_macaroon = |hex: &str| hex.parse().expect("hex is ASCII");
        let mut stop_call = tonic::Request::new(v1::StopRequest {});
        stop_call.metadata_mut().insert("macaroon", with_macaroon(&hex));
        let refused = node.stop(stop_call).await.expect_err("a reader may not stop the daemon");
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let mut get_info = async || {
            let mut info = tonic::Request::new(v1::GetInfoRequest {});
            info.metadata_mut().insert("macaroon", with_macaroon(&hex));
            node.get_info(info).await.expect_err("no such service in this test")
        };
        let early = get_info().await;
        assert_eq!(early.code(), tonic::Code::Unavailable);
        assert!(early.message().contains("s for bitcoind"), "{}", early.message());
        port.open(Routes::default()).await;
        assert_eq!(get_info().await.code(), tonic::Code::Unimplemented, "it was let in");
        let checked = health.check(HealthCheckRequest::default()).await.expect("public");
        assert_eq!(checked.into_inner().status, 1, "serving");

        let late = tasks.shutdown(2 * GRACE).await;
        assert!(late.is_empty(), "it ends well although a client is connected: {late:?}");
    }

    #[test]
    fn a_client_dials_localhost_where_the_server_listens_everywhere() {
        for (listen, dial) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")]
        {
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(dialable(listen).to_string(), dial);
        }
    }
}
