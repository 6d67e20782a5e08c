//! Why something cannot be done with a channel.

use bitcoin::secp256k1::PublicKey;
use lightning::util::errors::APIError;

use super::record::ClosedChannel;
use crate::admission::NotReady;
use crate::{storage, wallet};

/// Why something cannot be done with a channel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument makes no sense; its name and why.
    #[error("{0}: {1}")]
    Argument(&'static str, String),
    /// The key was used for something else.
    #[error("the idempotency key was used for another channel: {asked}")]
    KeyReused {
        /// What was asked for then.
        asked: String,
    },
    /// There is no such channel.
    #[error("there is no such channel")]
    Unknown,
    /// There was one.
    #[error("this channel is closed: {}", closed.reason)]
    AlreadyClosed {
        /// What is known of it.
        closed: Box<ClosedChannel>,
    },
    /// The peer must be there for this.
    #[error("the peer {0} is not connected")]
    NotConnected(PublicKey),
    /// The peer's channels cannot have anchors: their commitments could not be bumped when fees rise.
    #[error("the peer {0} does not know channels with anchor outputs (option_anchors)")]
    NoAnchors(PublicKey),
    /// Nothing new is taken on now.
    #[error(transparent)]
    NotReady(NotReady),
    /// The peer has enough on its hands.
    #[error("{pending} channels with this peer are pending already, at most {most} may be")]
    TooManyPending {
        /// How many there are.
        pending: usize,
        /// How many there may be.
        most: usize,
    },
    /// The channel already gave away where its money goes.
    #[error("the address of this channel's cooperative close was fixed when it was opened")]
    AddressFixed,
    /// Too little on-chain money, or the wallet refused otherwise.
    #[error(transparent)]
    Wallet(wallet::Error),
    /// A wait of LDK for our own disk; it ends by itself.
    #[error("the channel waits for the disk; try again")]
    Busy,
    /// LDK refused.
    #[error("{0}")]
    Ldk(String),
    /// The store failed.
    #[error("could not store what happens to a channel")]
    Store(#[from] storage::Error),
}

impl From<wallet::Error> for Error {
    fn from(error: wallet::Error) -> Self {
        match error {
            wallet::Error::Store(error) => Error::Store(error),
            error => Error::Wallet(error),
        }
    }
}

impl Error {
    /// Takes LDK's words over.
    pub(super) fn from_ldk(error: APIError) -> Self {
        match error {
            APIError::MonitorUpdateInProgress => Error::Busy,
            APIError::IncompatibleShutdownScript { .. } => {
                Error::Argument("address", "the peer cannot pay to this kind of address".to_owned())
            }
            APIError::APIMisuseError { err } if err.contains("Cannot override shutdown script") => {
                Error::AddressFixed
            }
            APIError::APIMisuseError { err }
            | APIError::ChannelUnavailable { err }
            | APIError::InvalidRoute { err } => Error::Ldk(err),
            APIError::FeeRateTooHigh { err, feerate } => {
                Error::Ldk(format!("{err} (feerate {feerate} sat per 1000 weight units)"))
            }
        }
    }
}
