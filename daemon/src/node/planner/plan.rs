//! The planner: a view of the graph, beliefs about liquidity, and the search over both.

use std::sync::{Arc, Mutex};

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{Beliefs, NoRoute, Plan, Query, View};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::router::{
    InFlightHtlcs, Path, Payee, PaymentParameters, Route, RouteParameters,
};

use super::beliefs::{self, HtlcOutcome, PathOutcome};
use super::broken::Broken;
use super::constraints::Constraints;
use super::flight;
use super::query::{self, Wanted};
use super::route;
use super::view::Views;
use crate::clock::Clock;
use crate::node::ldk::types::Graph;

/// Plans payments over the gossiped graph.
pub struct Planner {
    pub(super) graph: Arc<Graph>,
    pub(super) clock: Clock,
    views: Views,
    broken: Broken,
    beliefs: Mutex<Beliefs>,
    planners: Mutex<Vec<fulmen_routing::Planner>>,
}

impl Planner {
    /// Plans over `graph`, starting from stored `beliefs`.
    pub fn new(graph: Arc<Graph>, beliefs: Beliefs, clock: Clock) -> Self {
        Self {
            views: Views::new(graph.clone()),
            graph,
            clock,
            broken: Broken::default(),
            beliefs: Mutex::new(beliefs),
            planners: Mutex::new(Vec::new()),
        }
    }

    /// Finds a route for LDK.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none; `None` means that only LDK's router handles the request (blinded paths).
    pub fn route(
        &self,
        payer: &PublicKey,
        asked: &RouteParameters,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: &InFlightHtlcs,
        constraints: &Constraints,
    ) -> Result<Route, Option<NoRoute>> {
        let beliefs = self.beliefs();
        let of_ldk = query::of_ldk(&self.graph, payer, asked, first_hops, constraints, &beliefs);
        drop(beliefs);
        let (mut query, mut overlay) = of_ldk.ok_or(None)?;
        let broken = self.broken_hints(&asked.payment_params);
        query.avoid_channels.extend(&broken);
        if first_hops.is_some() && overlay.own_channels().is_empty() {
            return Err(Some(NoRoute::NoOwnChannel));
        }
        query::reserve(&mut overlay, in_flight);
        let plan = self.plan(&query, &overlay).map_err(|why| because_of(why, &broken))?;
        route::of_plan(&self.graph, asked, first_hops, &plan)
            .ok_or(Some(NoRoute::Malformed("the plan names a key that is no point of the curve")))
    }

    /// Plans without paying; `own` are our channels and what is in flight, if we are the payer.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none.
    pub fn ask(
        &self,
        wanted: &Wanted,
        own: Option<(&[&ChannelDetails], &InFlightHtlcs)>,
    ) -> Result<Plan, NoRoute> {
        let (mut query, mut overlay) =
            query::of_wanted(&self.graph, wanted, own.map(|(channels, _)| channels));
        let hints = wanted.hints.iter().flat_map(|hint| &hint.0).map(|hop| hop.short_channel_id);
        let broken = self.broken.among(hints, self.clock.unix_secs());
        query.avoid_channels.extend(&broken);
        if own.is_some() && overlay.own_channels().is_empty() {
            return Err(NoRoute::NoOwnChannel);
        }
        if let Some((_, in_flight)) = own {
            query::reserve(&mut overlay, in_flight);
        }
        self.plan(&query, &overlay).map_err(|why| because_of(why, &broken))
    }

    /// Returns a channel that a route of LDK's router overfills, by what its peers let be in flight at one moment.
    pub fn overfilled(
        &self,
        payer: &PublicKey,
        route: &Route,
        first_hops: Option<&[&ChannelDetails]>,
        in_flight: &InFlightHtlcs,
    ) -> Option<u64> {
        flight::overfilled(&self.graph, payer, route, first_hops.unwrap_or_default(), in_flight)
    }

    /// Returns the paths of a plan in LDK's terms; none if the plan names a key that is no point of the curve.
    pub fn paths(&self, plan: &Plan, own: &[&ChannelDetails]) -> Option<Vec<Path>> {
        route::paths(&self.graph, Some(own), plan)
    }

    /// Returns the request for LDK's router with everything barred that the constraints rule out.
    pub fn bar(
        &self,
        constraints: &Constraints,
        payer: &PublicKey,
        asked: &RouteParameters,
        own: Option<&[&ChannelDetails]>,
    ) -> RouteParameters {
        constraints.bar(&self.graph, payer, asked, own.unwrap_or_default())
    }

