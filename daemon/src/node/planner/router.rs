//! LDK's `Router`: our planner first, LDK's own router for what it alone knows and as a second opinion.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bitcoin::secp256k1::{PublicKey, Secp256k1, Signing, Verification};
use fulmen_routing::Beliefs;
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::{InFlightHtlcs, Path, Payee, Route, RouteParameters, Router};
use lightning::routing::scoring::ProbabilisticScoringFeeParameters;
use lightning::types::payment::PaymentHash;
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::logger::Logger;
use super::planner::{Constraints, NoWay, Planner};
use super::types::{Graph, LdkRouter, Scorer};

/// Which router finds the routes of our payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Ours, and LDK's where ours finds nothing.
    Fulmen,
    /// Only LDK's.
    Ldk,
}

/// Explanations kept for payments that found no route; more than any operator looks at at once.
const EXPLANATIONS_KEPT: usize = 1_000;

/// Payments whose paths are kept; more than are ever under way at once.
const PAYMENTS_KEPT: usize = 20_000;

/// Finds routes for our own payments.
pub struct NodeRouter {
    choice: Choice,
    planner: Planner,
    ldk: LdkRouter,
    explanations: Mutex<HashMap<PaymentId, NoWay>>,
    /// Which ways the payments under way may go, where they may not go all.
    constraints: Mutex<HashMap<PaymentId, Arc<Constraints>>>,
    paths: Mutex<HashMap<PaymentId, Vec<Path>>>,
}

impl NodeRouter {
    /// Routes over `graph` with what `scorer` and `beliefs` know.
    pub fn new(
        choice: Choice,
        graph: Arc<Graph>,
        logger: Arc<Logger>,
        keys: Arc<Keys>,
        scorer: Arc<Scorer>,
        beliefs: Beliefs,
    ) -> Self {
        let fees = ProbabilisticScoringFeeParameters::default();
        Self {
            choice,
            planner: Planner::new(graph.clone(), beliefs),
            ldk: LdkRouter::new(graph, logger, keys, scorer, fees),
            explanations: Mutex::new(HashMap::new()),
            constraints: Mutex::new(HashMap::new()),
            paths: Mutex::new(HashMap::new()),
        }
    }

    /// Our planner, for those who plan without paying.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Binds a payment to certain ways, until [`NodeRouter::release`]; before LDK is told of it, or goes on
    /// with it after a restart.
    pub fn constrain(&self, payment_id: PaymentId, constraints: Constraints) {
        if constraints.is_empty() {
            return;
        }
        let mut all = self.constraints.lock().expect("no panic while held");
        all.insert(payment_id, Arc::new(constraints));
    }

    /// Forgets all about a payment that has ended.
    pub fn release(&self, payment_id: &PaymentId) {
        self.constraints.lock().expect("no panic while held").remove(payment_id);
        self.explanations.lock().expect("no panic while held").remove(payment_id);
        drop(self.take_paths(payment_id));
    }

    fn constraints_of(&self, payment_id: &PaymentId) -> Option<Arc<Constraints>> {
        self.constraints.lock().expect("no panic while held").get(payment_id).cloned()
    }

    /// Takes the words that say why a payment found no route, if it found none.
    pub fn take_explanation(&self, payment_id: &PaymentId) -> Option<NoWay> {
        self.explanations.lock().expect("no panic while held").remove(payment_id)
    }

    /// Takes all paths that were found for a payment since the daemon started, those that failed included.
    ///
    /// LDK tells which paths a payment took only a while after it has told that the payment arrived.
    pub fn take_paths(&self, payment_id: &PaymentId) -> Vec<Path> {
        let mut paths = self.paths.lock().expect("no panic while held");
        paths.remove(payment_id).unwrap_or_default()
    }

    fn keep_paths(&self, payment_id: PaymentId, route: &Route) {
        let mut paths = self.paths.lock().expect("no panic while held");
        if paths.len() >= PAYMENTS_KEPT {
            paths.clear();
        }
        paths.entry(payment_id).or_default().extend(route.paths.iter().cloned());
    }

    fn find(
        &self,
        payer: &PublicKey,
        asked: &RouteParameters,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: InFlightHtlcs,
        constraints: &Constraints,
    ) -> Result<Route, (&'static str, Option<NoWay>)> {
        // LDK's router knows no way from a node to itself.
        let choice = if is_to(asked, payer) { Choice::Fulmen } else { self.choice };
        let why = match choice {
            Choice::Ldk => None,
            Choice::Fulmen => {
                match self.planner.route(payer, asked, first_hops, &in_flight, constraints) {
                    Ok(route) => return Ok(route),
                    Err(why) => why.map(NoWay::from),
                }
            }
        };
        if constraints.is_empty() {
            let found = self.ldk.find_route(payer, asked, first_hops, in_flight);
            return found.map_err(|ldk| (ldk, why));
        }
        let barred = self.planner.bar(constraints, payer, asked, first_hops);
        let found = self.ldk.find_route(payer, &barred, first_hops, in_flight);
        // LDK insists on getting its own request back.
        found
            .map(|route| Route { route_params: Some(asked.clone()), ..route })
            .map_err(|ldk| (ldk, why))
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
        let constraints = self.constraints_of(&payment_id).unwrap_or_default();
        let found = self.find(payer, asked, first_hops, in_flight, &constraints);
        if let Ok(route) = &found {
            self.keep_paths(payment_id, route);
        }
        found.map_err(|(ldk, why)| {
            let why = why.unwrap_or_else(|| NoWay::of_ldk(ldk));
            tracing::debug!(payment = %payment_id, why = why.words, "no route");
            let mut explanations = self.explanations.lock().expect("no panic while held");
            if explanations.len() >= EXPLANATIONS_KEPT {
                explanations.clear();
            }
            explanations.insert(payment_id, why);
            ldk
        })
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
