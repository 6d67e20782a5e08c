//! `fulmen invoice …`: asking for money, and what became of it.
use clap::{Args, Subcommand, ValueEnum};
use fulmen_proto::v1::create_invoice_request::Describe;
use fulmen_proto::v1::get_invoice_request::By;
use fulmen_proto::v1::invoice::State;
use fulmen_proto::v1::{
    CancelInvoiceRequest, CreateInvoiceRequest, DecodeInvoiceRequest, GetInvoiceRequest, Invoice,
    ListInvoicesRequest, NewAddressRequest, SettleInvoiceRequest, SubscribeReceivedRequest,
    WatchInvoiceRequest,
};

use super::options::filter::Filtering;
use super::options::paging;
use super::options::qr;
use crate::amount::MsatOrAny;
use crate::failure::Failure;
use crate::ids::{ChannelName, HashOrBolt11, Id32, bolt11, unhex};
use crate::render::{invoices, now};
use crate::session::Session;
use crate::units::Span;

/// Ask for money with `fulmen invoice AMOUNT`, or look after invoices with the commands below.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Group {
    #[command(subcommand)]
    command: Option<Commands>,
    #[command(flatten)]
    create: Option<Create>,
}

/// Commands about invoices.
#[derive(Debug, Subcommand)]
enum Commands {
    /// Make an invoice
    Create(Create),
    /// Show an invoice and what came in for it
    Show(Show),
    /// List the invoices and keysends received
    List(List),
    /// Claim the payment that a hold invoice has accepted
    Settle(Settle),
    /// Cancel an unpaid invoice, or give back what a hold invoice has accepted
    Cancel(Cancel),
    /// Wait until an invoice is paid, cancelled or expired
    Watch(Watch),
    /// Follow all that comes in: invoices, keysends, offers, refunds
    ///
    /// Without options it shows what comes in from now on, until Ctrl-C. A program that remembers the
    /// number of the last entry it has seen goes on with --after, misses nothing and gets nothing twice.
    Received(Received),
    /// Read an invoice without paying it
    Decode(Decode),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match (self.command, self.create) {
            (Some(Commands::Create(command)), _) | (None, Some(command)) => {
                command.run(session).await
            }
            (Some(Commands::Show(command)), _) => command.run(session).await,
            (Some(Commands::List(command)), _) => command.run(session).await,
            (Some(Commands::Settle(command)), _) => command.run(session).await,
            (Some(Commands::Cancel(command)), _) => command.run(session).await,
            (Some(Commands::Watch(command)), _) => command.run(session).await,
            (Some(Commands::Received(command)), _) => command.run(session).await,
            (Some(Commands::Decode(command)), _) => command.run(session).await,
            (None, None) => Err(Failure::new(crate::failure::Exit::Usage, "no amount is given")
                .advise("Write `fulmen invoice 1000sat`, or `fulmen invoice any`")),
        }
    }
}

/// Bytes as hex digits.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

fn bytes(text: &str) -> Result<Bytes, String> {
    unhex(text).map(Bytes).ok_or_else(|| "an even number of hex digits is expected".to_owned())
}

#[derive(Debug, Args)]
pub struct Create {
    /// How much to ask for: 1000sat, or `any` to leave it to the payer
    amount: MsatOrAny,
    /// What it is for; the payer reads it (at most 639 bytes)
    #[arg(long, short, value_name = "TEXT")]
    description: Option<String>,
    /// SHA-256 of a longer description, instead of one
    #[arg(long, value_name = "HEX", conflicts_with = "description")]
    description_hash: Option<Id32>,
    /// How long it can be paid: 10m, 24h [default: as configured]
    #[arg(long, value_name = "TIME")]
    expiry: Option<Span>,
    /// A preimage of your own [default: a random one]
    #[arg(long, value_name = "HEX")]
    preimage: Option<Id32>,
    /// Make a hold invoice for this payment hash: payments wait until you settle or cancel it
    #[arg(long, value_name = "HEX", conflicts_with = "preimage")]
    hash: Option<Id32>,
    /// Blocks that the last HTLC must have left [default: the daemon's]
    #[arg(long, value_name = "BLOCKS", default_value_t = 0, hide_default_value = true)]
    min_final_cltv_delta: u32,
    /// Let payers find the node through this channel of yours; can be repeated [default: LDK's choice]
    #[arg(long = "hint", value_name = "CHANNEL", conflicts_with = "no_hints")]
    hints: Vec<ChannelName>,
    /// Name no channels
    #[arg(long)]
    no_hints: bool,
    /// An on-chain address that takes the payment, too, or `new` for a fresh one
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    fallback: String,
    /// What payers must send back with the payment (at most 512 bytes); not all software can
    #[arg(long, value_name = "HEX", value_parser = bytes)]
    metadata: Option<Bytes>,
    /// The same key again returns the first invoice
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    /// Wait until it is paid, cancelled or expired
    #[arg(long)]
    wait: bool,
    /// Also show a QR code, for a camera
    #[arg(long)]
    qr: bool,
}

