//! Our own words for transactions, outputs and addresses, and their exchange with other wallets (BIP 329).

use std::ops::ControlFlow;
use std::str::FromStr as _;

use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::{Address, OutPoint, Txid};
use lightning::impl_writeable_tlv_based;
use serde::{Deserialize, Serialize};

use super::{TRANSACTIONS, TransactionRecord};
use crate::storage::{Batch, Table, record};
use crate::wallet::Wallet;
use crate::wallet::error::Error;

/// By a letter for the kind, and the name.
const LABELS: Table<LabelRecord> = Table::new("wallet-labels");

/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;

/// What a label stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// A transaction of the wallet.
    Transaction(Txid),
    /// An output.
    Output(OutPoint),
    /// An address.
    Address(Address),
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Labels that were taken.
    pub taken: u64,
    /// Labels of transactions that this wallet does not have, and of kinds that it does not keep.
    pub skipped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelRecord {
    label: String,
    /// The name, as people write it.
    name: String,
}

impl_writeable_tlv_based!(LabelRecord, {
    (0, label, required),
    (2, name, required),
});
record!(LabelRecord, kind = 75, version = 1);

/// A line of BIP 329; members that are not read here are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    r#type: String,
    r#ref: String,
    #[serde(default)]
    label: String,
}

impl Wallet {
    /// Sets a label, or takes it away with an empty one; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a transaction of somebody else, [`Error::Store`].
    pub async fn set_label(&self, of: &Labelled, label: String) -> Result<(), Error> {
        let mut batch = Batch::new();
        self.put_label(of, label, &mut batch)?;
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Returns a transaction's label; empty where it has none.
    pub(in crate::wallet) fn label(&self, txid: Txid) -> Result<String, Error> {
        let record = TRANSACTIONS.get(self.store(), &txid.to_byte_array())?;
        Ok(record.map(|record| record.label).unwrap_or_default())
    }

    /// Returns all labels, a line of JSON each (BIP 329).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn export_labels(&self) -> Result<String, Error> {
        let mut text = String::new();
        let mut add = |kind: &str, name: String, label: String| {
            let line = Line { r#type: kind.to_owned(), r#ref: name, label };
            text.push_str(&serde_json::to_string(&line).expect("texts always have a JSON form"));
            text.push('\n');
        };
        TRANSACTIONS.visit(self.store(), |_, record| {
            if !record.label.is_empty() {
                add("tx", record.txid.to_string(), record.label);
            }
            ControlFlow::Continue(())
        })?;
        for (key, LabelRecord { label, name }) in LABELS.all(self.store())? {
            let kind = if key.first() == Some(&b'o') { "output" } else { "addr" };
            add(kind, name, label);
        }
        Ok(text)
    }

    /// Takes labels over that stand as lines of BIP 329, all of them or none; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Argument`] with the line that cannot be read, [`Error::Store`].
    pub async fn import_labels(&self, text: &str) -> Result<Imported, Error> {
        let mut batch = Batch::new();
        let mut imported = Imported::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let refuse = |why: String| Error::Argument("labels", format!("line {number}: {why}"));
            let line: Line = serde_json::from_str(line)
                .map_err(|error| refuse(format!("is not a label of BIP 329: {error}")))?;
            if line.label.len() > MAX_LABEL_BYTES {
                let length = line.label.len();
                return Err(refuse(format!("{length} bytes are more than {MAX_LABEL_BYTES}")));
            }
            let Some(of) = self.labelled(&line).map_err(refuse)? else {
                imported.skipped += 1;
                continue;
            };
            match self.put_label(&of, line.label, &mut batch) {
                Ok(()) => imported.taken += 1,
                Err(Error::Unknown(_)) => imported.skipped += 1,
                Err(error) => return Err(error),
            }
        }
        self.store().commit(batch).await?;
        Ok(imported)
    }

    fn put_label(&self, of: &Labelled, label: String, batch: &mut Batch) -> Result<(), Error> {
        let (key, name) = match of {
            Labelled::Transaction(txid) => {
                let id = txid.to_byte_array();
                let Some(record) = TRANSACTIONS.get(self.store(), &id)? else {
                    return Err(Error::Unknown(format!("the transaction {txid}")));
                };
                TRANSACTIONS.update(batch, &id, &TransactionRecord { label, ..record });
                return Ok(());
            }
            Labelled::Output(outpoint) => {
                ([&b"o"[..], &encode::serialize(outpoint)].concat(), outpoint.to_string())
            }
            Labelled::Address(address) => {
                ([&b"a"[..], address.script_pubkey().as_bytes()].concat(), address.to_string())
            }
        };
        match label.is_empty() {
            true => LABELS.delete(batch, &key),
            false => LABELS.put(batch, &key, &LabelRecord { label, name }),
        }
        Ok(())
    }

    /// What a line is about; none for a kind that this wallet does not keep.
    fn labelled(&self, line: &Line) -> Result<Option<Labelled>, String> {
        let name = &line.r#ref;
        let wrong = |what: &str| format!("{name} is not {what}");
        Ok(Some(match line.r#type.as_str() {
            "tx" => {
                Labelled::Transaction(Txid::from_str(name).map_err(|_| wrong("a transaction id"))?)
            }
            "output" => Labelled::Output(OutPoint::from_str(name).map_err(|_| wrong("an output"))?),
            "addr" => {
                let address = Address::from_str(name).map_err(|_| wrong("an address"))?;
                let network = self.network();
                let address = address.require_network(network);
                Labelled::Address(address.map_err(|_| wrong("an address of this network"))?)
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Record as _;

    #[test]
    fn the_first_version_stays_readable() {
        let stored = [&[14, 0, 5, 0, 3][..], b"abc", &[2, 5, 0, 3], b"x:0"].concat();
        let known = LabelRecord { label: "abc".to_owned(), name: "x:0".to_owned() };
        assert_eq!(LabelRecord::decode(1, &stored).expect("reads"), known);
        assert_eq!(known.encode(), stored);
    }
}
