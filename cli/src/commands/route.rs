//! `fulmen graph route` and `fulmen graph estimate`: what a payment would do.
use clap::Args;
use fulmen_proto::v1::route_target::By;
use fulmen_proto::v1::{EstimateFeeRequest, FindRouteRequest, RouteTarget};

use super::options::constraints::Constraints;
use super::options::limits::Bounds;
use super::options::names;
use crate::amount::SomeMsat;
use crate::failure::Failure;
use crate::ids::{NodeId, NodeOrBolt11};
use crate::render::routes;
use crate::session::Session;

/// The payee and the amount.
#[derive(Debug, Args)]
pub struct Towards {
    /// The payee: a node, or an invoice
    #[arg(value_name = "NODE|INVOICE")]
    to: NodeOrBolt11,
    /// How much; may be left to an invoice
    amount: Option<SomeMsat>,
}

impl Towards {
    pub fn amount_msat(&self) -> u64 {
        self.amount.map_or(0, |SomeMsat(msat)| msat)
    }

    pub fn target(self) -> Option<RouteTarget> {
        let by = match self.to {
            NodeOrBolt11::Node(NodeId(node)) => By::NodeId(node),
            NodeOrBolt11::Bolt11(text) => By::Bolt11(text),
        };
        Some(RouteTarget { by: Some(by) })
    }
}

#[derive(Debug, Args)]
pub struct Route {
    #[command(flatten)]
    towards: Towards,
    /// Who would pay [default: this node]; what the channels of others hold is not known
    #[arg(long, value_name = "NODE_ID")]
    from: Option<NodeId>,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    constraints: Constraints,
}

impl Route {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let given = self.constraints.given();
        let request = FindRouteRequest {
            amount_msat: self.towards.amount_msat(),
            to: self.towards.target(),
            source: self.from.map(|NodeId(node)| node).unwrap_or_default(),
            limits: Some(self.bounds.wire()),
            constraints: self.constraints.wire()?,
        };
        let found = session.graph().find_route(request).await;
        let found = found.map_err(|status| given.advise(status.into()))?.into_inner();
        let names = names::names(session, found.route.iter().flat_map(routes::nodes)).await;
        session.screen.show(&found, |found, look| {
            let route = found.route.as_ref();
            route.map_or_else(String::new, |route| routes::route(route, &names, look))
        })
    }
}

#[derive(Debug, Args)]
pub struct Estimate {
    #[command(flatten)]
    towards: Towards,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    constraints: Constraints,
}

impl Estimate {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let given = self.constraints.given();
        let request = EstimateFeeRequest {
            amount_msat: self.towards.amount_msat(),
            to: self.towards.target(),
            limits: Some(self.bounds.wire()),
            constraints: self.constraints.wire()?,
        };
        let found = session.graph().estimate_fee(request).await;
        let found = found.map_err(|status| given.advise(status.into()))?.into_inner();
        session.screen.show(&found, routes::estimate)
    }
}
