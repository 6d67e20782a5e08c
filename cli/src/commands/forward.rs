//! `fulmen forward …`: what passed through the node, and what it earned.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{Forward, ListForwardsRequest, SummarizeForwardsRequest};

use super::options::filter::Filtering;
use super::options::names;
use super::options::paging;
use crate::failure::Failure;
use crate::render::forwards;
use crate::session::Session;

/// Commands about forwarded payments.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// List the settled forwards, the newest first
    List(List),
    /// Totals, and the same by channel
    Summary(Summary),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Summary(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Paging,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut client = session.forwards();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            client.list(ListForwardsRequest { page: Some(page), filter: filter.clone() }).await
        };
        let peers = |forward: &Forward| {
            vec![forward.inbound_node_id.clone(), forward.outbound_node_id.clone()]
        };
        paging::show_named(session, &self.paging, fetch, peers, forwards::list).await
    }
}

#[derive(Debug, Args)]
pub struct Summary {}

impl Summary {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let summary = session.forwards().summarize(SummarizeForwardsRequest {}).await?;
        let summary = summary.into_inner();
        let peers = summary.channels.iter().map(|channel| channel.node_id.clone());
        let names = names::names(session, peers).await;
        session.screen.show(&summary, |summary, look| forwards::summary(summary, &names, look))
    }
}
