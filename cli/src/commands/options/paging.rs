//! Long lists, newest first, page by page.
use clap::Args;
use fulmen_proto::v1::{
    Channel, ClosedChannel, Event, Forward, Invoice, ListChannelsResponse,
    ListClosedChannelsResponse, ListEventsResponse, ListForwardsResponse, ListInvoicesResponse,
    ListMacaroonsResponse, ListOffersResponse, ListPaymentsResponse, ListPeersResponse,
    ListTransactionsResponse, ListUnspentResponse, Macaroon, Offer, PageRequest, Payment, Peer,
    Utxo, WalletTransaction,
};
use prost::{Message, Name};
use tonic::{Response, Status};

use super::names::names;
use crate::failure::Failure;
use crate::format::human;
use crate::ids::unhex;
use crate::render::{Look, Names, Screen};
use crate::session::Session;

/// The daemon refuses larger pages.
const MAX_PAGE: u32 = 1_000;

/// How much of a list to show.
#[derive(Debug, Args)]
pub struct Paging {
    /// At most this many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them (JSON: one object a page)
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where a list ended (`next_page_token` in JSON)
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    page: Option<Token>,
}

impl Paging {
    /// The newest `limit` entries.
    pub fn newest(limit: u32) -> Self {
        Self { limit, all: false, page: None }
    }
}

/// How much to show of a list that is short as a rule: all of it.
#[derive(Debug, Args)]
pub struct Whole {
    /// At most this many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Go on where a list ended (`next_page_token` in JSON)
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    page: Option<Token>,
}

impl From<Whole> for Paging {
    fn from(whole: Whole) -> Self {
        let Whole { limit, page } = whole;
        Self { limit: limit.unwrap_or(MAX_PAGE), all: limit.is_none(), page }
    }
}

#[derive(Debug, Clone)]
struct Token(Vec<u8>);

fn token(text: &str) -> Result<Token, String> {
    unhex(text).map(Token).ok_or_else(|| "a page token is hex digits".to_owned())
}

/// An answer that is one page of a list.
pub trait Paged: Message + Name + Default {
    /// What is listed.
    type Item;
    /// Takes the page apart: its items, and how to ask for the next page (empty at the end).
    fn split(self) -> (Vec<Self::Item>, Vec<u8>);
}

macro_rules! paged {
    ($($response:ident.$field:ident: $item:ident),* $(,)?) => { $(
        impl Paged for $response {
            type Item = $item;
            fn split(self) -> (Vec<$item>, Vec<u8>) {
                (self.$field, self.next_page_token)
            }
        }
    )* };
}

paged! {
    ListPaymentsResponse.payments: Payment,
    ListInvoicesResponse.invoices: Invoice,
    ListOffersResponse.offers: Offer,
    ListForwardsResponse.forwards: Forward,
    ListClosedChannelsResponse.channels: ClosedChannel,
    ListTransactionsResponse.transactions: WalletTransaction,
    ListChannelsResponse.channels: Channel,
    ListEventsResponse.events: Event,
    ListPeersResponse.peers: Peer,
    ListUnspentResponse.utxos: Utxo,
    ListMacaroonsResponse.macaroons: Macaroon,
}

/// Fetches as many pages as were asked for and shows them: JSON at once, a table at the end.
pub async fn show<R: Paged>(
    screen: &Screen,
    paging: &Paging,
    fetch: impl AsyncFnMut(PageRequest) -> Result<Response<R>, Status>,
    human: impl FnOnce(&[R::Item], Look) -> String,
) -> Result<(), Failure> {
    let (items, page_token) = fetched(screen, paging, fetch).await?;
    shown(screen, &human(&items, screen.look), &page_token)
}

/// [`show`] with the names of the nodes that `nodes` finds in each item.
pub async fn show_named<R: Paged>(
    session: &Session,
    paging: &Paging,
    fetch: impl AsyncFnMut(PageRequest) -> Result<Response<R>, Status>,
    nodes: impl Fn(&R::Item) -> Vec<Vec<u8>>,
    human: impl FnOnce(&[R::Item], &Names, Look) -> String,
) -> Result<(), Failure> {
    let screen = &session.screen;
    let (items, page_token) = fetched(screen, paging, fetch).await?;
    let names = names(session, items.iter().flat_map(nodes)).await;
    shown(screen, &human(&items, &names, screen.look), &page_token)
}

fn shown(screen: &Screen, text: &str, page_token: &[u8]) -> Result<(), Failure> {
    if screen.json {
        return Ok(());
    }
    screen.text(text)?;
    if !page_token.is_empty() {
        screen.note(&format!("There are more: --all, or --page {}", human::hex(page_token)));
    }
    Ok(())
}

/// Fetches as many pages as were asked for, and prints them as JSON where that is wanted: no items are returned then.
async fn fetched<R: Paged>(
    screen: &Screen,
    paging: &Paging,
    mut fetch: impl AsyncFnMut(PageRequest) -> Result<Response<R>, Status>,
) -> Result<(Vec<R::Item>, Vec<u8>), Failure> {
    let mut page_token = paging.page.clone().map(|Token(token)| token).unwrap_or_default();
    let mut wanted = if paging.all { u64::MAX } else { u64::from(paging.limit) };
    let mut items = Vec::new();
    loop {
        let page_size = u32::try_from(wanted).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let answer = fetch(PageRequest { page_size, page_token }).await?.into_inner();
        if screen.json {
            screen.show_next(&answer, |_, _| String::new())?;
        }
        let (page, next_page_token) = answer.split();
        wanted = wanted.saturating_sub(page.len() as u64);
        page_token = next_page_token;
        if !screen.json {
            items.extend(page);
        }
        if page_token.is_empty() || wanted == 0 {
            return Ok((items, page_token));
        }
    }
}
