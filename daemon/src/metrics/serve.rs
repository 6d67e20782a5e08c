//! The HTTP port: one request a connection, bounded in size and time.
//!
//! It stays on hyper rather than axum, which is in the tree through tonic: axum's server bounds neither connections nor
//! the time of a request, so this accept loop would stay, and its router would replace one `match` of two paths.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Config, Durations, Registry, answer, host};
use crate::tasks::{Outcome, Stage, Tasks};

/// The deadline of a connection, answer included; Prometheus itself waits for 10 s.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest request, in bytes; hyper's smallest limit.
const REQUEST_BYTES: usize = 8_192;
/// Connections served at a time; more wait.
const AT_ONCE: usize = 16;
/// The pause after a failed accept, as when the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the API's stage ends.
pub fn serve(config: &Config, registry: &Registry, tasks: &Tasks, listeners: Vec<TcpListener>) {
    if listeners.is_empty() {
        return;
    }
    let took = Durations::new(
        "fulmen_metrics_request_duration_seconds",
        "Durations of scrapes and health checks, the collection of metrics included.",
    );
    let collected = took.clone();
    registry.register(move || collected.metrics());
    let allow_remote = config.allow_remote;
    for listener in listeners {
        let endpoint = Endpoint { registry: registry.clone(), took: took.clone(), allow_remote };
        let connections = tasks.clone();
        tasks.spawn(Stage::Api, "serve metrics", |stopping| {
            accept(listener, endpoint, connections, stopping)
        });
    }
}

/// What answers requests; each connection has a clone.
#[derive(Clone)]
struct Endpoint {
    registry: Registry,
    took: Durations,
    allow_remote: bool,
}

async fn accept(
    listener: TcpListener,
    endpoint: Endpoint,
    tasks: Tasks,
    stopping: CancellationToken,
) -> Outcome {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving metrics");
    }
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let in_turn = async {
            let turn = turns.clone().acquire_owned().await;
            (listener.accept().await, turn)
        };
        let accepted = tokio::select! {
            accepted = in_turn => accepted,
            () = stopping.cancelled() => return Ok(()),
        };
        match accepted {
            (Ok((stream, _)), turn) => {
                let (endpoint, stopping) = (endpoint.clone(), stopping.clone());
                tasks.spawn_once(Stage::Api, "answer a scraper", async move {
                    tokio::select! {
                        () = endpoint.serve(stream) => (),
                        () = stopping.cancelled() => (),
                    }
                    drop(turn);
                });
            }
            (Err(error), _) => {
                tracing::warn!(%error, "could not accept a connection for metrics");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Endpoint {
    async fn serve(&self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            ready(Ok::<Response<String>, Infallible>(self.answer(&request)))
        });
        let served = http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(REQUEST_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        match tokio::time::timeout(DEADLINE, served).await {
            Ok(Ok(())) => (),
            // Strangers cause both, not the operator: no line above debug.
            Ok(Err(error)) => tracing::debug!(%error, "a request for metrics failed"),
            Err(_) => tracing::debug!("a request for metrics exceeded its deadline"),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        if !self.allow_remote && !host::is_this_machine(request.headers(), request.uri()) {
            return answer::other_host();
        }
        let began = Instant::now();
        let answer = answer::answer(&self.registry, request.method(), request.uri().path());
        self.took.add(began.elapsed());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn served(registry: &Registry) -> (Tasks, SocketAddr) {
        served_with(&Config::default(), registry).await
    }

    async fn served_with(config: &Config, registry: &Registry) -> (Tasks, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let tasks = Tasks::new();
        serve(config, registry, &tasks, vec![listener]);
        (tasks, address)
    }

    /// Sends bytes and returns all that comes back until the connection ends.
    async fn says(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        // A refusal may end in a reset after the answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn requests_for_other_hosts_are_refused_unless_allowed() {
        let registry = Registry::default();
        registry.report_health(Vec::new);
        let open = Config { allow_remote: true, ..Config::default() };
        for (config, evil) in [(Config::default(), "403"), (open, "200")] {
            let (_tasks, address) = served_with(&config, &registry).await;
            let own = address.to_string();
            for (host, expected) in [(own.as_str(), "200"), ("evil.example", evil)] {
                for path in ["/healthz", "/metrics"] {
                    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                    let answer = says(address, request.as_bytes()).await;
                    assert!(
                        answer.starts_with(&format!("HTTP/1.1 {expected}")),
                        "{host}: {answer}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn garbage_is_refused_and_the_next_is_answered() {
        let registry = Registry::default();
        registry.report_health(Vec::new);
        let (tasks, address) = served(&registry).await;
        let long =
            [b"GET /healthz HTTP/1.1\r\nx: ".as_slice(), &[b'a'; 3 * REQUEST_BYTES]].concat();
        let garbage: [(&[u8], &str); 5] = [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400"),
            (b"GET /metrics\r\n\r\n", "HTTP/1.1 400"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
            (b"GET /other HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
            (&long, "HTTP/1.1 431"),
        ];
        for (bytes, expected) in garbage {
            let answer = says(address, bytes).await;
            assert!(answer.starts_with(expected), "{expected}: {answer}");
            let well = says(address, b"GET /healthz HTTP/1.1\r\n\r\n").await;
            assert!(well.starts_with("HTTP/1.1 200") && well.ends_with("\r\n\r\nok\n"), "{well}");
        }
        let metrics = says(address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
        assert!(metrics.contains("fulmen_metrics_request_duration_seconds_count 6\n"), "{metrics}");
        assert!(tasks.shutdown(DEADLINE).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed() {
        let (_tasks, address) = served(&Registry::default()).await;
        let began = tokio::time::Instant::now();
        assert_eq!(says(address, b"GET /metrics HTTP/1.1\r\n").await, "");
        assert!(began.elapsed() >= DEADLINE - Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
