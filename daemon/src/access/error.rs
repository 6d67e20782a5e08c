//! Why a macaroon is not accepted, or not made.

use std::io;

use super::caveat::CaveatRefusal;
use crate::storage;

/// Why a call is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// No root key of this daemon signed it, or a key that has been retired.
    #[error("the macaroon was not made by this daemon, or its root key was rotated away")]
    NotOurs,
    /// The operator revoked it.
    #[error("the macaroon was revoked")]
    Revoked,
    /// One of its conditions does not hold.
    #[error(transparent)]
    Refused(#[from] CaveatRefusal),
}

/// Why macaroons cannot be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A condition that could never be met; a sentence that begins with the condition.
    #[error("{0}")]
    BadCaveat(String),
    /// The new macaroon would be longer than what is accepted.
    #[error("the macaroon would have {0} bytes, more than are accepted")]
    TooLong(usize),
    /// A macaroon cannot revoke itself: the caller would lock itself out.
    #[error("the call is made with this very macaroon")]
    RevokesItself,
    /// No macaroon has this id.
    #[error("no macaroon with this id was baked")]
    Unknown,
    /// The macaroon in the request is not accepted.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// A key or macaroon file cannot be read or written.
    #[error("cannot write keys or macaroons")]
    Files(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] storage::Error),
}