impl Create {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let fallback_address = match self.fallback.as_str() {
            "new" => session.wallet().new_address(NewAddressRequest {}).await?.into_inner().address,
            _ => self.fallback,
        };
        let request = CreateInvoiceRequest {
            hint_channels: self.hints.into_iter().map(|ChannelName(channel)| channel).collect(),
            no_hints: self.no_hints,
            fallback_address,
            payment_metadata: self.metadata.map(|Bytes(bytes)| bytes).unwrap_or_default(),
            amount_msat: match self.amount {
                MsatOrAny::Msat(msat) => msat,
                MsatOrAny::Any => 0,
            },
            describe: match (self.description, self.description_hash) {
                (_, Some(Id32(hash))) => Some(Describe::DescriptionHash(hash)),
                (Some(text), None) => Some(Describe::Description(text)),
                (None, None) => None,
            },
            expiry_secs: self.expiry.map_or(0, |expiry| expiry.secs),
            preimage: self.preimage.map(|Id32(preimage)| preimage).unwrap_or_default(),
            min_final_cltv_expiry_delta: self.min_final_cltv_delta,
            idempotency_key: self.idempotency_key,
            payment_hash: self.hash.map(|Id32(hash)| hash).unwrap_or_default(),
        };
        let created = session.invoices().create(request).await?.into_inner();
        session.screen.show(&created, |created, look| {
            created.invoice.as_ref().map_or_else(String::new, |it| invoices::fresh(it, now(), look))
        })?;
        if let Some(invoice) = created.invoice.as_ref().filter(|_| self.qr) {
            qr::show(&session.screen, &invoice.bolt11)?;
        }
        match created.invoice {
            Some(invoice) if self.wait => watch(session, invoice.payment_hash).await,
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// Payment hash, or the invoice itself
    #[arg(value_name = "HASH|INVOICE")]
    invoice: HashOrBolt11,
}

impl Show {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let by = match self.invoice {
            HashOrBolt11::Hash(hash) => By::PaymentHash(hash),
            HashOrBolt11::Bolt11(text) => By::Bolt11(text),
        };
        let found = session.invoices().get(GetInvoiceRequest { by: Some(by) }).await?.into_inner();
        session.screen.show(&found, |found, look| shown(found.invoice.as_ref(), look))
    }
}

fn shown(invoice: Option<&Invoice>, look: crate::render::Look) -> String {
    invoice.map_or_else(String::new, |invoice| invoices::show(invoice, now(), look))
}

/// The states to list by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnlyState {
    Open,
    Accepted,
    Claiming,
    Settled,
    Cancelled,
    Expired,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state
    #[arg(long)]
    state: Option<OnlyState>,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let state = match self.state {
            None => State::Unspecified,
            Some(OnlyState::Open) => State::Open,
            Some(OnlyState::Accepted) => State::Accepted,
            Some(OnlyState::Claiming) => State::Claiming,
            Some(OnlyState::Settled) => State::Settled,
            Some(OnlyState::Cancelled) => State::Cancelled,
            Some(OnlyState::Expired) => State::Expired,
        };
        let mut client = session.invoices();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let request = ListInvoicesRequest {
                page: Some(page),
                state: state.into(),
                filter: filter.clone(),
                ..ListInvoicesRequest::default()
            };
            client.list(request).await
        };
        paging::show(&session.screen, &self.paging, fetch, invoices::list).await
    }
}

