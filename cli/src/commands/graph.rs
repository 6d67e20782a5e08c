//! `fulmen graph …`: the network known from gossip.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{GetGraphChannelRequest, GetGraphNodeRequest, SummarizeGraphRequest};

use super::liquidity;
use super::pay::given::BuildRoute;
use super::route::{Estimate, Route};
use crate::failure::Failure;
use crate::ids::{NodeId, ShortChannelId};
use crate::render::{graph, now};
use crate::session::Session;

/// Commands about the network.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Show a node with its channels
    Node(Node),
    /// Show a channel with the policies of both sides
    Channel(Channel),
    /// Counts and total capacity
    Summary(Summary),
    /// Find the route that a payment would try first; nothing is sent
    Route(Route),
    /// Build the cheapest route over given nodes; nothing is sent
    BuildRoute(BuildRoute),
    /// What a payment may cost, how long it may lock the money, and how likely it arrives at once
    Estimate(Estimate),
    /// What payments have taught about other nodes' channels: export, import, reset
    #[command(subcommand)]
    Liquidity(liquidity::Group),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Node(command) => command.run(session).await,
            Self::Channel(command) => command.run(session).await,
            Self::Summary(command) => command.run(session).await,
            Self::Route(command) => command.run(session).await,
            Self::BuildRoute(command) => command.run(session).await,
            Self::Estimate(command) => command.run(session).await,
            Self::Liquidity(group) => group.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Node {
    /// The node
    node_id: NodeId,
}

impl Node {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = GetGraphNodeRequest { node_id: self.node_id.0 };
        let node = session.graph().get_node(request).await?.into_inner();
        session.screen.show(&node, |node, look| graph::node(node, now(), look))
    }
}

#[derive(Debug, Args)]
pub struct Channel {
    /// The short channel id: 539x1x0
    short_channel_id: ShortChannelId,
}

impl Channel {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = GetGraphChannelRequest { short_channel_id: self.short_channel_id.0 };
        let found = session.graph().get_channel(request).await?.into_inner();
        session.screen.show(&found, |found, look| {
            found.channel.as_ref().map_or_else(String::new, |it| graph::channel(it, now(), look))
        })
    }
}

#[derive(Debug, Args)]
pub struct Summary {}

impl Summary {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let summary = session.graph().summarize(SummarizeGraphRequest {}).await?.into_inner();
        session.screen.show(&summary, graph::summary)
    }
}
