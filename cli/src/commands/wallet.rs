//! `fulmen wallet …`: on-chain money.
mod bump;
mod labels;
mod leases;
mod psbt;

use std::str::FromStr;

use clap::{Args, Subcommand};
use fulmen_proto::v1::wallet_output::Amount as OutputAmount;
use fulmen_proto::v1::wallet_send_request::Amount;
use fulmen_proto::v1::{
    GetFeeratesRequest, GetWalletBalanceRequest, ListTransactionsRequest, ListUnspentRequest,
    NewAddressRequest, WalletOutput, WalletSendRequest,
};

use super::options::filter::Filtering;
use super::options::paging;
use super::options::qr;
use crate::amount::SatOrAll;
use crate::failure::Failure;
use crate::format::human;
use crate::ids::Coin;
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
    /// Make an unconfirmed transaction dearer, so that it confirms sooner
    Bump(bump::Bump),
    /// Take an unconfirmed transaction back, by a dearer one that pays this wallet
    Cancel(bump::Cancel),
    /// Reserve a coin for an application, for some time
    Lease(leases::Lease),
    /// End a lease
    Release(leases::Release),
    /// List the leases
    Leases(leases::Leases),
    /// Set, export and import your own words for transactions, outputs and addresses
    #[command(subcommand)]
    Label(labels::Group),
    /// Partially signed transactions: choose coins, sign, put together, publish
    #[command(subcommand)]
    Psbt(psbt::Group),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Address(command) => command.run(session).await,
            Self::Send(command) => command.run(session).await,
            Self::Balance(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Utxos(command) => command.run(session).await,
            Self::Bump(command) => command.run(session).await,
            Self::Cancel(command) => command.run(session).await,
            Self::Lease(command) => command.run(session).await,
            Self::Release(command) => command.run(session).await,
            Self::Leases(command) => command.run(session).await,
            Self::Label(group) => group.run(session).await,
            Self::Psbt(group) => group.run(session).await,
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

/// A recipient: `ADDRESS=AMOUNT`, or `ADDRESS=all`.
#[derive(Debug, Clone, PartialEq)]
struct Payee(WalletOutput);

impl FromStr for Payee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a recipient: write ADDRESS=AMOUNT");
        let (address, amount) = text.rsplit_once('=').ok_or_else(wrong)?;
        let amount: SatOrAll = amount.parse().map_err(|error| format!("{error}"))?;
        let amount = Some(match amount {
            SatOrAll::Sat(sat) => OutputAmount::AmountSat(sat),
            SatOrAll::All => OutputAmount::All(true),
        });
        Ok(Self(WalletOutput { address: address.to_owned(), amount }))
    }
}

impl Payee {
    fn in_words(&self) -> String {
        let amount = match self.0.amount {
            Some(OutputAmount::AmountSat(sat)) => human::sat(sat),
            Some(OutputAmount::All(_)) | None => "all that is left".to_owned(),
        };
        format!(", {amount} to {}", self.0.address)
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
    /// One more recipient in the same transaction: ADDRESS=AMOUNT, ADDRESS=all; several times for several
    #[arg(long = "and", value_name = "ADDRESS=AMOUNT")]
    others: Vec<Payee>,
    /// Feerate in sat/vB [default: the daemon's estimate]
    #[arg(long, value_name = "SAT_PER_VB", conflicts_with = "target")]
    feerate: Option<Feerate>,
    /// Confirm within so many blocks, by the daemon's estimate [default: 6]
    #[arg(long, value_name = "BLOCKS", default_value_t = 0, hide_default_value = true)]
    target: u32,
    /// Spend this coin, TXID:VOUT, and no other; several times for several coins
    #[arg(long, value_name = "TXID:VOUT")]
    coins: Vec<Coin>,
    /// Spend only coins with so many confirmations
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    min_confirmations: u32,
    /// The recipient pays the fee, out of the amount
    #[arg(long, conflicts_with = "others")]
    subtract_fee: bool,
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
            outputs: self.others.into_iter().map(|Payee(output)| output).collect(),
            coins: self.coins.into_iter().map(|Coin(outpoint)| outpoint).collect(),
            min_confirmations: self.min_confirmations,
            subtract_fee: self.subtract_fee,
            target_blocks: self.target,
        };
        let sent = session.wallet().send(request).await?.into_inner();
        session.screen.show(&sent, wallet::sent)
    }

    /// With the amount, and with about what the fee will be where all is sent.
    async fn question(&self, session: &Session) -> Result<String, Failure> {
        let SatOrAll::All = self.amount else {
            let SatOrAll::Sat(sat) = self.amount else { unreachable!("an amount or all") };
            let more: String = self.others.iter().map(Payee::in_words).collect();
            return Ok(format!("Send {} to {}{more}?", human::sat(sat), self.address));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_an_address_and_an_amount() {
        let Payee(output) = "bc1q=500sat".parse().expect("well formed");
        assert_eq!(output.amount, Some(OutputAmount::AmountSat(500)));
        let payee: Payee = "bc1q=all".parse().expect("well formed");
        assert_eq!(payee.in_words(), ", all that is left to bc1q");
        for bad in ["", "bc1q", "bc1q=", "bc1q=5", "bc1q=0sat"] {
            assert!(Payee::from_str(bad).is_err(), "{bad}");
        }
    }
}
