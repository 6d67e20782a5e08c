//! The way in: gRPC services over TLS with macaroons.

pub mod auth;
mod beliefs;
pub mod channel_view;
pub mod channels;
pub mod closing;
mod config;
pub mod convert;
pub mod events;
pub mod forwards;
pub mod graph;
pub mod invoices;
pub mod node;
pub mod payments;
pub mod peers;
mod private_file;
mod probe;
mod rebalance;
mod routes;
pub mod serve;
pub mod status;
pub mod store;
pub mod stream;
pub mod tls;
pub mod wallet;

pub use config::Config;
