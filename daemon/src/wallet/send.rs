//! Sends money on chain: stored with its idempotency key, then broadcast, then answered.

use std::collections::HashSet;

use bitcoin::{Address, FeeRate, ScriptBuf, Transaction, Txid};
use lightning::impl_writeable_tlv_based;

use super::Wallet;
use super::coins::build::{self, CoinChoice, Order, Value};
use super::coins::reserve::AnchorReserve;
use super::error::Error;
use crate::journal::Entry;
use crate::storage::{Batch, Commit, Table, record};

const SENDS: Table<SendRecord> = Table::new("wallet-sends");

/// What to send.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// Who gets how much, at addresses of the wallet's network, none of them twice; at most one gets all that is left.
    pub outputs: Vec<(Address, Value)>,
    /// Which coins pay.
    pub coins: CoinChoice,
    /// Whether the only recipient pays the fee, out of the amount.
    pub fee_from_amount: bool,
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
    /// What the addresses get together, in satoshis.
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
    /// The whole request, where it was more than an amount to an address.
    asked: Option<String>,
}

impl_writeable_tlv_based!(SendRecord, {
    (0, txid, required),
    (2, amount_sat, required),
    (4, fee_sat, required),
    (6, vsize, required),
    (8, script, required),
    (9, asked_sat, option),
    (11, asked, option),
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
        let (script, asked_sat) = check(request)?;
        let asked = fingerprint(request);
        if let Some(key) = &request.idempotency_key
            && let Some(first) = SENDS.get(self.store(), key.as_bytes())?
        {
            let sent = first.repeated(&script, asked_sat, &asked)?;
            return Ok((sent, None, self.store().sync()));
        }

        let outputs: Vec<_> = request
            .outputs
            .iter()
            .map(|(address, value)| (address.script_pubkey(), *value))
            .collect();
        let leased = ledger.leased(self.now());
        let order = Order {
            outputs: &outputs,
            feerate: request.feerate,
            reserve,
            coins: &request.coins,
            leased: &leased,
        };
        let built = self.or_split(match (request.fee_from_amount, asked_sat) {
            (true, Some(sat)) => {
                build::build_with_fee_from_amount(&mut ledger.bdk, &script, sat, order)
            }
            (true, None) | (false, _) => build::build(&mut ledger.bdk, order),
        })?;
        build::take_change(&mut ledger.bdk, &built);
        let (amount_sat, fee_sat) = (built.amount_sat, built.fee_sat);
        let tx = self.sign_whole(&ledger.bdk, built.psbt)?;
        let txid = tx.compute_txid();
        let sent = Sent { txid, amount_sat, fee_sat, vsize: tx.vsize() as u64 };

        let mut batch = Batch::new();
        if let Some(key) = &request.idempotency_key {
            let Sent { txid, amount_sat, fee_sat, vsize } = sent;
            let record = SendRecord { txid, amount_sat, fee_sat, vsize, script, asked_sat, asked };
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
    fn repeated(
        &self,
        script: &ScriptBuf,
        asked_sat: Option<u64>,
        asked: &Option<String>,
    ) -> Result<Sent, Error> {
        if self.script != *script || self.asked_sat != asked_sat || self.asked != *asked {
            return Err(Error::KeyReused(self.txid));
        }
        let Self { txid, amount_sat, fee_sat, vsize, .. } = *self;
        Ok(Sent { txid, amount_sat, fee_sat, vsize })
    }
}

/// The most recipients of one send: as many outputs as a transaction of standard size has room for, and no more.
const MAX_RECIPIENTS: usize = 1_000;

/// Checks a request; returns the first recipient and its amount, none for all.
pub(super) fn check(request: &SendRequest) -> Result<(ScriptBuf, Option<u64>), Error> {
    let refuse = |argument, why: &str| Err(Error::Argument(argument, why.to_owned()));
    let outputs = &request.outputs;
    let Some((first, value)) = outputs.first() else {
        return refuse("outputs", "name no recipient");
    };
    if outputs.len() > MAX_RECIPIENTS {
        return refuse("outputs", "are too many for one transaction: at most 1000");
    }
    let scripts: HashSet<ScriptBuf> = outputs.iter().map(|(of, _)| of.script_pubkey()).collect();
    if scripts.len() < outputs.len() {
        return refuse("outputs", "name an address twice: add the two amounts");
    }
    if outputs.iter().filter(|(_, value)| *value == Value::All).count() > 1 {
        return refuse("outputs", "give all that is left to more than one address");
    }
    if request.fee_from_amount && (outputs.len() > 1 || *value == Value::All) {
        return refuse("subtract_fee", "is for one recipient of an amount");
    }
    let asked_sat = match value {
        Value::Exactly(sat) => Some(*sat),
        Value::All => None,
    };
    Ok((first.script_pubkey(), asked_sat))
}

/// Tells whether two requests ask for the same, where they are more than an amount to an address.
fn fingerprint(request: &SendRequest) -> Option<String> {
    let is_plain = request.outputs.len() == 1
        && !request.fee_from_amount
        && request.coins == CoinChoice::default();
    (!is_plain).then(|| {
        let outputs: String = request
            .outputs
            .iter()
            .map(|(address, value)| format!("{address} {value:?};"))
            .collect();
        format!("{outputs} {:?} {}", request.coins, request.fee_from_amount)
    })
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
            asked: None,
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
            asked: None,
        };
        let sent = Sent { txid, amount_sat: 1, fee_sat: 2, vsize: 3 };
        assert_eq!(first.repeated(&script, Some(1), &None).expect("the same"), sent);
        assert!(first.repeated(&script, None, &None).is_err());
        assert!(first.repeated(&ScriptBuf::new(), Some(1), &None).is_err());
        assert!(first.repeated(&script, Some(1), &Some("more".to_owned())).is_err());
    }
}
