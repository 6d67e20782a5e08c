//! The tower layer in front of all services: checks the macaroon of a call before its body is read.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bitcoin::hex::FromHex as _;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use super::limits::connections::connection_of;
use super::lnd::door;
use super::not_admitted::not_admitted;
use super::revocation::until_revoked;
use super::starting::Starting;
use super::status::{internal_because, refuse};
use crate::access::Access;
use crate::access::caller::Caller;
use crate::access::caveat::Call;
use crate::access::identifier::Identifier;
use crate::access::lnd;
use crate::access::macaroon::{MAX_BYTES, Macaroon};
use crate::access::permission::{self, Access as Rule};
use crate::clock::Clock;

/// The metadata key of a macaroon in hex, the same as lnd's.
pub const METADATA_KEY: &str = "macaroon";

/// Puts the check in front of a service.
#[derive(Clone)]
pub struct AuthLayer {
    access: Arc<OnceLock<Access>>,
    starting: Starting,
    clock: Clock,
}

impl AuthLayer {
    /// Accepts the macaroons that `access` accepts; `clock` decides whether they have expired. As long as `access` is
    /// not set, which it is with the store, a call is answered with what the start waits for.
    pub fn new(access: Arc<OnceLock<Access>>, starting: Starting, clock: Clock) -> Self {
        Self { access, starting, clock }
    }
}

/// Who makes a call, as the layer found out.
///
/// # Errors
/// `INTERNAL` for a request that has not passed the layer.
pub fn caller_of<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| internal_because("a call has not passed the check of its macaroon"))
}

impl<S> tower_layer::Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        let Self { access, starting, clock } = self.clone();
        Auth { access, starting, clock, inner }
    }
}

/// A service behind the check.
#[derive(Clone)]
pub struct Auth<S> {
    access: Arc<OnceLock<Access>>,
    starting: Starting,
    clock: Clock,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Auth<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let now = self.clock.unix_secs();
        let connection = connection_of(&request);
        let from = connection.map(|connection| connection.address().ip());
        let path = request.uri().path();
        let Some(access) = self.access.get().cloned() else {
            if matches!(rule_of(path), Some((_, Rule::Public))) {
                return Box::pin(self.inner.call(request));
            }
            return Box::pin(std::future::ready(Ok(self.starting.refusal().into_http())));
        };
        match admit(&access, path, request.headers(), from, now) {
            Ok(Admitted::Public) => Box::pin(self.inner.call(request)),
            Ok(Admitted::Bearer(caller, macaroon)) => {
                if let Some(connection) = connection {
                    connection.admit();
                }
                request.extensions_mut().insert(caller);
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let response = answer.await?;
                    Ok(response.map(|body| until_revoked(body, access, macaroon)))
                })
            }
            Err(status) => {
                let status = match door::is_lnd(path) {
                    true => door::refusal(status),
                    false => status,
                };
                tracing::debug!(
                    method = path,
                    code = ?status.code(),
                    why = status.message(),
                    "refused a call"
                );
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}

/// How a call is allowed.
#[derive(Debug)]
enum Admitted {
    /// It needs no macaroon.
    Public,
    /// It has a macaroon that allows it.
    Bearer(Caller, Identifier),
}

/// Returns a method's path and who may call it, in either interface.
fn rule_of(path: &str) -> Option<(&'static str, Rule)> {
    permission::of_method(path).or_else(|| lnd::of_method(path))
}

/// Checks whether a call is allowed, and puts one that changes money or access into the journal.
fn admit(
    access: &Access,
    path: &str,
    headers: &http::HeaderMap,
    from: Option<IpAddr>,
    now: u64,
) -> Result<Admitted, Status> {
    // Browsers add it whatever a page does: no page reaches the API with the network position of its reader.
    if headers.contains_key(http::header::ORIGIN) {
        let message = "this API is not for web pages: the request has an Origin header";
        return Err(refuse(Code::PermissionDenied, "ORIGIN_NOT_ALLOWED", message));
    }
    let rule = rule_of(path);
    if let Some((_, Rule::Public)) = rule {
        return Ok(Admitted::Public);
    }
    // As in lnd, where nobody is asked for a macaroon before the method is found.
    if rule.is_none() && door::is_lnd(path) {
        return Err(door::unimplemented(path));
    }
    let macaroon = read_macaroon(headers)?;
    let identifier = access.verify(&macaroon).map_err(|error| not_admitted(&error))?;
    // Only the bearer of a valid macaroon learns which methods exist.
    let Some((method, Rule::Needs(permission))) = rule else {
        let message = format!("{path} is not a method of this daemon");
        return Err(refuse(Code::Unimplemented, "METHOD_NOT_SERVED", message));
    };
    let call = Call { method, permission, now, from };
    let caller = access.admit(&macaroon, &call).map_err(|error| not_admitted(&error))?;
    if permission::is_audited(method, permission) {
        access.audit(&caller);
    }
    Ok(Admitted::Bearer(caller, identifier))
}

