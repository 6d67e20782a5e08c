//! The way in: gRPC services over TLS with macaroons.

pub mod auth;
pub mod convert;
pub mod events;
pub mod forwards;
pub mod invoices;
pub mod payments;
mod private_file;
pub mod status;
pub mod stream;
pub mod tls;
pub mod wallet;
