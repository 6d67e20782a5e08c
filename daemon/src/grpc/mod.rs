//! The way in: gRPC services over TLS with macaroons.

pub mod convert;
pub mod status;