/// The payment hash, which may be given by the invoice's text.
pub async fn hash_of(session: &Session, invoice: HashOrBolt11) -> Result<Vec<u8>, Failure> {
    match invoice {
        HashOrBolt11::Hash(hash) => Ok(hash),
        HashOrBolt11::Bolt11(bolt11) => {
            let read = session.invoices().decode(DecodeInvoiceRequest { bolt11 }).await?;
            Ok(read.into_inner().payment_hash)
        }
    }
}

#[derive(Debug, Args)]
pub struct Settle {
    /// The preimage: 64 hex digits
    preimage: Id32,
    /// The payment hash: refuses a preimage of another one
    #[arg(long, value_name = "HEX")]
    hash: Option<Id32>,
    /// Do not wait until the money has arrived
    #[arg(long)]
    no_wait: bool,
}

impl Settle {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let Id32(preimage) = self.preimage;
        let payment_hash = self.hash.map(|Id32(hash)| hash).unwrap_or_default();
        let request = SettleInvoiceRequest { preimage, payment_hash };
        let settled = session.invoices().settle(request).await?.into_inner();
        match settled.invoice {
            Some(invoice) if !self.no_wait => watch(session, invoice.payment_hash).await,
            _ => {
                session.screen.show(&settled, |settled, look| shown(settled.invoice.as_ref(), look))
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// Payment hash, or the invoice itself
    #[arg(value_name = "HASH|INVOICE")]
    invoice: HashOrBolt11,
}

impl Cancel {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let payment_hash = hash_of(session, self.invoice).await?;
        let request = CancelInvoiceRequest { payment_hash };
        let cancelled = session.invoices().cancel(request).await?.into_inner();
        session.screen.show(&cancelled, |cancelled, look| shown(cancelled.invoice.as_ref(), look))
    }
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Payment hash, or the invoice itself
    #[arg(value_name = "HASH|INVOICE")]
    invoice: HashOrBolt11,
}

impl Watch {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let payment_hash = hash_of(session, self.invoice).await?;
        watch(session, payment_hash).await
    }
}

/// Ends well only if the money came.
pub async fn watch(session: &Session, payment_hash: Vec<u8>) -> Result<(), Failure> {
    let screen = &session.screen;
    let progress = screen.progress("waiting for the payment");
    let request = WatchInvoiceRequest { payment_hash };
    let mut stream = session.invoices().watch(request).await?.into_inner();
    let mut last = None;
    while let Some(invoice) = stream.message().await? {
        progress.doing(invoices::waiting(&invoice));
        if screen.json {
            screen.show_next(&invoice, |_, _| String::new())?;
        }
        last = Some(invoice);
    }
    drop(progress);
    let Some(invoice) = last else {
        return Err(Failure::failed("the daemon ended the stream without a state"));
    };
    if !screen.json {
        screen.show_next(&invoice, |invoice, look| invoices::show(invoice, now(), look))?;
    }
    match invoice.state() {
        State::Settled => Ok(()),
        state => Err(Failure::failed(format!("not paid: {}", invoices::state(state)))),
    }
}

#[derive(Debug, Args)]
pub struct Received {
    /// Begin after this entry's number; 0 for all that is kept
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// End at the last entry there is instead of waiting (from the beginning, without --after)
    #[arg(long)]
    until_now: bool,
}

impl Received {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = SubscribeReceivedRequest {
            after_index: self.after.unwrap_or(0),
            from_now: self.after.is_none() && !self.until_now,
            until_now: self.until_now,
        };
        let mut stream = session.invoices().subscribe_received(request).await?.into_inner();
        while let Some(received) = stream.message().await? {
            session.screen.show_next(&received, invoices::received)?;
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Decode {
    /// The invoice
    #[arg(value_parser = bolt11)]
    invoice: String,
}

impl Decode {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = DecodeInvoiceRequest { bolt11: self.invoice };
        let decoded = session.invoices().decode(request).await?.into_inner();
        session.screen.show(&decoded, |decoded, look| invoices::decoded(decoded, now(), look))
    }
}
