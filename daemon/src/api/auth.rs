//! The tower layer in front of all services: checks the macaroon of a call before its body is read.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bitcoin::hex::FromHex as _;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use super::limits::connections::connection_of;
use super::status::refuse;
use crate::access::bake::IDENTIFIER_PREFIX;
use crate::access::caveat::{self, Call, CaveatRefusal};
use crate::access::macaroon::{MAX_BYTES, Macaroon, RootKey};
use crate::access::permission::{self, Access};
use crate::clock::Clock;

/// The metadata key of a macaroon in hex, the same as lnd's.
pub const METADATA_KEY: &str = "macaroon";

/// Puts the check in front of a service.
#[derive(Clone)]
pub struct AuthLayer {
    key: Arc<RootKey>,
    clock: Clock,
}

impl AuthLayer {
    /// Accepts macaroons that `key` signed; `clock` decides whether they have expired.
    pub fn new(key: RootKey, clock: Clock) -> Self {
        Self { key: Arc::new(key), clock }
    }
}

impl<S> tower_layer::Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { key: self.key.clone(), clock: self.clock.clone(), inner }
    }
}

/// A service behind the check.
#[derive(Clone)]
pub struct Auth<S> {
    key: Arc<RootKey>,
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

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let now = self.clock.unix_secs();
        let connection = connection_of(&request);
        let from = connection.map(|connection| connection.address().ip());
        let path = request.uri().path();
        match admit(&self.key, path, request.headers(), from, now) {
            Ok(Admitted::Public) => Box::pin(self.inner.call(request)),
            Ok(Admitted::Bearer) => {
                if let Some(connection) = connection {
                    connection.admit();
                }
                Box::pin(self.inner.call(request))
            }
            Err(status) => {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    /// It needs no macaroon.
    Public,
    /// It has a macaroon that allows it.
    Bearer,
}

/// Checks whether a call is allowed.
fn admit(
    key: &RootKey,
    path: &str,
    headers: &http::HeaderMap,
    from: Option<IpAddr>,
    now: u64,
) -> Result<Admitted, Status> {
    let permission = match permission::of_method(path) {
        Some(Access::Public) => return Ok(Admitted::Public),
        Some(Access::Needs(permission)) => Some(permission),
        None => None,
    };
    let macaroon = read_macaroon(headers)?;
    if !macaroon.is_signed_by(key) || !macaroon.identifier.starts_with(IDENTIFIER_PREFIX.as_bytes())
    {
        return Err(bad("the macaroon was not made by this daemon"));
    }
    // Only the bearer of a valid macaroon learns which methods exist.
    let Some(permission) = permission else {
        let message = format!("{path} is not a method of this daemon");
        return Err(refuse(Code::Unimplemented, "METHOD_NOT_SERVED", message));
    };
    let call = Call { permission, now, from };
    macaroon.caveats.iter().try_for_each(|caveat| caveat::check(caveat, &call)).map_err(
        |refusal| {
            let (code, reason) = match &refusal {
                CaveatRefusal::Expired(_) => (Code::Unauthenticated, "MACAROON_EXPIRED"),
                CaveatRefusal::Unknown(_) => (Code::Unauthenticated, "MACAROON_INVALID"),
                CaveatRefusal::Permission(_) => (Code::PermissionDenied, "PERMISSION_MISSING"),
                CaveatRefusal::Address => (Code::PermissionDenied, "ADDRESS_NOT_ALLOWED"),
            };
            refuse(code, reason, refusal.to_string())
        },
    )?;
    Ok(Admitted::Bearer)
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
    use crate::access::bake::bake;
    use crate::access::permission::METHODS;

    const PAY: &str = "/fulmen.v1.Payments/Pay";
    const INFO: &str = "/fulmen.v1.Node/GetInfo";

    fn with(macaroon: &Macaroon) -> http::HeaderMap {
        let hex = macaroon.encode().to_lower_hex_string();
        http::HeaderMap::from_iter([(
            http::HeaderName::from_static(METADATA_KEY),
            hex.parse().expect("hex is a header value"),
        )])
    }

    fn code(path: &str, headers: &http::HeaderMap) -> Code {
        let key = RootKey::derive(b"secret");
        admit(&key, path, headers, None, 100).map_or_else(|status| status.code(), |_| Code::Ok)
    }

    #[test]
    fn only_a_macaroon_that_allows_the_method_is_accepted() {
        let key = RootKey::derive(b"secret");
        let admin = bake(&key, None).expect("random");
        let reader = bake(&key, Some("permission = *:read")).expect("random");
        let expired = admin.clone().with_caveat("before = 100");
        let strange = admin.clone().with_caveat("moon = full");
        let forged = bake(&RootKey::derive(b"guessed"), None).expect("random");
        let other_id = Macaroon::new(&key, "fulmen", b"other:0:1");
        let table = [
            (PAY, with(&admin), Code::Ok),
            (INFO, with(&admin), Code::Ok),
            (PAY, with(&reader), Code::PermissionDenied),
            (INFO, with(&reader), Code::Ok),
            (INFO, with(&expired), Code::Unauthenticated),
            (INFO, with(&strange), Code::Unauthenticated),
            (INFO, with(&forged), Code::Unauthenticated),
            (INFO, with(&other_id), Code::Unauthenticated),
            (INFO, http::HeaderMap::new(), Code::Unauthenticated),
            ("/fulmen.v1.Node/Nothing", http::HeaderMap::new(), Code::Unauthenticated),
            ("/fulmen.v1.Node/Nothing", with(&admin), Code::Unimplemented),
            ("/grpc.health.v1.Health/Check", http::HeaderMap::new(), Code::Ok),
        ];
        for (path, headers, expected) in table {
            assert_eq!(code(path, &headers), expected, "{path} {headers:?}");
        }
    }

    #[test]
    fn garbage_instead_of_a_macaroon_is_refused() {
        for garbage in ["", "zz", "0", "02", "0202", "ff00ff"] {
            let mut headers = http::HeaderMap::new();
            headers.insert(METADATA_KEY, garbage.parse().expect("a header value"));
            assert_eq!(code(INFO, &headers), Code::Unauthenticated, "{garbage}");
        }
    }

    fn served() -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(fulmen_proto::v1::FILE_DESCRIPTOR_SET)
            .expect("the build script wrote it");
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
}
