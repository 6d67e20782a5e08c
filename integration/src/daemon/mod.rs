//! A `fulmend` as its operator sees it: a configuration, a process, a log, a gRPC door.

pub mod channels;
pub mod config;
pub mod lnd;
pub mod log;
pub mod node;

pub use config::Settings;
pub use lnd::Lnd;
pub use node::Node;
