//! Why an offer cannot be made, shown or changed, or a refund not be redeemed.

use bitcoin::Network;

use crate::admission::NotReady;
use crate::storage;

/// Why something cannot be done with offers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An argument makes no sense.
    #[error("{argument}: {why}")]
    Bad {
        /// Its name.
        argument: &'static str,
        /// What is wrong.
        why: String,
    },
    /// No such offer.
    #[error("no such offer")]
    Unknown,
    /// The key stands for another request.
    #[error("this key was used for another offer")]
    KeyReused,
    /// The text is not a refund.
    #[error("this is not a BOLT 12 refund: {0}")]
    NotARefund(String),
    /// The refund is for another network.
    #[error("this refund is not for {0}, on which this node runs")]
    OtherNetwork(Network),
    /// The refund has expired.
    #[error("this refund has expired")]
    Expired,
    /// The refund asks for something that this release does not do.
    #[error("this refund cannot be redeemed: {0}")]
    Unredeemable(&'static str),
    /// Payers could not reach us.
    #[error(
        "no connected peer can lead onion messages to this node: connect to a public node first"
    )]
    NoPath,
    /// LDK could not make it.
    #[error("it could not be made: {0}")]
    NotMade(String),
    /// New obligations have to wait.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The store refused.
    #[error("offers cannot be stored or read")]
    Store(#[from] storage::Error),
}
