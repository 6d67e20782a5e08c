//! Our planner under LDK's interface: views that follow gossip, beliefs that learn, plans as LDK routes.

mod beliefs;
mod constraints;
mod query;
mod route;
mod share;
mod view;
mod words;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{Beliefs, NoRoute, Plan, Query, View};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::router::{InFlightHtlcs, Path, Route, RouteParameters};

use super::types::Graph;
use view::Views;

pub use beliefs::{Fate, Lesson};
pub use constraints::{Constraints, is_named};
pub use query::Wanted;
pub use share::BadBelief;
pub use words::{Cause, NoWay};

/// Plans payments over the gossiped graph.
pub struct Planner {
    graph: Arc<Graph>,
    views: Views,
    beliefs: Mutex<Beliefs>,
    planners: Mutex<Vec<fulmen_routing::Planner>>,
}

impl Planner {
    /// Plans over `graph` with what is believed already.
    pub fn new(graph: Arc<Graph>, beliefs: Beliefs) -> Self {
        Self {
            views: Views::new(graph.clone()),
            graph,
            beliefs: Mutex::new(beliefs),
            planners: Mutex::new(Vec::new()),
        }
    }

    /// Finds a route for LDK.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none; `None` means that the request is of a kind that only LDK's router
    /// knows (blinded paths).
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
        let (query, mut overlay) = of_ldk.ok_or(None)?;
        if first_hops.is_some() && overlay.own_channels().is_empty() {
            return Err(Some(NoRoute::NoOwnChannel));
        }
        query::reserve(&mut overlay, in_flight);
        let plan = self.plan(&query, &overlay)?;
        route::of_plan(&self.graph, asked, first_hops, &plan)
            .ok_or(Some(NoRoute::Malformed("the plan names a key that is no point of the curve")))
    }

    /// Plans for somebody who asks and does not pay; `own` are our channels and what is in flight, where we
    /// are the payer.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none.
    pub fn ask(
        &self,
        wanted: &Wanted,
        own: Option<(&[&ChannelDetails], &InFlightHtlcs)>,
    ) -> Result<Plan, NoRoute> {
        let (query, mut overlay) =
            query::of_wanted(&self.graph, wanted, own.map(|(channels, _)| channels));
        if own.is_some() && overlay.own_channels().is_empty() {
            return Err(NoRoute::NoOwnChannel);
        }
        if let Some((_, in_flight)) = own {
            query::reserve(&mut overlay, in_flight);
        }
        self.plan(&query, &overlay)
    }

    /// Returns the ways of a plan as LDK walks them; none if the plan names a key that is no point.
    pub fn paths(&self, plan: &Plan, own: &[&ChannelDetails]) -> Option<Vec<Path>> {
        route::paths(&self.graph, Some(own), plan)
    }

    /// Bars for LDK's router what constraints rule out.
    pub fn bar(
        &self,
        constraints: &Constraints,
        payer: &PublicKey,
        asked: &RouteParameters,
        own: Option<&[&ChannelDetails]>,
    ) -> RouteParameters {
        constraints.bar(&self.graph, payer, asked, own.unwrap_or_default())
    }

    /// Plans for anyone: the newest view is tried again before it is said that there is no route.
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

    /// Where the limit on fees cut the search off before it found anything, only a search without it can
    /// tell that the limit was what stood in the way.
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

    /// Learns from what became of an HTLC.
    pub fn learn(&self, lesson: &Lesson) {
        let hints = self.unannounced(&lesson.path);
        beliefs::learn(&mut self.beliefs(), lesson, &hints, now_secs());
    }

    /// The channels of a way that gossip does not know. The graph is read before the beliefs are locked:
    /// those who plan read it while they hold them.
    fn unannounced(&self, path: &Path) -> Vec<u64> {
        let graph = self.graph.read_only();
        let channels = path.hops.iter().map(|hop| hop.short_channel_id);
        channels.filter(|scid| graph.channel(*scid).is_none()).collect()
    }

    /// Returns a copy of all that is believed.
    pub fn believed(&self) -> Beliefs {
        self.beliefs().clone()
    }

    /// Changes what is believed, as for an import or a reset.
    pub fn change_beliefs<T>(&self, change: impl FnOnce(&mut Beliefs) -> T) -> T {
        change(&mut self.beliefs())
    }

    fn beliefs(&self) -> std::sync::MutexGuard<'_, Beliefs> {
        self.beliefs.lock().expect("no panic while held")
    }

    /// Planners keep their memory between payments; as many exist as ever ran at once.
    fn plan_over(
        &self,
        view: &View,
        query: &Query,
        overlay: &fulmen_routing::Overlay,
    ) -> Result<Plan, NoRoute> {
        let spare = self.planners.lock().expect("no panic while held").pop();
        let mut planner = spare.unwrap_or_default();
        let plan = planner.plan(view, overlay, &self.beliefs(), now_secs(), query);
        self.planners.lock().expect("no panic while held").push(planner);
        plan
    }
}

pub(super) fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
