//! `fulmen offer …`: asking for money again and again with one text.
pub mod refund;

use clap::{Args, Subcommand};
use fulmen_proto::v1::invoice::State;
use fulmen_proto::v1::{
    CreateOfferRequest, GetOfferRequest, ListInvoicesRequest, ListOffersRequest, Offer,
    SetOfferEnabledRequest,
};

use super::options::filter::Filtering;
use super::options::paging;
use super::options::qr;
use crate::amount::MsatOrAny;
use crate::failure::{Exit, Failure};
use crate::ids::Id32;
use crate::render::{Look, now, offers};
use crate::session::Session;
use crate::units::Span;

/// Make an offer with `fulmen offer AMOUNT`, or look after offers with the commands below.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Group {
    #[command(subcommand)]
    command: Option<Commands>,
    #[command(flatten)]
    create: Option<Create>,
}

/// Commands about offers.
#[derive(Debug, Subcommand)]
enum Commands {
    /// Make an offer: a text that can be paid any number of times
    Create(Create),
    /// Show an offer
    Show(Show),
    /// List the offers
    List(List),
    /// List what came in for an offer, and by whom
    Payments(Received),
    /// Refuse payers from now on
    Disable(Disable),
    /// Answer payers again
    Enable(Enable),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match (self.command, self.create) {
            (Some(Commands::Create(command)), _) | (None, Some(command)) => {
                command.run(session).await
            }
            (Some(Commands::Show(command)), _) => command.run(session).await,
            (Some(Commands::List(command)), _) => command.run(session).await,
            (Some(Commands::Payments(command)), _) => command.run(session).await,
            (Some(Commands::Disable(command)), _) => command.run(session).await,
            (Some(Commands::Enable(command)), _) => command.run(session).await,
            (None, None) => Err(Failure::new(Exit::Usage, "no amount is given")
                .advise("Write `fulmen offer 1000sat -d coffee`, or `fulmen offer any`")),
        }
    }
}

#[derive(Debug, Args)]
pub struct Create {
    /// What one item costs: 1000sat, or `any` to leave it to the payer
    amount: MsatOrAny,
    /// What it is for; needed where an amount is given
    #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    /// Who offers it, in words
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    issuer: String,
    /// Let one payment be for several items, at most so many; 0 for any number
    #[arg(long, value_name = "N")]
    quantity: Option<u64>,
    /// How long it can be paid: 24h [default: without end]
    #[arg(long, value_name = "TIME")]
    expiry: Option<Span>,
    /// The same key again returns the first offer
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    /// Also show a QR code, for a camera
    #[arg(long)]
    qr: bool,
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = CreateOfferRequest {
            amount_msat: match self.amount {
                MsatOrAny::Msat(msat) => msat,
                MsatOrAny::Any => 0,
            },
            description: self.description,
            issuer: self.issuer,
            max_quantity: self.quantity,
            expiry_secs: self.expiry.map_or(0, |expiry| expiry.secs.into()),
            idempotency_key: self.idempotency_key,
        };
        let created = session.offers().create(request).await?.into_inner();
        session.screen.show(&created, |created, look| {
            created.offer.as_ref().map_or_else(String::new, |it| offers::fresh(it, now(), look))
        })?;
        match created.offer.as_ref().filter(|_| self.qr) {
            Some(offer) => qr::show(&session.screen, &offer.offer),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// The offer's id
    #[arg(value_name = "OFFER_ID")]
    offer: Id32,
}

impl Show {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Id32(offer_id) = self.offer;
        let found = session.offers().get(GetOfferRequest { offer_id }).await?.into_inner();
        session.screen.show(&found, |found, look| shown(found.offer.as_ref(), look))
    }
}

fn shown(offer: Option<&Offer>, look: Look) -> String {
    offer.map_or_else(String::new, |offer| offers::show(offer, now(), look))
}

#[derive(Debug, Args)]
pub struct List {
    /// Also those that are disabled or have expired
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.offers();
        let only_enabled = !self.disabled;
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let filter = filter.clone();
            client.list(ListOffersRequest { page: Some(page), only_enabled, filter }).await
        };
        paging::show(&session.screen, &self.paging, fetch, offers::list).await
    }
}

#[derive(Debug, Args)]
pub struct Received {
    /// The offer's id
    #[arg(value_name = "OFFER_ID")]
    offer: Id32,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl Received {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Id32(offer_id) = self.offer;
        let mut client = session.invoices();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let state = State::Settled.into();
            let offer_id = offer_id.clone();
            let filter = filter.clone();
            client.list(ListInvoicesRequest { page: Some(page), state, offer_id, filter }).await
        };
        paging::show(&session.screen, &self.paging, fetch, offers::received).await
    }
}

#[derive(Debug, Args)]
pub struct Disable {
    /// The offer's id
    #[arg(value_name = "OFFER_ID")]
    offer: Id32,
}

impl Disable {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        set_enabled(session, self.offer, false).await
    }
}

#[derive(Debug, Args)]
pub struct Enable {
    /// The offer's id
    #[arg(value_name = "OFFER_ID")]
    offer: Id32,
}

impl Enable {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        set_enabled(session, self.offer, true).await
    }
}

async fn set_enabled(
    session: &Session,
    Id32(offer_id): Id32,
    enabled: bool,
) -> Result<(), Failure> {
    let request = SetOfferEnabledRequest { offer_id, enabled };
    let changed = session.offers().set_enabled(request).await?.into_inner();
    session.screen.show(&changed, |changed, look| shown(changed.offer.as_ref(), look))
}
