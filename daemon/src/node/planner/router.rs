//! LDK's `Router`: our planner first, then LDK's own router, which alone handles blinded paths.

use std::sync::Arc;

use bitcoin::secp256k1::{PublicKey, Secp256k1, Signing, Verification};
use fulmen_routing::Beliefs;
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::{InFlightHtlcs, Path, Payee, Route, RouteParameters, Router};
use lightning::routing::scoring::ProbabilisticScoringFeeParameters;
use lightning::types::payment::PaymentHash;
use serde::{Deserialize, Serialize};

use super::constraints::Constraints;
use super::in_flight::{FoundPath, InFlight};
use super::no_route::{Cause, NoRouteReason};
use super::plan::Planner;
use crate::clock::Clock;
use crate::node::ldk::keys::Keys;
use crate::node::ldk::logger::Logger;
use crate::node::ldk::types::{Graph, LdkRouter, Scorer};

/// Which router finds the routes of our payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Ours, and LDK's where ours finds no route.
    Fulmen,
    /// Only LDK's.
    Ldk,
}

/// Finds routes for our own payments.
pub struct NodeRouter {
    choice: Choice,
    planner: Planner,
    ldk: LdkRouter,
    in_flight: InFlight,
}

impl NodeRouter {
    /// Routes over `graph`, with the liquidity that `scorer` and `beliefs` know.
    pub fn new(
        choice: Choice,
        graph: Arc<Graph>,
        logger: Arc<Logger>,
        keys: Arc<Keys>,
        scorer: Arc<Scorer>,
        beliefs: Beliefs,
        clock: Clock,
    ) -> Self {
        let fees = ProbabilisticScoringFeeParameters::default();
        Self {
            choice,
            planner: Planner::new(graph.clone(), beliefs, clock),
            ldk: LdkRouter::new(graph, logger, keys, scorer, fees),
            in_flight: InFlight::default(),
        }
    }

    /// Returns our planner, to plan without paying.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Restricts the routes of a payment, and keeps its paths, until [`NodeRouter::release`]; call it before LDK first
    /// looks for a route, and for each pending payment before LDK runs after a restart.
    pub fn constrain(&self, payment_id: PaymentId, constraints: Constraints) {
        self.in_flight.begin(payment_id, constraints);
    }

    /// Has a payment take the paths that its payer named, once, and no others; call it before LDK first looks for a
    /// route. After a restart LDK makes no further attempt at it.
    pub fn give(&self, payment_id: PaymentId, paths: Vec<Path>) {
        self.in_flight.give(payment_id, paths);
    }

    /// Whether a payment takes the paths that its payer named, and no others.
    pub fn is_given(&self, payment_id: &PaymentId) -> bool {
        self.in_flight.is_given(payment_id)
    }

    /// Forgets a payment that has ended.
    pub fn release(&self, payment_id: &PaymentId) {
        self.in_flight.end(payment_id);
    }

    /// Whether a payment found no route because our own channels could not send its amount at that moment.
    pub fn lacked_balance(&self, payment_id: &PaymentId) -> bool {
        // A channel that can send nothing at the moment is none for the search.
        let cause = self.in_flight.no_route_cause(payment_id);
        matches!(cause, Some(Cause::OwnBalance | Cause::NoOwnChannel))
    }

    /// Takes the reason why a payment found no route, if it found none.
    pub fn take_explanation(&self, payment_id: &PaymentId) -> Option<NoRouteReason> {
        self.in_flight.take_no_route(payment_id)
    }

    /// Takes all paths that were found for a payment since the daemon started, those that failed included.
    ///
    /// LDK reports the paths of a payment only a while after it has reported its success.
    pub fn take_paths(&self, payment_id: &PaymentId) -> Vec<FoundPath> {
        self.in_flight.take_paths(payment_id)
    }

