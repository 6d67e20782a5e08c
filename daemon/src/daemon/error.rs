//! Why the daemon did not start, or did not end well.

use crate::api::serve;
use crate::node::ldk::slots;
use crate::wallet::{self, BirthdayError, SeedError};
use crate::{access, chain, channels, payments, ports, storage};

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no seed, or it cannot be read.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The store cannot be opened, read or written.
    #[error(transparent)]
    Store(#[from] storage::Error),
    /// bitcoind is on another chain, or does not have the blocks that are needed.
    #[error(transparent)]
    Chain(#[from] chain::Error),
    /// The on-chain wallet cannot be opened.
    #[error("could not open the on-chain wallet: {0}")]
    Wallet(#[from] wallet::Error),
    /// The wallet cannot find the block of its birthday.
    #[error(transparent)]
    Birthday(#[from] BirthdayError),
    /// LDK's state cannot be read.
    #[error(transparent)]
    Restore(#[from] slots::Error),
    /// A port for peers or for metrics cannot be bound.
    #[error(transparent)]
    Listen(#[from] ports::Error),
    /// There is no root key or no macaroon.
    #[error("no macaroons for gRPC")]
    Access(#[from] access::Error),
    /// The port for gRPC cannot be bound, or its certificate cannot be read.
    #[error(transparent)]
    Grpc(#[from] serve::Error),
    /// Payment records do not fit LDK's payments.
    #[error("could not reconcile payments: {0}")]
    Payments(#[from] payments::Error),
    /// Channel records do not fit LDK's channels.
    #[error("could not reconcile channels: {0}")]
    Channels(#[from] channels::Error),
    /// The operating system does not deliver signals.
    #[error("could not listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The store failed: no further write becomes durable.
    #[error("{failure}; {remedy}", remedy = failure.remedy())]
    StoreFailed {
        /// What happened to the store.
        failure: storage::Error,
    },
    /// A task that the daemon needs failed.
    #[error("{0}")]
    Failed(String),
}
