//! Calls in flight and the bytes of requests that are being received: bounded over all connections.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Bytes, Service, http};
use tonic::{Code, Status};

use super::connections::{CallGuard, connection_of};
use crate::access::permission::{self, Access};
use crate::api::config::Config;
use crate::api::status::refuse;

/// Calls that need no macaroon (health, reflection) in flight: strangers can make them.
const MAX_PUBLIC_CALLS: usize = 64;

/// Puts the limits in front of a service.
#[derive(Clone)]
pub struct CallsLayer(Arc<Limits>);

struct Limits {
    calls: Arc<Semaphore>,
    public_calls: Arc<Semaphore>,
    receiving: Arc<AtomicUsize>,
    max_receiving_bytes: usize,
}

impl CallsLayer {
    /// Makes the limits of the configuration.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Limits {
            calls: Arc::new(Semaphore::new(config.max_calls)),
            public_calls: Arc::new(Semaphore::new(MAX_PUBLIC_CALLS)),
            receiving: Arc::new(AtomicUsize::new(0)),
            max_receiving_bytes: config.max_receiving_bytes,
        }))
    }
}

impl<S> tower_layer::Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { limits: self.0.clone(), inner }
    }
}

/// A service behind the limits.
#[derive(Clone)]
pub struct Calls<S> {
    limits: Arc<Limits>,
    inner: S,
}

impl<S> Service<http::Request<Body>> for Calls<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Some(place) = self.limits.place(request.uri().path()) else {
            let refused =
                refuse(Code::ResourceExhausted, "TOO_MANY_CALLS", "too many calls in flight");
            return Box::pin(std::future::ready(Ok(refused.into_http())));
        };
        let connection = connection_of(&request).map(|it| it.begin_call());
        let call = CallPermit { _place: place, _connection: connection };
        let received = Arc::new(Received {
            all: self.limits.receiving.clone(),
            most: self.limits.max_receiving_bytes,
            own: AtomicUsize::new(0),
        });
        let counted = received.clone();
        let request = request.map(|body| Body::new(Counted { body, received: counted }));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // The room has acted on the request.
            drop(received);
            Ok(response.map(|body| Body::new(CountedBody { body, _call: call })))
        })
    }
}

impl Limits {
    fn place(&self, path: &str) -> Option<OwnedSemaphorePermit> {
        let places = match permission::of_method(path) {
            Some(Access::Public) => &self.public_calls,
            Some(Access::Needs(_)) | None => &self.calls,
        };
        places.clone().try_acquire_owned().ok()
    }
}

/// Counts a call until its answer has been sent.
struct CallPermit {
    _place: OwnedSemaphorePermit,
    _connection: Option<CallGuard>,
}

/// The bytes of one request, counted until it has been answered.
struct Received {
    all: Arc<AtomicUsize>,
    most: usize,
    own: AtomicUsize,
}

impl Received {
    fn add(&self, bytes: usize) -> Result<(), Status> {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        match self.all.fetch_add(bytes, Ordering::Relaxed) + bytes > self.most {
            true => Err(refuse(
                Code::ResourceExhausted,
                "TOO_MANY_BYTES",
                "the requests being received are too large together: try again",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
    }
}

/// A request's body whose bytes are counted.
struct Counted {
    body: Body,
    received: Arc<Received>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.received.add(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        }))
    }
}

/// An answer's body that holds the place of its call.
struct CountedBody {
    body: Body,
    _call: CallPermit,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAY: &str = "/fulmen.v1.Payments/Pay";
    const HEALTH: &str = "/grpc.health.v1.Health/Watch";

    #[test]
    fn calls_without_a_macaroon_leave_the_places_of_the_others() {
        let config = Config { max_calls: 2, ..Config::default() };
        let limits = CallsLayer::new(&config).0;
        let strangers: Vec<_> = (0..MAX_PUBLIC_CALLS).map(|_| limits.place(HEALTH)).collect();
        assert!(strangers.iter().all(Option::is_some) && limits.place(HEALTH).is_none());
        let (first, second) = (limits.place(PAY), limits.place(PAY));
        assert!(first.is_some() && second.is_some() && limits.place(PAY).is_none());
        drop(first);
        assert!(limits.place(PAY).is_some());
    }

    #[test]
    fn bytes_count_until_the_request_is_answered() {
        let all = Arc::new(AtomicUsize::new(0));
        let request = || Received { all: all.clone(), most: 10, own: AtomicUsize::new(0) };
        let (one, other) = (request(), request());
        assert!(one.add(6).is_ok() && other.add(4).is_ok());
        assert_eq!(other.add(1).map_err(|status| status.code()), Err(Code::ResourceExhausted));
        drop(other);
        assert!(one.add(4).is_ok());
        drop(one);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
