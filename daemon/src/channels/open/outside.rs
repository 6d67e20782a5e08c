//! Channels that somebody else pays for: a hardware wallet, another node, a wallet of the operator.
//!
//! Who pays signs a transaction and publishes nothing. LDK publishes it when the peer has signed our first commitment, so
//! the money is never in a channel that only the peer can close.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bitcoin::{OutPoint, ScriptBuf, Transaction};
use lightning::ln::types::ChannelId;

use super::unfunded::Unfunded;
use crate::channels::{Channels, Error};
use crate::tasks::Stage;

/// Channels that wait for a transaction from outside, by `user_channel_id`.
#[derive(Debug, Default)]
pub struct Outside(Mutex<HashMap<u128, Unfunded>>);

impl Outside {
    /// Notes a channel that waits.
    pub fn wait_for(&self, channel: Unfunded) {
        self.lock().insert(channel.user_channel_id, channel);
    }

    /// Returns a channel that waits.
    pub fn of(&self, user_channel_id: u128) -> Option<Unfunded> {
        self.lock().get(&user_channel_id).cloned()
    }

    /// Forgets a channel: it is funded, or given up.
    pub fn forget(&self, user_channel_id: u128) -> Option<Unfunded> {
        self.lock().remove(&user_channel_id)
    }

    fn named(&self, channel_id: &ChannelId) -> Option<Unfunded> {
        let waiting = self.lock();
        waiting.values().find(|channel| channel.temporary_channel_id == *channel_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Unfunded>> {
        self.0.lock().expect("no panic while held")
    }
}

impl Channels {
    /// Funds a channel with a signed transaction from outside, which must pay exactly its capacity to its script. Nothing
    /// is published here: LDK does so when the peer has signed.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Argument`], [`Error::Ldk`], [`Error::Store`].
    pub async fn fund_from_outside(
        &self,
        channel_id: &ChannelId,
        transaction: Transaction,
    ) -> Result<OutPoint, Error> {
        let channel = self.0.outside.named(channel_id).ok_or(Error::Unknown)?;
        let vout = check(&transaction, &channel.script, channel.capacity_sat)
            .map_err(|why| Error::Argument("psbt", why))?;
        // Taken out first: a second call with another transaction finds nothing to fund.
        let channel = self.0.outside.forget(channel.user_channel_id).ok_or(Error::Unknown)?;
        let txid = transaction.compute_txid();
        match self.hand_over(vec![channel], transaction).await? {
            None => Ok(OutPoint::new(txid, vout)),
            Some(error) => Err(error),
        }
    }

    /// Gives up a channel that waits for its funding.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub async fn cancel_outside(&self, channel_id: &ChannelId, why: &str) -> Result<(), Error> {
        let channel = self.0.outside.named(channel_id).ok_or(Error::Unknown)?;
        let channel = self.0.outside.forget(channel.user_channel_id).ok_or(Error::Unknown)?;
        self.fail_unfunded(&[channel], why, "the channel was not funded").await?;
        Ok(())
    }

    /// Gives an open up that is not funded by then.
    pub(super) fn expire_outside(&self, user_channel_id: u128, after: Duration) {
        let (channels, stopping) = (self.clone(), self.0.tasks.stopping(Stage::Peers));
        self.0.tasks.spawn_once(Stage::Peers, "time-out of a funding", async move {
            let waited = stopping.run_until_cancelled(tokio::time::sleep(after)).await;
            let waiting = channels.0.outside.of(user_channel_id);
            if let (Some(()), Some(channel)) = (waited, waiting) {
                let why = "the funding did not come in time";
                let id = channel.temporary_channel_id;
                if let Err(error) = channels.cancel_outside(&id, why).await {
                    tracing::error!(%error, "could not give up a channel that was not funded");
                }
            }
        });
    }
}

/// Checks a transaction from outside; returns which of its outputs funds the channel.
fn check(transaction: &Transaction, script: &ScriptBuf, sat: u64) -> Result<u32, String> {
    let unsigned = transaction.input.iter().position(|input| input.witness.is_empty());
    if transaction.input.is_empty() {
        return Err("spends nothing".to_owned());
    }
    if let Some(input) = unsigned {
        return Err(format!("has no segwit signature on input {input}"));
    }
    let mut paid = (0u32..).zip(&transaction.output).filter(|(_, of)| of.script_pubkey == *script);
    match (paid.next(), paid.next()) {
        (None, _) => Err(format!("pays nothing to the channel: {sat} sat must go to its address")),
        (Some(_), Some(_)) => Err("pays twice to the channel".to_owned()),
        (Some((_, output)), None) if output.value.to_sat() != sat => {
            Err(format!("pays {} sat to the channel, not {sat} sat", output.value.to_sat()))
        }
        (Some((vout, _)), None) => Ok(vout),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, Sequence, TxIn, TxOut, Witness, absolute, transaction};

    use super::*;

    fn paying(outputs: &[(u8, u64)], signed: bool) -> Transaction {
        let script = |byte: u8| ScriptBuf::from_bytes(vec![byte]);
        let witness = if signed { Witness::from_slice(&[[1; 64]]) } else { Witness::new() };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness,
            }],
            output: outputs
                .iter()
                .map(|(to, sat)| TxOut {
                    value: Amount::from_sat(*sat),
                    script_pubkey: script(*to),
                })
                .collect(),
        }
    }

    #[test]
    fn only_what_pays_exactly_and_is_signed_funds_a_channel() {
        let script = ScriptBuf::from_bytes(vec![7]);
        let of = |outputs: &[(u8, u64)], signed| check(&paying(outputs, signed), &script, 500);
        assert_eq!(of(&[(1, 9), (7, 500)], true), Ok(1));
        for (outputs, signed, part) in [
            (&[(7, 499)][..], true, "pays 499 sat"),
            (&[(7, 501)], true, "pays 501 sat"),
            (&[(1, 500)], true, "pays nothing to the channel"),
            (&[(7, 500), (7, 500)], true, "pays twice"),
            (&[(7, 500)], false, "no segwit signature on input 0"),
        ] {
            let why = of(outputs, signed).expect_err("must be refused");
            assert!(why.contains(part), "{why}");
        }
    }
}
