//! `fulmen wallet …`: on-chain money.
use clap::{Args, Subcommand};
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{
    GetFeeratesRequest, GetWalletBalanceRequest, ListTransactionsRequest, ListUnspentRequest,
    NewAddressRequest, WalletSendRequest,
};

use super::options::filter::Filtering;
use super::options::paging;
use super::options::qr;
use crate::amount::SatOrAll;
use crate::failure::Failure;
use crate::format::human;
use crate::render::wallet;
use crate::session::Session;
use crate::units::Feerate;

/// Commands about on-chain money.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// A fresh address to receive with
    Address(Address),
    /// Send an amount, or all, to an address
    Send(Send),
    /// The on-chain balance, with what is reserved for closing channels
    Balance(Balance),
    /// List the wallet's transactions
    List(List),
    /// List the unspent outputs
    Utxos(Utxos),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Address(command) => command.run(session).await,
            Self::Send(command) => command.run(session).await,
            Self::Balance(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Utxos(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Address {
    /// Also show a QR code, for a camera
    #[arg(long)]
    qr: bool,
}

impl Address {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let address = session.wallet().new_address(NewAddressRequest {}).await?.into_inner();
        session.screen.show(&address, |fresh, _| fresh.address.clone())?;
        if self.qr { qr::show(&session.screen, &address.address) } else { Ok(()) }
    }
}

/// A transaction without inputs and with one output, and an input of a wallet of taproot outputs.
const OVERHEAD_VBYTES: u64 = 54;
const INPUT_VBYTES: u64 = 58;

#[derive(Debug, Args)]
pub struct Send {
    /// Where to
    address: String,
    /// How much: 50sat, 0.1btc, or `all` that is not reserved for closing channels
    amount: SatOrAll,
    /// Feerate in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB")]
    feerate: Option<Feerate>,
    /// A note of your own, kept with the transaction
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
    /// The same key again never sends twice
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    /// Do not ask; needed where nobody is at a terminal
    #[arg(long, short)]
    yes: bool,
}

impl Send {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let amount = match self.amount {
            SatOrAll::Sat(sat) => Amount::AmountSat(sat),
            SatOrAll::All => Amount::All(true),
        };
        if !self.yes {
            let question = self.question(session).await?;
            session.screen.confirm_unless(false, &question)?;
        }
        let request = WalletSendRequest {
            address: self.address,
            amount: Some(amount),
            feerate_msat_per_vb: self.feerate.map_or(0, |feerate| feerate.msat_per_vb),
            idempotency_key: self.idempotency_key,
            label: self.label,
        };
        let sent = session.wallet().send(request).await?.into_inner();
        session.screen.show(&sent, wallet::sent)
    }

    /// With the amount, and with about what the fee will be where all is sent.
    async fn question(&self, session: &Session) -> Result<String, Failure> {
        let SatOrAll::All = self.amount else {
            let SatOrAll::Sat(sat) = self.amount else { unreachable!("an amount or all") };
            return Ok(format!("Send {} to {}?", human::sat(sat), self.address));
        };
        let balance = session.wallet().get_balance(GetWalletBalanceRequest {}).await?.into_inner();
        let outputs =
            session.wallet().list_unspent(ListUnspentRequest::default()).await?.into_inner();
        let per_vb = match self.feerate {
            Some(feerate) => Some(feerate.msat_per_vb),
            None => {
                let known = session.node().get_feerates(GetFeeratesRequest {}).await?.into_inner();
                let ours = known.feerates.iter().find(|known| known.target == "wallet_send");
                ours.map(|known| known.feerate_msat_per_vb)
            }
        };
        let fee = per_vb.map_or_else(String::new, |msat_per_vb| {
            let vbytes = OVERHEAD_VBYTES + INPUT_VBYTES * outputs.utxos.len() as u64;
            format!(", less a fee of at most about {}", human::sat(vbytes * msat_per_vb / 1_000))
        });
        let all = human::sat(balance.spendable_sat);
        Ok(format!("Send everything that is not reserved, {all}{fee}, to {}?", self.address))
    }
}

#[derive(Debug, Args)]
pub struct Balance {}

impl Balance {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let balance = session.wallet().get_balance(GetWalletBalanceRequest {}).await?.into_inner();
        session.screen.show(&balance, wallet::balance)
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those in a block
    #[arg(long, conflicts_with = "unconfirmed")]
    confirmed: bool,
    /// Only those that are in no block yet
    #[arg(long)]
    unconfirmed: bool,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.wallet();
        let filter = self.filtering.wire();
        let confirmed = (self.confirmed || self.unconfirmed).then_some(self.confirmed);
        let fetch = async |page| {
            let (page, filter) = (Some(page), filter.clone());
            client.list_transactions(ListTransactionsRequest { page, confirmed, filter }).await
        };
        paging::show(&session.screen, &self.paging, fetch, wallet::transactions).await
    }
}

#[derive(Debug, Args)]
pub struct Utxos {
    /// Only those with at least this many confirmations
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    min_confirmations: u32,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Whole,
}

impl Utxos {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.wallet();
        let filter = self.filtering.wire();
        let min_confirmations = self.min_confirmations;
        let fetch = async |page| {
            let (page, filter) = (Some(page), filter.clone());
            client.list_unspent(ListUnspentRequest { page, min_confirmations, filter }).await
        };
        paging::show(&session.screen, &self.paging.into(), fetch, wallet::utxos).await
    }
}
