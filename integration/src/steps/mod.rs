//! What users do, as one call each: pay, open and close, spend, and wait for the chain.

pub mod chain;
pub mod channel;
pub mod pay;
pub mod traffic;
pub mod wallet;

use anyhow::{Result, bail};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub use crate::poll::bounded;

/// The call must be refused with this code, with a machine reason, and with words that hold `word`.
pub fn refused<T>(outcome: Result<T, Status>, code: Code, word: &str) -> Result<Status> {
    let status = match outcome {
        Ok(_) => bail!("accepted instead of refused with {code:?} ({word})"),
        Err(status) => status,
    };
    if status.code() != code || !status.message().contains(word) {
        bail!("refused with {status:?} instead of {code:?} naming {word:?}");
    }
    if status.get_details_error_info().is_none_or(|info| info.reason.is_empty()) {
        bail!("{status:?} carries no machine reason");
    }
    Ok(status)
}
