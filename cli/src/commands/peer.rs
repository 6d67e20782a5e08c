//! `fulmen peer …`: connections to other nodes.
use clap::{Args, Subcommand};
use fulmen_proto::v1::{ConnectPeerRequest, DisconnectPeerRequest, ListPeersRequest, Peer};

use super::options::filter::Filtering;
use super::options::paging;
use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::ids::{NodeAt, NodeId};
use crate::render::peers;
use crate::session::Session;

/// Commands about connections.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Connect to a node, and remember its address
    Connect(Connect),
    /// Disconnect from a node, and forget its address unless there are channels with it
    Disconnect(Disconnect),
    /// List the peers, connected or remembered
    List(List),
}

impl Group {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Connect(command) => command.run(session).await,
            Self::Disconnect(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
        }
    }
}

#[derive(Debug, Args)]
pub struct Connect {
    /// The node: NODE_ID or NODE_ID@HOST:PORT (port 9735 if left out)
    #[arg(value_name = "NODE_ID[@HOST:PORT]")]
    node: NodeAt,
    /// Where it is [default: an address that is remembered or that gossip knows]
    #[arg(value_name = "HOST:PORT")]
    address: Option<String>,
}

impl Connect {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { node, address } = self;
        if address.is_some() && !node.address.is_empty() {
            return Err(Failure::new(Exit::Usage, "the address is given twice")
                .advise("Write NODE_ID@HOST:PORT, or NODE_ID HOST:PORT"));
        }
        let node_id = node.node_id.0;
        let progress = session.screen.progress("connecting");
        let request = ConnectPeerRequest {
            node_id: node_id.clone(),
            address: address.unwrap_or(node.address),
        };
        let connected = session.peers().connect(request).await?.into_inner();
        drop(progress);
        session.screen.show(&connected, |connected, _| {
            let how = if connected.newly_connected { "Connected" } else { "Already connected" };
            format!("{how} to {}", human::hex(&node_id))
        })
    }
}

#[derive(Debug, Args)]
pub struct Disconnect {
    /// The peer
    node_id: NodeId,
    /// Although there are channels with it (it will be connected again)
    #[arg(long)]
    force: bool,
}

impl Disconnect {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = DisconnectPeerRequest { node_id: self.node_id.0.clone(), force: self.force };
        let disconnected = session.peers().disconnect(request).await?.into_inner();
        session.screen.show(&disconnected, |_, _| {
            format!("Disconnected from {}", human::hex(&self.node_id.0))
        })
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those that are connected
    #[arg(long, conflicts_with = "away")]
    connected: bool,
    /// Only those that are not connected
    #[arg(long)]
    away: bool,
    #[command(flatten)]
    filtering: Filtering,
    #[command(flatten)]
    paging: paging::Whole,
}

impl List {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let connected = (self.connected || self.away).then_some(self.connected);
        let mut client = session.peers();
        let filter = self.filtering.wire();
        let fetch = async |page| {
            let (page, filter) = (Some(page), filter.clone());
            client.list(ListPeersRequest { page, connected, filter }).await
        };
        let node = |peer: &Peer| vec![peer.node_id.clone()];
        paging::show_named(session, &self.paging.into(), fetch, node, peers::list).await
    }
}
