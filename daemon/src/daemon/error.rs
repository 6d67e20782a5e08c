//! Why the daemon did not start, or did not end well.

use crate::api::serve;
use crate::node::ldk::slots;
use crate::node::stale::StaleProof;
use crate::wallet::{self, BirthdayError, SeedError};
use crate::{access, chain, channels, payments, peers, ports, storage};

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
    /// The peers of a recovery cannot be remembered.
    #[error("could not remember the peers that have to close channels: {0}")]
    Peers(#[from] peers::Error),
    /// Channel records do not fit LDK's channels.
    #[error("could not reconcile channels: {0}")]
    Channels(#[from] channels::Error),
    /// The operating system does not deliver signals.
    #[error("could not listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// There is no thread to open the store in.
    #[error("could not start a thread to open the store: {0}")]
    Thread(#[source] std::io::Error),
    /// The store failed: no further write becomes durable.
    #[error("{failure}; {remedy}", remedy = failure.remedy())]
    StoreFailed {
        /// What happened to the store.
        failure: storage::Error,
    },
    /// A peer has proved that the state is older than what the node has signed.
    #[error("{0}")]
    Stale(String),
    /// A task that the daemon needs failed.
    #[error("{0}")]
    Failed(String),
}

/// The exit code of a daemon whose data directory is an older copy: to start it again loses money.
pub const STALE_EXIT_CODE: u8 = 10;

impl Error {
    /// Returns whether the data directory is known to be an older copy of what this node has signed.
    pub fn is_stale(&self) -> bool {
        matches!(self, Error::Stale(_) | Error::Store(storage::Error::Behind { .. }))
    }

    /// Returns the exit code of the process: 1, or 10 for a stale store, upon which no supervisor should start it again.
    pub fn exit_code(&self) -> u8 {
        match self.is_stale() {
            true => STALE_EXIT_CODE,
            false => 1,
        }
    }
}

/// The sentence for the operator of a store that a peer has proved to be an older copy.
pub(super) fn stale_words(proof: &StaleProof) -> String {
    format!(
        "{proof} of what this node has signed since. Nothing was published; a commitment that is published now lets the peer \
         take all money of the channel, so do not start this copy on another machine either. Put the newest store back; if \
         there is none, `fulmend recover --stale` lets the peers close the channels"
    )
}
