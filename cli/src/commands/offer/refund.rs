//! `fulmen refund …`: giving money back with a text, and taking it.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{GiveRefundRequest, RedeemRefundRequest};

use crate::amount::SomeMsat;
use crate::commands::invoice;
use crate::commands::options::limits::Limits;
use crate::failure::Failure;
use crate::render::{invoices, now, offers};
use crate::session::Session;
use crate::units::Span;

/// Commands about refunds.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Make a refund: a text whose bearer can ask for the money, once
    Create(Give),
    /// Ask for the money of somebody's refund
    Redeem(Redeem),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::Redeem(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Give {
    /// What its bearer gets: 1000sat
    amount: SomeMsat,
    /// What it is for; its bearer reads it
    #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    /// How long it can be redeemed: 24h [default: a day]
    #[arg(long, value_name = "TIME")]
    expiry: Option<Span>,
    /// A note of your own, kept with the payment
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
    /// The same key again returns the first refund
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    #[command(flatten)]
    limits: Limits,
}

impl Give {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let SomeMsat(amount_msat) = self.amount;
        let request = GiveRefundRequest {
            amount_msat,
            description: self.description,
            expiry_secs: self.expiry.map_or(0, |expiry| expiry.secs.into()),
            limits: Some(self.limits.wire()),
            idempotency_key: self.idempotency_key,
            label: self.label,
        };
        let given = session.offers().give_refund(request).await?.into_inner();
        session.screen.show(&given, offers::refund)
    }
}

#[derive(Debug, Args)]
pub struct Redeem {
    /// The refund: lnr…
    refund: String,
    /// Do not wait until the money has come
    #[arg(long)]
    no_wait: bool,
}

impl Redeem {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = RedeemRefundRequest { refund: self.refund };
        let redeemed = session.offers().redeem_refund(request).await?.into_inner();
        match redeemed.invoice {
            Some(invoice) if !self.no_wait => invoice::watch(session, invoice.payment_hash).await,
            _ => session.screen.show(&redeemed, |redeemed, look| {
                let invoice = redeemed.invoice.as_ref();
                invoice.map_or_else(String::new, |it| invoices::show(it, now(), look))
            }),
        }
    }
}
