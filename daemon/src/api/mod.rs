//! The way in: what every interface shares (port, TLS, the door, limits, statuses, streams), and the interfaces.

mod auth;
mod config;
pub mod serve;
mod status;
mod stream;
mod tls;
pub mod v1;

pub use config::Config;
