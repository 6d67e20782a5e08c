//! `fulmen graph build-route` and `fulmen payment send-route`: routes that the payer names.
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{BuildRouteRequest, Route, RouteTarget, SendToRouteRequest};

use super::route_text;
use crate::amount::SomeMsat;
use crate::commands::options::limits::Bounds;
use crate::commands::options::names;
use crate::commands::payment::{Handling, follow};
use crate::failure::{Exit, Failure};
use crate::format::human;
use crate::ids::{NodeId, NodeOrBolt11, ShortChannelId};
use crate::render::routes;
use crate::session::Session;

#[derive(Debug, Args)]
pub struct BuildRoute {
    /// The nodes, from the peer of the first channel to the payee
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<NodeId>,
    /// How much arrives; may be left to an invoice
    #[arg(long)]
    amount: Option<SomeMsat>,
    /// An invoice of the last node
    #[arg(long, value_name = "INVOICE")]
    invoice: Option<String>,
    /// The channel of this node that it leaves by
    #[arg(long, value_name = "CHANNEL")]
    out: Option<ShortChannelId>,
    /// Blocks on the last hop [default: what the payee asks for]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    final_blocks: Option<u32>,
}

impl BuildRoute {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = BuildRouteRequest {
            node_ids: self.nodes.into_iter().map(|NodeId(node)| node).collect(),
            amount_msat: self.amount.map_or(0, |SomeMsat(msat)| msat),
            final_cltv_delta: self.final_blocks.unwrap_or(0),
            out_short_channel_id: self.out.map_or(0, |ShortChannelId(scid)| scid),
            bolt11: self.invoice.unwrap_or_default(),
        };
        let built = session.graph().build_route(request).await?.into_inner();
        let names = names::names(session, built.route.iter().flat_map(routes::nodes)).await;
        session.screen.show(&built, |built, look| {
            let route = built.route.as_ref();
            route.map_or_else(String::new, |route| routes::route(route, &names, look))
        })
    }
}

#[derive(Debug, Args)]
pub struct SendRoute {
    /// The payee: an invoice, or a node that is paid without one
    #[arg(value_name = "INVOICE|NODE")]
    to: NodeOrBolt11,
    /// The route, as `graph build-route --json` or `graph route --json` prints it; - reads standard input
    #[arg(value_name = "FILE")]
    route: PathBuf,
    /// How much arrives; may be left to an invoice
    #[arg(long)]
    amount: Option<SomeMsat>,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    handling: Handling,
}

impl SendRoute {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let route = read(&self.route)?;
        let amount_msat = match (&self.to, self.amount) {
            (_, Some(SomeMsat(msat))) => msat,
            (NodeOrBolt11::Bolt11(_), None) => 0,
            (NodeOrBolt11::Node(_), None) => delivers_msat(&route),
        };
        if !self.handling.yes && session.screen.has_someone_to_ask() {
            let amount = human::msat(delivers_msat(&route));
            session.screen.confirm(&format!("Pay {amount} over this route?"))?;
        }
        let by = match self.to {
            NodeOrBolt11::Node(NodeId(node)) => By::NodeId(node),
            NodeOrBolt11::Bolt11(text) => By::Bolt11(text),
        };
        let progress = session.screen.progress("paying");
        let request = SendToRouteRequest {
            to: Some(RouteTarget { by: Some(by) }),
            amount_msat,
            route: Some(route),
            limits: Some(self.bounds.wire()),
            idempotency_key: self.handling.idempotency_key,
            label: self.handling.label,
        };
        let stream = session.payments().send_to_route(request).await?.into_inner();
        follow(session, stream, progress).await
    }
}

fn read(path: &PathBuf) -> Result<Route, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()))
    };
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(unreadable)?
    };
    route_text::parse(&text)
        .map_err(|why| Failure::new(Exit::Usage, format!("{} is no route: {why}", path.display())))
}

fn delivers_msat(route: &Route) -> u64 {
    let last = route.parts.iter().filter_map(|part| part.hops.last());
    last.fold(0, |sum, hop| sum.saturating_add(hop.amount_msat))
}
