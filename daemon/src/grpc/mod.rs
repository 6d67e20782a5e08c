//! The way in: gRPC services over TLS with macaroons.

pub mod auth;
pub mod convert;
mod private_file;
pub mod status;
pub mod tls;
pub mod wallet;