fn read_macaroon(headers: &http::HeaderMap) -> Result<Macaroon, Status> {
    let Some(value) = headers.get(METADATA_KEY) else {
        let message = "a macaroon is needed, in hex under the metadata key `macaroon`";
        return Err(refuse(Code::Unauthenticated, "MACAROON_MISSING", message));
    };
    if value.len() > 2 * MAX_BYTES {
        return Err(bad("the macaroon is too long"));
    }
    let bytes = value
        .to_str()
        .ok()
        .and_then(|hex| Vec::<u8>::from_hex(hex.trim()).ok())
        .ok_or_else(|| bad("the macaroon is not written in hex"))?;
    Macaroon::decode(&bytes).map_err(|error| bad(&format!("the macaroon {error}")))
}

fn bad(message: &str) -> Status {
    refuse(Code::Unauthenticated, "MACAROON_INVALID", message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bitcoin::hex::DisplayHex as _;
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::access::lnd::METHODS as LND_METHODS;
    use crate::access::macaroon::RootKey;
    use crate::access::permission::METHODS;
    use crate::journal::Journal;
    use crate::storage::Store;

    const PAY: &str = "/fulmen.v1.Payments/Pay";
    const INFO: &str = "/fulmen.v1.Node/GetInfo";

    struct Room {
        access: Access,
        dir: tempfile::TempDir,
    }

    fn room() -> Room {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (store, clock) = (Store::temporary(), Clock::system());
        let journal = Journal::open(&store, clock.clone()).expect("an empty journal opens");
        let access = Access::open(dir.path(), &store, journal, clock).expect("writable");
        Room { access, dir }
    }

    impl Room {
        fn stored(&self, file: &str) -> Macaroon {
            let bytes = std::fs::read(self.dir.path().join(file)).expect("it was made");
            Macaroon::decode(&bytes).expect("well-formed")
        }

        fn code(&self, path: &str, headers: &http::HeaderMap) -> Code {
            admit(&self.access, path, headers, None, 100)
                .map_or_else(|status| status.code(), |_| Code::Ok)
        }
    }

    fn with(macaroon: &Macaroon) -> http::HeaderMap {
        let hex = macaroon.encode().to_lower_hex_string();
        http::HeaderMap::from_iter([(
            http::HeaderName::from_static(METADATA_KEY),
            hex.parse().expect("hex is a header value"),
        )])
    }

    #[tokio::test]
    async fn only_a_macaroon_that_allows_the_method_is_accepted() {
        let room = room();
        let (admin, reader) = (room.stored("admin.macaroon"), room.stored("readonly.macaroon"));
        let expired = admin.clone().with_caveat("before = 100");
        let strange = admin.clone().with_caveat("moon = full");
        let only_info = admin.clone().with_caveat("method = Node/GetInfo");
        let peer = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let one_peer = admin.clone().with_caveat(&format!("peer = {peer}"));
        let guessed = RootKey::derive(b"guessed");
        let forged = Macaroon::new(&guessed, "fulmen", &admin.identifier);
        let table = [
            (PAY, with(&admin), Code::Ok),
            (INFO, with(&admin), Code::Ok),
            (PAY, with(&reader), Code::PermissionDenied),
            (INFO, with(&reader), Code::Ok),
            (INFO, with(&expired), Code::Unauthenticated),
            (INFO, with(&strange), Code::Unauthenticated),
            (INFO, with(&only_info), Code::Ok),
            (PAY, with(&only_info), Code::PermissionDenied),
            (INFO, with(&one_peer), Code::PermissionDenied),
            ("/fulmen.v1.Channels/Open", with(&one_peer), Code::Ok),
            (INFO, with(&forged), Code::Unauthenticated),
            (INFO, http::HeaderMap::new(), Code::Unauthenticated),
            ("/fulmen.v1.Node/Nothing", http::HeaderMap::new(), Code::Unauthenticated),
            ("/fulmen.v1.Node/Nothing", with(&admin), Code::Unimplemented),
            ("/grpc.health.v1.Health/Check", http::HeaderMap::new(), Code::Ok),
        ];
        for (path, headers, expected) in table {
            assert_eq!(room.code(path, &headers), expected, "{path} {headers:?}");
        }
    }

    #[tokio::test]
    async fn a_web_page_is_refused_whatever_it_sends() {
        let room = room();
        for path in [INFO, "/grpc.health.v1.Health/Check"] {
            let mut headers = with(&room.stored("admin.macaroon"));
            assert_eq!(room.code(path, &headers), Code::Ok);
            headers.insert(http::header::ORIGIN, "null".parse().expect("a header value"));
            assert_eq!(room.code(path, &headers), Code::PermissionDenied, "{path}");
        }
    }

    #[tokio::test]
    async fn garbage_instead_of_a_macaroon_is_refused() {
        let room = room();
        for garbage in ["", "zz", "0", "02", "0202", "ff00ff"] {
            let mut headers = http::HeaderMap::new();
            headers.insert(METADATA_KEY, garbage.parse().expect("a header value"));
            assert_eq!(room.code(INFO, &headers), Code::Unauthenticated, "{garbage}");
        }
    }

    fn served() -> BTreeSet<String> {
        served_of(fulmen_proto::v1::FILE_DESCRIPTOR_SET)
    }

    fn served_of(descriptors: &[u8]) -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(descriptors).expect("the build script wrote it");
        let mut paths = BTreeSet::new();
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    paths.insert(format!(
                        "/{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
        paths
    }

    #[test]
    fn every_method_has_one_permission_and_every_permission_a_method() {
        let listed = METHODS.iter().map(|(path, _)| (*path).to_owned());
        let ours: Vec<String> = listed.filter(|path| path.starts_with("/fulmen.")).collect();
        let unique: BTreeSet<String> = ours.iter().cloned().collect();
        assert_eq!(ours.len(), unique.len(), "a method is listed twice");
        assert_eq!(unique, served());
    }
    #[test]
    fn every_permission_of_lnds_methods_is_of_a_method_of_its_api() {
        let all = served_of(fulmen_lnd_proto::FILE_DESCRIPTOR_SET);
        let listed: Vec<_> = LND_METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
        let unique: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), unique.len(), "a method is listed twice");
        assert!(unique.is_subset(&all), "{:?}", unique.difference(&all));
    }

    #[tokio::test]
    async fn lnds_clients_read_lnds_words() {
        let room = room();
        let (admin, reader) = (room.stored("admin.macaroon"), room.stored("readonly.macaroon"));
        let forged = Macaroon::new(&RootKey::derive(b"guessed"), "lnd", &admin.identifier);
        let words = |path: &str, headers: &http::HeaderMap| {
            let refused = admit(&room.access, path, headers, None, 100).expect_err("refused");
            let status = door::refusal(refused);
            (status.code(), status.message().to_owned())
        };
        let none = http::HeaderMap::new();
        let unknown = |words: &str| (Code::Unknown, words.to_owned());
        let info = "/lnrpc.Lightning/GetInfo";
        assert_eq!(words(info, &none), unknown("expected 1 macaroon, got 0"));
        assert_eq!(
            words(info, &with(&forged)),
            unknown("verification failed: signature mismatch after caveat verification")
        );
        let denied = words("/lnrpc.Lightning/SendCoins", &with(&reader));
        assert_eq!(denied, unknown("permission denied"));
        let short = admin.with_caveat("time-before 1970-01-01T00:01:40Z");
        let expired = words(info, &with(&short));
        assert_eq!(expired, unknown("verification failed: macaroon has expired"));
        let (code, text) = words("/lnrpc.Lightning/ChannelAcceptor", &none);
        assert_eq!(code, Code::Unimplemented);
        assert_eq!(text, "unknown method ChannelAcceptor for service lnrpc.Lightning");
        assert_eq!(room.code("/lnrpc.State/GetState", &none), Code::Ok);
    }
}
