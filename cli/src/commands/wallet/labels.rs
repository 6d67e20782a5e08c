//! `fulmen wallet label …`: your own words for transactions, outputs and addresses.
use std::path::PathBuf;

use clap::{Args, Subcommand};
use fulmen_proto::v1::set_label_request::Of;
use fulmen_proto::v1::{ExportLabelsRequest, ImportLabelsRequest, SetLabelRequest};

use crate::failure::Failure;
use crate::format::human;
use crate::ids::{Coin, TxId};
use crate::session::Session;

/// Commands about labels.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Set a label
    Set(Set),
    /// Print all labels as other wallets read them (BIP 329)
    Export(Export),
    /// Take over the labels of another wallet (BIP 329)
    Import(Import),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Set(command) => command.run(session).await,
            Self::Export(command) => command.run(session).await,
            Self::Import(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Set {
    /// A transaction of the wallet (TXID), an output (TXID:VOUT) or an address
    of: String,
    /// Your words; empty takes the label away
    label: String,
}

impl Set {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = SetLabelRequest { of: Some(of(self.of)), label: self.label };
        let set = session.wallet().set_label(request).await?.into_inner();
        session.screen.show(&set, |_, _| "Done.\n".to_owned())
    }
}

fn of(text: String) -> Of {
    if let Ok(TxId(txid)) = text.parse() {
        return Of::Txid(txid);
    }
    match text.parse() {
        Ok(Coin(outpoint)) => Of::Outpoint(outpoint),
        Err(_) => Of::Address(text),
    }
}

#[derive(Debug, Args)]
pub struct Export {}

impl Export {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let labels = session.wallet().export_labels(ExportLabelsRequest {}).await?.into_inner();
        session.screen.show(&labels, |labels, _| labels.labels.clone())
    }
}

#[derive(Debug, Args)]
pub struct Import {
    /// A file with one label a line
    file: PathBuf,
}

impl Import {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let labels = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::failed(format!("{}: {error}", self.file.display())))?;
        let request = ImportLabelsRequest { labels };
        let imported = session.wallet().import_labels(request).await?.into_inner();
        session.screen.show(&imported, |imported, _| {
            let taken = human::count(imported.taken, "label", "labels");
            format!("Took {taken}, skipped {}.\n", imported.skipped)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_on_one_of_three_things() {
        let txid = "ab".repeat(32);
        assert!(matches!(of(txid.clone()), Of::Txid(_)));
        assert!(matches!(of(format!("{txid}:0")), Of::Outpoint(_)));
        assert!(matches!(of("bc1q".to_owned()), Of::Address(_)));
    }
}
