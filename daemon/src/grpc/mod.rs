//! The way in: gRPC services over TLS with macaroons.
