//! Sends money on chain: stored with its idempotency key, then broadcast, then answered.

use bitcoin::{Address, FeeRate, ScriptBuf, Transaction, Txid};
use lightning::impl_writeable_tlv_based;

use super::Wallet;
use super::coins::build::{self, Value};
use super::coins::reserve::AnchorReserve;
use super::error::Error;
use crate::journal::Entry;
use crate::storage::{Batch, Commit, Table, record};

const SENDS: Table<SendRecord> = Table::new("wallet-sends");

/// What to send.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// An address of the wallet's network.
    pub address: Address,
    /// How much.
    pub value: Value,
    /// The fee's rate.
    pub feerate: FeeRate,
    /// The same key again returns the first outcome, never a second payment.
    pub idempotency_key: Option<String>,
    /// What the user calls it.
    pub label: String,
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The transaction.
    pub txid: Txid,
    /// What the address gets, in satoshis.
    pub amount_sat: u64,
    /// What the miner gets, in satoshis.
    pub fee_sat: u64,
    /// Virtual bytes.
    pub vsize: u64,
}

/// The outcome of a send with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SendRecord {
    txid: Txid,
    amount_sat: u64,
    fee_sat: u64,
    vsize: u64,
    script: ScriptBuf,
    /// None is all.
    asked_sat: Option<u64>,
}

impl_writeable_tlv_based!(SendRecord, {
    (0, txid, required),
    (2, amount_sat, required),
    (4, fee_sat, required),
    (6, vsize, required),
    (8, script, required),
    (9, asked_sat, option),
});
record!(SendRecord, kind = 72, version = 1);

impl Wallet {
    /// Sends to an address; what must stay for anchors stays.
    pub async fn send(&self, request: SendRequest) -> Result<Sent, Error> {
        let (sent, tx, commit) = self.prepare(&request, self.reserve()?)?;
        commit.await?;
        // After a crash here `rebroadcast` does it at the next start.
        if let Some(tx) = tx {
            tracing::info!(txid = %sent.txid, sat = sent.amount_sat, "sending on chain");
            self.broadcast(&[tx]);
        }
        Ok(sent)
    }

    /// Returns the transaction only if it is new; the commit is to be awaited in either case, since the
    /// first call with the same key may still be on its way to the disk.
    fn prepare(
        &self,
        request: &SendRequest,
        reserve: AnchorReserve,
    ) -> Result<(Sent, Option<Transaction>, Commit), Error> {
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let script = request.address.script_pubkey();
        let asked_sat = match request.value {
            Value::Exactly(sat) => Some(sat),
            Value::All => None,
        };
        if let Some(key) = &request.idempotency_key
            && let Some(first) = SENDS.get(self.store(), key.as_bytes())?
        {
            let sent = first.repeated(&script, asked_sat)?;
            return Ok((sent, None, self.store().sync()));
        }

        let value = request.value;
        let built =
            self.or_split(build::build(&mut ledger.bdk, &script, value, request.feerate, reserve))?;
        build::take_change(&mut ledger.bdk, &built);
        let (amount_sat, fee_sat) = (built.amount_sat, built.fee_sat);
        let tx = self.sign_whole(&ledger.bdk, built.psbt)?;
        let txid = tx.compute_txid();
        let sent = Sent { txid, amount_sat, fee_sat, vsize: tx.vsize() as u64 };

        let mut batch = Batch::new();
        if let Some(key) = &request.idempotency_key {
            let Sent { txid, amount_sat, fee_sat, vsize } = sent;
            let record = SendRecord { txid, amount_sat, fee_sat, vsize, script, asked_sat };
            SENDS.put(&mut batch, key.as_bytes(), &record);
        }
        ledger.bdk.apply_unconfirmed_txs([(tx.clone(), self.now())]);
        self.journal().append(&mut batch, Entry::WalletSent { txid, amount_sat, fee_sat });
        let commit = self.keep(ledger, batch, &[(txid, request.label.clone())])?;
        Ok((sent, Some(tx), commit))
    }
}

impl SendRecord {
    /// The first outcome, if this is the same request.
    fn repeated(&self, script: &ScriptBuf, asked_sat: Option<u64>) -> Result<Sent, Error> {
        if self.script != *script || self.asked_sat != asked_sat {
            return Err(Error::KeyReused(self.txid));
        }
        let Self { txid, amount_sat, fee_sat, vsize, .. } = *self;
        Ok(Sent { txid, amount_sat, fee_sat, vsize })
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_is_read_for_ever() {
        let record = |asked_sat| SendRecord {
            txid: Txid::from_byte_array([7; 32]),
            amount_sat: 1,
            fee_sat: 2,
            vsize: 256,
            script: ScriptBuf::from_bytes(vec![0x51, 0x52]),
            asked_sat,
        };
        let txid = [&[0, 32][..], &[7; 32]].concat();
        let number = |kind: u8, value: u64| [&[kind, 8][..], &value.to_be_bytes()].concat();
        let numbers = [number(2, 1), number(4, 2), number(6, 256)].concat();
        let all = [vec![70], txid.clone(), numbers.clone(), vec![8, 4, 0, 2, 0x51, 0x52]].concat();
        assert_eq!(SendRecord::decode(1, &all).expect("reads"), record(None));
        let some = [&[80][..], &all[1..], &number(9, 5)].concat();
        assert_eq!(SendRecord::decode(1, &some).expect("reads"), record(Some(5)));
        assert_eq!((record(None).encode(), record(Some(5)).encode()), (all, some));
    }

    #[test]
    fn only_the_same_request_repeats_an_outcome() {
        let script = ScriptBuf::from_bytes(vec![0x51]);
        let txid = Txid::from_byte_array([7; 32]);
        let first = SendRecord {
            txid,
            amount_sat: 1,
            fee_sat: 2,
            vsize: 3,
            script: script.clone(),
            asked_sat: Some(1),
        };
        let sent = Sent { txid, amount_sat: 1, fee_sat: 2, vsize: 3 };
        assert_eq!(first.repeated(&script, Some(1)).expect("the same"), sent);
        assert!(first.repeated(&script, None).is_err());
        assert!(first.repeated(&ScriptBuf::new(), Some(1)).is_err());
    }
}