    /// Returns when a path was found for a payment, in milliseconds since 1970; none if that was before a restart.
    pub fn found_at_ms(&self, payment_id: &PaymentId, path: &Path) -> Option<u64> {
        self.in_flight.found_at_ms(payment_id, path)
    }

    fn keep_paths(&self, payment_id: &PaymentId, route: &Route) {
        self.in_flight.add_route(payment_id, route, self.planner.clock.unix_millis());
    }

    fn find(
        &self,
        payer: &PublicKey,
        asked: &RouteParameters,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: InFlightHtlcs,
        constraints: &Constraints,
    ) -> Result<Route, (&'static str, Option<NoRouteReason>)> {
        // LDK's router finds no route from a node to itself.
        let choice = if is_to(asked, payer) { Choice::Fulmen } else { self.choice };
        let why = match choice {
            Choice::Ldk => None,
            Choice::Fulmen => {
                match self.planner.route(payer, asked, first_hops, &in_flight, constraints) {
                    Ok(route) => return Ok(route),
                    Err(why) => why.map(NoRouteReason::from),
                }
            }
        };
        let barred = match constraints.is_empty() {
            true => None,
            false => Some(self.planner.bar(constraints, payer, asked, first_hops)),
        };
        let mut request = barred.unwrap_or_else(|| asked.clone());
        let broken = self.planner.broken_hints(&asked.payment_params);
        request.payment_params.previously_failed_channels.extend(broken);
        let found = self.ldk.find_route(payer, &request, first_hops, in_flight.clone());
        let route = found.map_err(|ldk| (ldk, why.clone()))?;
        if let Some(scid) = self.planner.overfilled(payer, &route, first_hops, &in_flight) {
            tracing::debug!(scid, "LDK's route exceeds what a channel lets be in flight");
            return Err(("the route exceeds what a channel lets be in flight", why));
        }
        // LDK insists on getting its own request back.
        Ok(Route { route_params: Some(asked.clone()), ..route })
    }
}

fn is_to(asked: &RouteParameters, node: &PublicKey) -> bool {
    match &asked.payment_params.payee {
        Payee::Clear { node_id, .. } => node_id == node,
        Payee::Blinded { .. } => false,
    }
}

impl Router for NodeRouter {
    fn find_route(
        &self,
        payer: &PublicKey,
        asked: &RouteParameters,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        let none = Constraints::default();
        self.find(payer, asked, first_hops, in_flight, &none).map_err(|(ldk, _)| ldk)
    }

    fn find_route_with_id(
        &self,
        payer: &PublicKey,
        asked: &RouteParameters,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: InFlightHtlcs,
        _payment_hash: PaymentHash,
        payment_id: PaymentId,
    ) -> Result<Route, &'static str> {
        if let Some(paths) = self.in_flight.take_given(&payment_id) {
            if paths.is_empty() {
                return Err("the given route has been tried");
            }
            let route = Route { paths, route_params: Some(asked.clone()) };
            self.keep_paths(&payment_id, &route);
            return Ok(route);
        }
        let constraints = self.in_flight.constraints(&payment_id);
        match self.find(payer, asked, first_hops, in_flight, &constraints) {
            Ok(route) => {
                self.keep_paths(&payment_id, &route);
                Ok(route)
            }
            Err((ldk, why)) => {
                let why = why.unwrap_or_else(|| NoRouteReason::of_ldk(ldk));
                tracing::debug!(payment = %payment_id, why = why.words, "no route");
                self.in_flight.set_no_route(&payment_id, why);
                Err(ldk)
            }
        }
    }

    fn create_blinded_payment_paths<T: Signing + Verification>(
        &self,
        recipient: PublicKey,
        first_hops: Vec<ChannelDetails>,
        tlvs: ReceiveTlvs,
        amount_msats: Option<u64>,
        secp_ctx: &Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        self.ldk.create_blinded_payment_paths(recipient, first_hops, tlvs, amount_msats, secp_ctx)
    }
}
