//! The chain as this daemon sees it: blocks in order, broadcasts, fee estimates, unspent outputs.
//!
//! `bitcoind/` is the only [`ChainSource`]; [`Sync`] brings blocks to listeners that it does not
//! know; [`Broadcaster`] is LDK's way out; [`UtxoCheck`] proves gossip against the chain.

mod bitcoind;
mod broadcast;
mod config;
mod deliver;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod fork;
mod package;
mod patience;
mod recent;
mod source;
mod sync;
#[cfg(test)]
mod sync_tests;
mod utxos;
mod verdict;

pub use bitcoind::Source;
pub use broadcast::{Answer, BroadcastRefusal, Broadcaster, Offer, Outbox};
pub use config::{Config, Secret};
pub use deliver::Listener;
pub use error::Error;
pub use patience::Backoff;
pub use source::{ChainSource, EstimateMode, Health, KnownBlock, SourceTip, UtxoState};
pub use sync::{Sync, Tip, patient_tip};
pub use utxos::UtxoCheck;
pub use verdict::Verdict;
