//! What can go wrong between this daemon and bitcoind.

use bitcoin::{BlockHash, Network};

/// What went wrong between this daemon and bitcoind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the address, or the connection broke.
    #[error("bitcoind cannot be reached at {url}: {reason}")]
    Unreachable {
        /// Where it was tried.
        url: String,
        /// What the operating system said.
        reason: String,
    },
    /// bitcoind is loading its index (RPC error -28).
    #[error("bitcoind at {url} is still starting: {reason}")]
    WarmingUp {
        /// Where it was tried.
        url: String,
        /// What bitcoind is doing.
        reason: String,
    },
    /// bitcoind is stopping, or its work queue is full (HTTP 503).
    #[error("bitcoind at {url} is stopping, or too busy (see its option rpcworkqueue)")]
    Busy {
        /// Where it was tried.
        url: String,
    },
    /// The user and password, or the cookie, are not those of this bitcoind (HTTP 401).
    #[error("bitcoind at {url} refuses the credentials of {from}")]
    WrongCredentials {
        /// Where it was tried.
        url: String,
        /// Where the credentials came from.
        from: String,
    },
    /// The cookie file is absent or cannot be read; bitcoind writes it when it starts.
    #[error("the cookie file {path} cannot be read: {reason} (is bitcoind running?)")]
    Cookie {
        /// The file.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// bitcoind does not let us in, or does not let us call this method (HTTP 403).
    #[error("bitcoind at {url} forbids {method} (see its options rpcallowip and rpcwhitelist)")]
    Forbidden {
        /// Where it was tried.
        url: String,
        /// What was called.
        method: String,
    },
    /// bitcoind runs on another network.
    #[error("bitcoind at {url} is on network {theirs}, but this daemon is on {ours}")]
    OtherNetwork {
        /// Where it was tried.
        url: String,
        /// bitcoind's network, in its own words.
        theirs: String,
        /// Ours.
        ours: Network,
    },
    /// bitcoind is older than what this daemon needs.
    #[error("bitcoind at {url} has version {theirs}, but {least} or newer is needed")]
    TooOld {
        /// Where it was tried.
        url: String,
        /// bitcoind's version.
        theirs: u64,
        /// The oldest version that works.
        least: u64,
    },
    /// A block is needed that bitcoind has pruned and no peer gave back.
    #[error(
        "block {hash} is needed but bitcoind has pruned it and could not get it back from its \
         peers: start bitcoind with a larger -prune, or without it"
    )]
    Pruned {
        /// The block.
        hash: BlockHash,
    },
    /// bitcoind does not know a block.
    #[error("bitcoind does not know block {hash}")]
    UnknownBlock {
        /// The block.
        hash: BlockHash,
    },
    /// Our last block is on a branch that bitcoind has never seen, and so have its parents.
    #[error(
        "the last block that {listener} has seen, {hash} at height {height}, is unknown to \
         bitcoind, and so is the branch it is on: is this the bitcoind of this node?"
    )]
    LostBranch {
        /// Whose block it is.
        listener: &'static str,
        /// The block.
        hash: BlockHash,
        /// Its height.
        height: u32,
    },
    /// bitcoind has less of the chain than we have already seen.
    #[error("bitcoind is at height {theirs}, behind block {ours} that was already seen")]
    Behind {
        /// Our height.
        ours: u32,
        /// bitcoind's height.
        theirs: u32,
    },
    /// bitcoind answered a call with an error.
    #[error("bitcoind refused {method}: {message} (code {code})")]
    Refused {
        /// What was called.
        method: &'static str,
        /// bitcoind's code (`src/rpc/protocol.h`).
        code: i32,
        /// bitcoind's words.
        message: String,
    },
    /// bitcoind answered with something that this daemon does not understand.
    #[error("bitcoind's answer to {method} makes no sense: {reason}")]
    Garbled {
        /// What was called.
        method: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The store cannot be read.
    #[error("the ancestry of recent blocks cannot be read: {reason}")]
    Store {
        /// Why.
        reason: String,
    },
    /// The daemon is ending.
    #[error("the daemon is stopping")]
    Stopping,
}

impl Error {
    /// Says whether waiting can help while the daemon is up.
    ///
    /// A wrong password can: bitcoind writes a new cookie at each start, and an operator may
    /// mend its configuration without restarting this daemon.
    pub fn heals(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::WarmingUp { .. }
            | Error::Busy { .. }
            | Error::WrongCredentials { .. }
            | Error::Cookie { .. }
            | Error::Forbidden { .. }
            | Error::UnknownBlock { .. }
            | Error::Behind { .. }
            | Error::Refused { .. }
            | Error::Garbled { .. } => true,
            Error::OtherNetwork { .. }
            | Error::TooOld { .. }
            | Error::Pruned { .. }
            | Error::LostBranch { .. }
            | Error::Store { .. }
            | Error::Stopping => false,
        }
    }

    /// Says whether waiting can help at the start of the daemon, when an operator is watching
    /// and a mistake in the configuration is best reported at once.
    pub fn heals_at_start(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::WarmingUp { .. }
            | Error::Busy { .. }
            | Error::Cookie { .. } => true,
            Error::WrongCredentials { .. }
            | Error::Forbidden { .. }
            | Error::OtherNetwork { .. }
            | Error::TooOld { .. }
            | Error::Pruned { .. }
            | Error::UnknownBlock { .. }
            | Error::LostBranch { .. }
            | Error::Behind { .. }
            | Error::Refused { .. }
            | Error::Garbled { .. }
            | Error::Store { .. }
            | Error::Stopping => false,
        }
    }

    /// Says whether bitcoind itself is away, as opposed to an answer that we do not like.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. }
                | Error::WarmingUp { .. }
                | Error::Busy { .. }
                | Error::WrongCredentials { .. }
                | Error::Cookie { .. }
        )
    }
}
