//! The answer of a call that ends as soon as the macaroon of the call is revoked.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};

use super::not_admitted::not_admitted;
use crate::access::identifier::Identifier;
use crate::access::{Access, NotAdmitted};

/// Ends a body with `MACAROON_REVOKED` when the macaroon ceases to be accepted, however long the stream would go on.
pub fn until_revoked(body: Body, access: Access, macaroon: Identifier) -> Body {
    // Nothing can follow: there is nothing to cut off.
    if body.is_end_stream() {
        return body;
    }
    let revoked: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(access.until_revoked(macaroon));
    let revoked = Some(revoked);
    Body::new(Revocable { body, revoked, frames_left: FRAMES_AFTER, ended: false })
}

/// What may follow a revocation: the message and the trailers of the call that revoked its own macaroon, by a rotation.
const FRAMES_AFTER: u8 = 2;

struct Revocable {
    body: Body,
    /// None once it has completed.
    revoked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    frames_left: u8,
    ended: bool,
}

impl http_body::Body for Revocable {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.revoked.as_mut().is_some_and(|revoked| revoked.as_mut().poll(context).is_ready()) {
            self.revoked = None;
        }
        if self.revoked.is_none() {
            if self.frames_left > 0
                && let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context)
            {
                self.frames_left -= 1;
                return Poll::Ready(frame);
            }
            self.ended = true;
            let mut trailers = http::HeaderMap::new();
            not_admitted(&NotAdmitted::Revoked).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }
}
