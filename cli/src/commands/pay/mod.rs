//! `fulmen pay WHAT`: anything that can be paid over Lightning.
pub mod attempts;
pub mod decode;
pub mod given;
pub mod group;
mod route_text;

use clap::Args;
use fulmen_proto::v1::decode_response::What;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{CustomRecord, DecodeResponse, FindRouteRequest, PayRequest, RouteTarget};

use super::options::constraints::Constraints;
use super::options::limits::Limits;
use super::options::names;
use super::payment::{Handling, follow, refuse_if_paid};
use crate::amount::SomeMsat;
use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::ids::{Record, payable};
use crate::render::{now, payable as render, routes};
use crate::session::Session;

#[derive(Debug, Args)]
pub struct Pay {
    /// An invoice, an offer, a bitcoin: URI, user@domain, or a node id
    #[arg(value_name = "WHAT", value_parser = payable)]
    to: String,
    /// How much, where this is left to you (or more than is asked for)
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<SomeMsat>,
    /// How many items of an offer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    quantity: Option<u64>,
    /// A note that the payee of an offer reads
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// A custom record for a node that is paid by its id; can be repeated
    #[arg(long, value_name = "TYPE=HEX")]
    record: Vec<Record>,
    /// Show the way, the fee and the chance, and pay nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    handling: Handling,
    #[command(flatten)]
    constraints: Constraints,
}

impl Pay {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let amount_msat = self.amount.map_or(0, |SomeMsat(msat)| msat);
        if self.dry_run {
            return self.show_way(session, amount_msat).await;
        }
        if !self.handling.yes && session.screen.has_someone_to_ask() {
            self.ask(session, amount_msat).await?;
        }
        let given = self.constraints.given();
        let progress = session.screen.progress("paying");
        let record = |Record { kind, value }| CustomRecord { r#type: kind, value };
        let request = PayRequest {
            to: self.to,
            amount_msat,
            limits: Some(self.limits.wire()),
            idempotency_key: self.handling.idempotency_key,
            label: self.handling.label,
            constraints: self.constraints.wire()?,
            quantity: self.quantity.unwrap_or(0),
            payer_note: self.note,
            custom_records: self.record.into_iter().map(record).collect(),
            ..PayRequest::default()
        };
        let stream = session.payments().pay(request).await;
        let stream = stream.map_err(|status| given.advise(status.into()))?.into_inner();
        follow(session, stream, progress).await.map_err(|failure| given.advise(failure))
    }

    /// Says what was understood, and asks.
    async fn ask(&self, session: &Session, amount_msat: u64) -> Result<(), Failure> {
        let read = decode::decode(session, &self.to).await?;
        if let Some(What::Invoice(invoice)) = &read.what {
            refuse_if_paid(session, &invoice.payment_hash).await?;
        }
        let amount_msat = match (amount_msat, asked_msat(&read, self.quantity.unwrap_or(1))?) {
            (0, 0) => {
                return Err(Failure::new(Exit::Usage, "the amount is left to you")
                    .advise("Give it with --amount: --amount 1000sat"));
            }
            (0, asked) => asked,
            (given, _) => given,
        };
        let max_fee_msat = self.limits.bounds.max_fee_msat();
        let look = session.screen.look;
        session.screen.note(&render::proposal(&read, amount_msat, max_fee_msat, now(), look));
        session.screen.confirm(&format!("Pay {}?", human::msat(amount_msat)))
    }

    async fn show_way(self, session: &Session, amount_msat: u64) -> Result<(), Failure> {
        let read = decode::decode(session, &self.to).await?;
        asked_msat(&read, 1)?;
        let by = match &read.what {
            Some(What::Invoice(invoice)) => By::Bolt11(invoice.bolt11.clone()),
            Some(What::NodeId(node_id)) => By::NodeId(node_id.clone()),
            // The way to the payee of an offer is known only with the invoice, which only a payment asks for.
            _ => return session.screen.show(&read, |read, look| render::read(read, now(), look)),
        };
        let request = FindRouteRequest {
            amount_msat: if amount_msat == 0 { read.amount_msat } else { amount_msat },
            to: Some(RouteTarget { by: Some(by) }),
            source: Vec::new(),
            limits: Some(self.limits.wire()),
            constraints: self.constraints.wire()?,
        };
        let found = session.graph().find_route(request).await?.into_inner();
        let names = names::names(session, found.route.iter().flat_map(routes::nodes)).await;
        session.screen.show(&found, |found, look| {
            let way = found.route.as_ref().map(|route| routes::route(route, &names, look));
            format!("{}\n{}", render::read(&read, now(), look), way.unwrap_or_default())
        })
    }
}

/// What is asked for, in millisatoshis; 0 where it is left to the payer.
fn asked_msat(read: &DecodeResponse, quantity: u64) -> Result<u64, Failure> {
    match &read.what {
        Some(What::Invoice(invoice)) => Ok(first_msat(invoice.amount_msat, read.amount_msat)),
        Some(What::Offer(offer)) => {
            let price_msat = offer.amount_msat.saturating_mul(quantity.max(1));
            Ok(first_msat(price_msat, read.amount_msat))
        }
        Some(What::NodeId(_)) => Ok(0),
        Some(What::Refund(_)) => {
            Err(Failure::new(Exit::Usage, "this is a refund: it gives you money")
                .advise("Ask for it with `fulmen refund redeem`"))
        }
        Some(What::OnchainAddress(address)) => {
            Err(Failure::new(Exit::Usage, "this is paid on chain only")
                .advise(format!("Pay it with `fulmen send {address} AMOUNT`")))
        }
        None => Err(Failure::failed("the daemon understands what this fulmen does not know")),
    }
}

fn first_msat(own_msat: u64, uri_msat: u64) -> u64 {
    if own_msat > 0 { own_msat } else { uri_msat }
}
