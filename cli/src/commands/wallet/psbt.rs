//! `fulmen wallet psbt …`: partially signed transactions, in hexadecimal digits.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{FinalizePsbtRequest, FundPsbtRequest, PublishRequest, SignPsbtRequest};

use super::Payee;
use crate::failure::Failure;
use crate::ids::{Bytes, Coin};
use crate::render::wallet;
use crate::session::Session;
use crate::units::{Feerate, Span};

/// Commands about partially signed transactions (BIP 174).
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Choose coins for payments, and lease them
    Fund(Fund),
    /// Sign the inputs that are ours
    Sign(Sign),
    /// Put a transaction together whose inputs are all signed
    Finalize(Finalize),
    /// Publish a transaction
    Publish(Publish),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Fund(command) => command.run(session).await,
            Self::Sign(command) => command.run(session).await,
            Self::Finalize(command) => command.run(session).await,
            Self::Publish(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Fund {
    /// Who gets how much: ADDRESS=AMOUNT, ADDRESS=all
    #[arg(required = true, value_name = "ADDRESS=AMOUNT")]
    payees: Vec<Payee>,
    /// Feerate in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB")]
    feerate: Option<Feerate>,
    /// Spend this coin, TXID:VOUT, and no other; several times for several coins
    #[arg(long, value_name = "TXID:VOUT")]
    coins: Vec<Coin>,
    /// Spend only coins with so many confirmations
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    min_confirmations: u32,
    /// How long the coins are leased: 10m, 24h [default: 10m]
    #[arg(long, value_name = "SPAN")]
    lease: Option<Span>,
}

impl Fund {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = FundPsbtRequest {
            outputs: self.payees.into_iter().map(|Payee(output)| output).collect(),
            coins: self.coins.into_iter().map(|Coin(outpoint)| outpoint).collect(),
            min_confirmations: self.min_confirmations,
            feerate_msat_per_vb: self.feerate.map_or(0, |feerate| feerate.msat_per_vb),
            lease_secs: self.lease.map_or(0, |span| span.secs.into()),
            ..FundPsbtRequest::default()
        };
        let funded = session.wallet().fund_psbt(request).await?.into_inner();
        session.screen.show(&funded, wallet::funded_psbt)
    }
}

#[derive(Debug, Args)]
pub struct Sign {
    /// The PSBT
    psbt: Bytes,
}

impl Sign {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = SignPsbtRequest { psbt: self.psbt.0 };
        let signed = session.wallet().sign_psbt(request).await?.into_inner();
        session.screen.show(&signed, wallet::signed_psbt)
    }
}

#[derive(Debug, Args)]
pub struct Finalize {
    /// The PSBT
    psbt: Bytes,
}

impl Finalize {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = FinalizePsbtRequest { psbt: self.psbt.0 };
        let whole = session.wallet().finalize_psbt(request).await?.into_inner();
        session.screen.show(&whole, wallet::finalized_psbt)
    }
}

#[derive(Debug, Args)]
pub struct Publish {
    /// The transaction
    transaction: Bytes,
    /// A note of your own, kept with the transaction
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
}

impl Publish {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = PublishRequest { transaction: self.transaction.0, label: self.label };
        let published = session.wallet().publish(request).await?.into_inner();
        session.screen.show(&published, wallet::published)
    }
}
