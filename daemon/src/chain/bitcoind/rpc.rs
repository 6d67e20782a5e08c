//! Calls to bitcoind: a few connections, credentials that may change, errors with a meaning.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bitcoincore_rpc::jsonrpc;
use jsonrpc::simple_http;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};

use crate::chain::{Error, Health};

/// How often the log repeats that bitcoind is away.
const REMIND_EVERY: Duration = Duration::from_secs(30);
/// How long an ordinary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Who we are to bitcoind.
#[derive(Clone)]
pub(super) enum Login {
    /// A cookie file; bitcoind writes a new one at each start.
    Cookie(PathBuf),
    /// A user of `rpcauth`.
    User { name: String, password: String },
}

/// Access to one bitcoind.
pub(super) struct Rpc {
    url: String,
    login: Login,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    /// When the log last repeated that it is away.
    reminded: Mutex<Option<SystemTime>>,
    health: watch::Sender<Health>,
    greeted: AtomicBool,
}

/// One connection that is kept alive, used by one call at a time.
pub(super) struct Connection(jsonrpc::Client);

impl Rpc {
    pub(super) fn new(url: String, login: Login, connections: usize) -> Arc<Self> {
        Arc::new(Self {
            url,
            login,
            slots: Arc::new(Semaphore::new(connections.max(1))),
            idle: Mutex::new(Vec::new()),
            reminded: Mutex::new(None),
            health: watch::Sender::new(Health::Well),
            greeted: AtomicBool::new(false),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Notes that this is the right bitcoind; before that, wrong credentials are for the caller
    /// to tell, who gives up on them.
    pub(super) fn set_greeted(&self) {
        self.greeted.store(true, Ordering::Relaxed);
    }

    /// Calls a method once, waiting for a free connection.
    pub(super) async fn call<T>(
        self: &Arc<Self>,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<T, Error>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.call_then(method, params, Ok).await
    }

    /// Calls a method once and turns its answer into something else, away from async threads.
    pub(super) async fn call_then<A, T>(
        self: &Arc<Self>,
        method: &'static str,
        params: Vec<Value>,
        then: impl FnOnce(A) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error>
    where
        A: DeserializeOwned,
        T: Send + 'static,
    {
        self.with_slot(move |rpc| {
            rpc.with_connection(|connection| rpc.attempt(connection, method, &params))
                .and_then(then)
        })
        .await
    }

    /// Calls a method once for each of `params`, all in one request, and turns the answers into
    /// something else, away from async threads.
    pub(super) async fn call_each_then<A, T>(
        self: &Arc<Self>,
        method: &'static str,
        params: Vec<Vec<Value>>,
        then: impl FnOnce(Vec<Result<A, Error>>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error>
    where
        A: DeserializeOwned,
        T: Send + 'static,
    {
        self.with_slot(move |rpc| {
            rpc.with_connection(|connection| rpc.attempt_each(connection, method, &params))
                .and_then(then)
        })
        .await
    }

    /// Waits until fewer calls are under way, then does a blocking deed.
    async fn with_slot<T: Send + 'static>(
        self: &Arc<Self>,
        deed: impl FnOnce(&Rpc) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slots = self.slots.clone();
        let slot = slots.acquire_owned().await.map_err(|_| Error::Stopping)?;
        let rpc = self.clone();
        let call = move || {
            let _slot = slot;
            deed(&rpc)
        };
        tokio::task::spawn_blocking(call).await.unwrap_or(Err(Error::Stopping))
    }

    /// Opens a connection of one's own, for calls that take long.
    pub(super) fn connect(&self, timeout: Duration) -> Result<Connection, Error> {
        let unreachable = |error: simple_http::Error| Error::Unreachable {
            url: self.url.clone(),
            reason: error.to_string(),
        };
        let (user, password) = self.credentials()?;
        let transport = simple_http::Builder::new()
            .timeout(timeout)
            .url(&self.url)
            .map_err(unreachable)?
            .auth(user, Some(password))
            .build();
        Ok(Connection(jsonrpc::Client::with_transport(transport)))
    }

    /// Calls a method over one's own connection.
    pub(super) fn call_over<T: DeserializeOwned>(
        &self,
        connection: &Connection,
        method: &'static str,
        params: &[Value],
    ) -> Result<T, Error> {
        let outcome = self.attempt(connection, method, params);
        self.note(outcome.as_ref().err());
        outcome
    }

    fn with_connection<T>(
        &self,
        attempt: impl Fn(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut outcome = self.with_pooled(&attempt);
        if matches!(outcome, Err(Error::WrongCredentials { .. })) {
            // bitcoind has restarted: its cookie is another one now.
            self.idle.lock().expect("no panic while held").clear();
            outcome = self.with_pooled(&attempt);
        }
        self.note(outcome.as_ref().err());
        outcome
    }

    fn with_pooled<T>(
        &self,
        attempt: impl Fn(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().expect("no panic while held").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(CALL_TIMEOUT)?,
        };
        let outcome = attempt(&connection);
        if !outcome.as_ref().is_err_and(Error::is_away) {
            self.idle.lock().expect("no panic while held").push(connection);
        }
        outcome
    }

    fn attempt<T: DeserializeOwned>(
        &self,
        connection: &Connection,
        method: &'static str,
        params: &[Value],
    ) -> Result<T, Error> {
        let params = raw(method, params)?;
        connection.0.call(method, Some(&params)).map_err(|error| self.explain(method, &error))
    }

    fn attempt_each<T: DeserializeOwned>(
        &self,
        connection: &Connection,
        method: &'static str,
        params: &[Vec<Value>],
    ) -> Result<Vec<Result<T, Error>>, Error> {
        let params: Vec<_> =
            params.iter().map(|params| raw(method, params)).collect::<Result<_, _>>()?;
        let requests: Vec<_> =
            params.iter().map(|params| connection.0.build_request(method, Some(params))).collect();
        let answers =
            connection.0.send_batch(&requests).map_err(|error| self.explain(method, &error))?;
        let read = |answer: Option<jsonrpc::Response>| {
            let unanswered = || Error::Garbled { method, reason: "an answer is absent".to_owned() };
            answer.ok_or_else(unanswered)?.result().map_err(|error| self.explain(method, &error))
        };
        Ok(answers.into_iter().map(read).collect())
    }

    fn credentials(&self) -> Result<(String, String), Error> {
        let path = match &self.login {
            Login::User { name, password } => return Ok((name.clone(), password.clone())),
            Login::Cookie(path) => path,
        };
        let unreadable =
            |reason: String| Error::Cookie { path: path.display().to_string(), reason };
        let cookie =
            std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        match cookie.trim_end().split_once(':') {
            Some((user, password)) => Ok((user.to_owned(), password.to_owned())),
            None => Err(unreadable("it is not a cookie of bitcoind".to_owned())),
        }
    }

    fn explain(&self, method: &'static str, error: &jsonrpc::Error) -> Error {
        let from = match &self.login {
            Login::Cookie(path) => format!("the cookie file {}", path.display()),
            Login::User { name, .. } => format!("rpc_user {name} and rpc_password"),
        };
        explain(&self.url, &from, method, error)
    }

    /// Repeats now and then that bitcoind is away, for an operator who comes later.
    fn remind(&self, error: &Error) {
        let Health::Away { since, .. } = *self.health.borrow() else { return };
        let mut reminded = self.reminded.lock().expect("no panic while held");
        let now = SystemTime::now();
        if is_reminder_due(since, *reminded, now) {
            *reminded = Some(now);
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            tracing::warn!("no answer from bitcoind for {seconds} s: {error}; still trying");
        }
    }

    /// Keeps the health and says, once each, that bitcoind went away and that it is back.
    fn note(&self, error: Option<&Error>) {
        let away = error.filter(|error| error.is_away());
        self.health.send_if_modified(|health| match (&*health, away) {
            (Health::Well, Some(error)) => {
                let told = self.greeted.load(Ordering::Relaxed) || error.heals_at_start();
                if told {
                    tracing::warn!("{error}; trying again until it answers");
                }
                *health = Health::Away { since: SystemTime::now(), why: error.clone() };
                true
            }
            (Health::Away { since, .. }, None) => {
                let seconds = since.elapsed().unwrap_or_default().as_secs();
                tracing::info!("bitcoind at {} answers again after {seconds} s", self.url);
                *health = Health::Well;
                true
            }
            (Health::Away { since, why }, Some(error)) if why != error => {
                tracing::debug!("still: {error}");
                *health = Health::Away { since: *since, why: error.clone() };
                true
            }
            (Health::Well, None) | (Health::Away { .. }, Some(_)) => false,
        });
        if let Some(error) = away {
            self.remind(error);
        }
    }
}

/// Whether the log has not said for a while that bitcoind is away; that it went away at `since` is in it.
fn is_reminder_due(since: SystemTime, reminded: Option<SystemTime>, now: SystemTime) -> bool {
    let last = reminded.filter(|at| *at >= since).unwrap_or(since);
    now.duration_since(last).is_ok_and(|age| age >= REMIND_EVERY)
}

fn raw(method: &'static str, params: &[Value]) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(params)
        .map_err(|error| Error::Garbled { method, reason: error.to_string() })
}

/// Gives an error of the client its meaning.
fn explain(url: &str, from: &str, method: &'static str, error: &jsonrpc::Error) -> Error {
    let url = url.to_owned();
    match error {
        jsonrpc::Error::Rpc(error) if error.code == IN_WARMUP => {
            Error::WarmingUp { url, reason: error.message.clone() }
        }
        jsonrpc::Error::Rpc(error) => {
            Error::Refused { method, code: error.code, message: error.message.clone() }
        }
        jsonrpc::Error::Transport(error) => match error.downcast_ref::<simple_http::Error>() {
            Some(simple_http::Error::HttpErrorCode(401)) => {
                Error::WrongCredentials { url, from: from.to_owned() }
            }
            Some(simple_http::Error::HttpErrorCode(403)) => {
                Error::Forbidden { url, method: method.to_owned() }
            }
            Some(simple_http::Error::HttpErrorCode(503)) => Error::Busy { url },
            Some(simple_http::Error::Json(error)) if !error.is_io() && !error.is_eof() => {
                Error::Garbled { method, reason: error.to_string() }
            }
            _ => Error::Unreachable { url, reason: error.to_string() },
        },
        other => Error::Garbled { method, reason: other.to_string() },
    }
}

/// "Client still warming up", of Bitcoin Core's `src/rpc/protocol.h`.
const IN_WARMUP: i32 = -28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_get_their_meaning() {
        let rpc = |code, message: &str| {
            jsonrpc::Error::Rpc(jsonrpc::error::RpcError {
                code,
                message: message.to_owned(),
                data: None,
            })
        };
        let http =
            |code| jsonrpc::Error::Transport(Box::new(simple_http::Error::HttpErrorCode(code)));
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let gone = jsonrpc::Error::Transport(Box::new(simple_http::Error::SocketError(gone)));
        let meaning = |error| explain("u", "the cookie", "m", &error);

        assert!(matches!(meaning(rpc(-28, "Loading…")), Error::WarmingUp { .. }));
        assert!(matches!(meaning(rpc(-5, "no")), Error::Refused { code: -5, .. }));
        assert!(matches!(meaning(http(401)), Error::WrongCredentials { .. }));
        assert!(matches!(meaning(http(403)), Error::Forbidden { .. }));
        assert!(matches!(meaning(http(503)), Error::Busy { .. }));
        assert!(matches!(meaning(gone), Error::Unreachable { .. }));
        assert!(matches!(meaning(jsonrpc::Error::NonceMismatch), Error::Garbled { .. }));
    }

    #[test]
    fn a_cookie_is_read_each_time_and_its_absence_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".cookie");
        let rpc = Rpc::new("http://127.0.0.1:1".into(), Login::Cookie(path.clone()), 1);
        assert!(matches!(rpc.credentials(), Err(Error::Cookie { .. })));
        for password in ["a", "b:c"] {
            std::fs::write(&path, format!("__cookie__:{password}\n")).expect("written");
            let credentials = rpc.credentials().expect("a cookie");
            assert_eq!(credentials, ("__cookie__".to_owned(), password.to_owned()));
        }
    }

    #[test]
    fn the_log_repeats_four_times_in_two_minutes_that_bitcoind_is_away() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        // Of an earlier absence.
        let mut reminded = Some(since - Duration::from_secs(5));
        let mut reminders = Vec::new();
        for secs in 0..=120 {
            let now = since + Duration::from_secs(secs);
            if is_reminder_due(since, reminded, now) {
                reminded = Some(now);
                reminders.push(secs);
            }
        }
        assert_eq!(reminders, [30, 60, 90, 120]);
    }

    #[test]
    fn health_changes_once_each_way() {
        let rpc = Rpc::new("u".into(), Login::Cookie("c".into()), 1);
        let mut health = rpc.health();
        let away = Error::Busy { url: "u".into() };
        rpc.note(Some(&Error::Refused { method: "m", code: -5, message: "no".into() }));
        assert!(!health.has_changed().expect("alive"));
        rpc.note(Some(&away));
        assert!(matches!(*health.borrow_and_update(), Health::Away { .. }));
        rpc.note(Some(&away));
        assert!(!health.has_changed().expect("alive"));
        rpc.note(None);
        assert_eq!(*health.borrow_and_update(), Health::Well);
    }
}
