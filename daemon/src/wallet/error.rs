//! What can go wrong with on-chain money.

use bitcoin::{OutPoint, Txid};
use thiserror::Error;

use crate::storage;

/// Why the wallet refused or failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The store holds the wallet of other words or of another network.
    #[error("the stored wallet does not belong to this seed and network: {0}")]
    OtherSeed(String),
    /// The stored wallet cannot be assembled.
    #[error("could not assemble the stored wallet: {0}")]
    Damaged(String),
    /// The node has not published the anchor reserve yet.
    #[error("the wallet is starting: the anchor reserve is not known yet")]
    Starting,
    /// Too little money that may be spent.
    #[error(
        "not enough on-chain money: {needed_sat} sat are needed with the fee, {spendable_sat} sat can be spent \
         ({reserved_sat} sat are reserved for bumping anchors)"
    )]
    InsufficientFunds {
        /// The amount with the fee, as far as it is known.
        needed_sat: u64,
        /// What may be spent now.
        spendable_sat: u64,
        /// What must stay for anchors.
        reserved_sat: u64,
    },
    /// The reserve of channels that can close now is not in blocks yet.
    #[error(
        "the anchor reserve is not confirmed: {needed_sat} sat must be, {confirmed_sat} sat are; wait for the next \
         block, or send money to an address of the wallet"
    )]
    ReserveUnconfirmed {
        /// What the wallet has in blocks.
        confirmed_sat: u64,
        /// What must be in blocks.
        needed_sat: u64,
    },
    /// Spending the coin would leave no confirmed reserve until the change is in a block.
    #[error(
        "the anchor reserve of {reserved_sat} sat is in one coin of {coin_sat} sat, which must stay confirmed: fulmen \
         splits it now; try again when the split is in a block"
    )]
    ReserveInOneCoin {
        /// What must stay for anchors.
        reserved_sat: u64,
        /// What the coin holds, or the coins that are kept.
        coin_sat: u64,
    },
    /// The network would not relay so small an output.
    #[error("{amount_sat} sat is dust: this address takes at least {minimum_sat} sat")]
    Dust {
        /// What was asked for, or what would be left of everything.
        amount_sat: u64,
        /// The least that is relayed.
        minimum_sat: u64,
    },
    /// A coin that the caller has named.
    #[error("the coin {0} {1}")]
    CoinNotSpendable(OutPoint, &'static str),
    /// Spending the named coins would leave too little for the anchor reserve.
    #[error(
        "the other confirmed coins hold {left_sat} sat, but {needed_sat} sat must stay for bumping anchors: name fewer \
         or other coins"
    )]
    CoinsOfTheReserve {
        /// What the others hold.
        left_sat: u64,
        /// What must stay confirmed.
        needed_sat: u64,
    },
    /// An argument makes no sense; its name and why.
    #[error("{0}: {1}")]
    Argument(&'static str, String),
    /// A transaction or lease that the wallet does not know.
    #[error("{0} is unknown to this wallet")]
    Unknown(String),
    /// A transaction cannot be bumped or replaced; why.
    #[error("the transaction {0} {1}")]
    NotBumpable(Txid, String),
    /// Somebody else has the lease.
    #[error("the coin {0} is leased until {1} (Unix time) under another name")]
    Leased(OutPoint, u64),
    /// A PSBT that cannot be read, signed or finished; why.
    #[error("the PSBT {0}")]
    BadPsbt(String),
    /// The node's bitcoind does not take the transaction.
    #[error("{0}")]
    Refused(String),
    /// The same idempotency key with another address or amount.
    #[error("the idempotency key was used for another send: {0}")]
    KeyReused(Txid),
    /// A transaction could not be built for a reason that should not exist.
    #[error("could not build the transaction: {0}")]
    Build(#[source] bdk_wallet::error::CreateTxError),
    /// A transaction could not be signed for a reason that should not exist.
    #[error("could not sign the transaction: {0}")]
    Sign(String),
    /// The store failed.
    #[error("could not store the wallet's change")]
    Store(#[from] storage::Error),
}