    /// Plans for any payer; tries again over a new view before it reports that there is no route.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none.
    pub fn plan(&self, query: &Query, overlay: &fulmen_routing::Overlay) -> Result<Plan, NoRoute> {
        let (view, fresh) = self.views.current();
        let (view, why) = match self.plan_over(&view, query, overlay) {
            Ok(plan) => return Ok(plan),
            Err(why) if fresh => (view, why),
            Err(_) => {
                let view = self.views.rebuild();
                match self.plan_over(&view, query, overlay) {
                    Ok(plan) => return Ok(plan),
                    Err(why) => (view, why),
                }
            }
        };
        Err(match why {
            NoRoute::Liquidity { .. } => self.for_any_fee(&view, query, overlay).unwrap_or(why),
            why => why,
        })
    }

    /// Searches without the fee limit: where the limit cut the search off before it found anything, this alone shows
    /// that the limit is the cause.
    fn for_any_fee(
        &self,
        view: &View,
        query: &Query,
        overlay: &fulmen_routing::Overlay,
    ) -> Option<NoRoute> {
        let max_fee_msat = query.max_fee_msat;
        let free = Query { max_fee_msat: fulmen_routing::amount::MAX_MSAT, ..query.clone() };
        let plan = self.plan_over(view, &free, overlay).ok()?;
        let fee_msat = plan.fee_msat;
        (fee_msat > max_fee_msat).then_some(NoRoute::FeeLimit { fee_msat, max_fee_msat })
    }

    /// Learns from the outcome of an HTLC.
    pub fn learn(&self, path_outcome: &PathOutcome) {
        let (hints, now) = (self.unannounced(&path_outcome.path), self.clock.unix_secs());
        match path_outcome.outcome {
            HtlcOutcome::BrokenAt(scid) => self.broken.learn(scid, now),
            HtlcOutcome::Settled | HtlcOutcome::Reached => {
                hints.iter().for_each(|scid| self.broken.mended(*scid))
            }
            HtlcOutcome::FailedAt(_) => (),
        }
        beliefs::learn(&mut self.beliefs(), path_outcome, &hints, now);
    }

    /// Returns the channels of a request's route hints that failed for good.
    pub fn broken_hints(&self, asked: &PaymentParameters) -> Vec<u64> {
        let Payee::Clear { route_hints, .. } = &asked.payee else { return Vec::new() };
        let hops = route_hints.iter().flat_map(|hint| &hint.0).map(|hop| hop.short_channel_id);
        self.broken.among(hops, self.clock.unix_secs())
    }

    /// Returns the channels of a path that the graph lacks. Reads the graph before the beliefs are locked: planning
    /// reads it while it holds them.
    fn unannounced(&self, path: &Path) -> Vec<u64> {
        let graph = self.graph.read_only();
        let channels = path.hops.iter().map(|hop| hop.short_channel_id);
        channels.filter(|scid| graph.channel(*scid).is_none()).collect()
    }

    /// Returns a copy of all beliefs.
    pub fn believed(&self) -> Beliefs {
        self.beliefs().clone()
    }

    /// Changes the beliefs, for an import or a reset.
    pub fn change_beliefs<T>(&self, change: impl FnOnce(&mut Beliefs) -> T) -> T {
        change(&mut self.beliefs())
    }

    fn beliefs(&self) -> std::sync::MutexGuard<'_, Beliefs> {
        self.beliefs.lock().expect("no panic while held")
    }

    /// Reuses the memory of earlier searches; as many planners exist as ever ran at once.
    fn plan_over(
        &self,
        view: &View,
        query: &Query,
        overlay: &fulmen_routing::Overlay,
    ) -> Result<Plan, NoRoute> {
        let spare = self.planners.lock().expect("no panic while held").pop();
        let mut planner = spare.unwrap_or_default();
        let plan = planner.plan(view, overlay, &self.beliefs(), self.clock.unix_secs(), query);
        self.planners.lock().expect("no panic while held").push(planner);
        plan
    }
}

/// Names the channel that failed for good, where that is why no channel leads to the payee.
fn because_of(why: NoRoute, broken: &[u64]) -> NoRoute {
    match (why, broken) {
        (
            NoRoute::UnknownPayee
            | NoRoute::NoPath
            | NoRoute::PayeeInbound { .. }
            | NoRoute::Liquidity { .. },
            [scid, ..],
        ) => NoRoute::Broken { scid: *scid },
        (why, _) => why,
    }
}
