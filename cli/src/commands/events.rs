//! `fulmen events`: what happens, as it happens or from any point of the past.
use clap::{Args, ValueEnum};
use fulmen_proto::v1::event::Kind;
use fulmen_proto::v1::{ListEventsRequest, SubscribeEventsRequest};

use super::options::filter::Filtering;
use super::options::paging::{self, Paging};
use crate::failure::Failure;
use crate::render::events;
use crate::session::Session;

#[derive(Debug, Args)]
pub struct Events {
    /// Begin after this event's number; 0 for all that is kept
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// End where the journal ends instead of waiting (from the beginning, without --after)
    #[arg(long)]
    until_now: bool,
    /// Show the last events instead of following them
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["after", "until_now"]
    )]
    last: Option<u32>,
    /// Only events of this kind; can be repeated
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<OnlyKind>,
    #[command(flatten)]
    filtering: Filtering,
}

/// The kinds to ask for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnlyKind {
    PaymentStarted,
    PaymentFinished,
    InvoiceCreated,
    InvoiceAccepted,
    InvoiceSettled,
    InvoiceCancelled,
    InvoiceExpired,
    HtlcRefused,
    ForwardSettled,
    ForwardFailed,
    ChannelOpening,
    ChannelReady,
    ChannelClosed,
    OutputSwept,
    WalletSent,
    WalletReceived,
    PeerConnected,
    PeerDisconnected,
    /// Somebody used a macaroon to change money, channels or access
    MacaroonUsed,
    MirrorFailed,
    MirrorCaughtUp,
}

impl OnlyKind {
    fn wire(self) -> Kind {
        match self {
            Self::PaymentStarted => Kind::PaymentStarted,
            Self::PaymentFinished => Kind::PaymentFinished,
            Self::InvoiceCreated => Kind::InvoiceCreated,
            Self::InvoiceAccepted => Kind::InvoiceAccepted,
            Self::InvoiceSettled => Kind::InvoiceSettled,
            Self::InvoiceCancelled => Kind::InvoiceCancelled,
            Self::InvoiceExpired => Kind::InvoiceExpired,
            Self::HtlcRefused => Kind::HtlcRefused,
            Self::ForwardSettled => Kind::ForwardSettled,
            Self::ForwardFailed => Kind::ForwardFailed,
            Self::ChannelOpening => Kind::ChannelOpening,
            Self::ChannelReady => Kind::ChannelReady,
            Self::ChannelClosed => Kind::ChannelClosed,
            Self::OutputSwept => Kind::OutputSwept,
            Self::WalletSent => Kind::WalletSent,
            Self::WalletReceived => Kind::WalletReceived,
            Self::PeerConnected => Kind::PeerConnected,
            Self::PeerDisconnected => Kind::PeerDisconnected,
            Self::MacaroonUsed => Kind::MacaroonUsed,
            Self::MirrorFailed => Kind::MirrorFailed,
            Self::MirrorCaughtUp => Kind::MirrorCaughtUp,
        }
    }
}

impl Events {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let kinds: Vec<i32> = self.kinds.iter().map(|kind| kind.wire().into()).collect();
        let filter = self.filtering.wire();
        let mut client = session.events();
        if let Some(last) = self.last {
            let fetch = async |page| {
                let (page, filter, kinds) = (Some(page), filter.clone(), kinds.clone());
                client.list(ListEventsRequest { page, filter, kinds }).await
            };
            let paging = Paging::newest(last);
            return paging::show(&session.screen, &paging, fetch, events::list).await;
        }
        let request = SubscribeEventsRequest {
            after_sequence: self.after.unwrap_or(0),
            from_now: self.after.is_none() && !self.until_now,
            until_now: self.until_now,
            filter,
            kinds,
        };
        let mut stream = client.subscribe(request).await?.into_inner();
        while let Some(event) = stream.message().await? {
            session.screen.show_next(&event, events::line)?;
        }
        Ok(())
    }
}
