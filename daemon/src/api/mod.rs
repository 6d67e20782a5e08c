//! The way in: what every interface shares (port, TLS, the door, limits, statuses, streams), and the interfaces.

pub mod auth;
mod config;
mod limits;
pub mod lnd;
mod not_admitted;
mod revocation;
pub mod serve;
pub mod starting;
mod status;
mod stream;
mod tls;
pub mod v1;

pub use config::Config;
