//! Our planner under LDK's interface: views that follow gossip, beliefs that learn, plans as LDK routes.

mod beliefs;
mod query;
mod route;
mod view;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::secp256k1::PublicKey;
use fulmen_routing::{Beliefs, NoRoute, Plan, Query, View};
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::router::{InFlightHtlcs, Route, RouteParameters};

use super::types::Graph;
use view::Views;

pub use beliefs::{Fate, Lesson};

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
    ) -> Result<Route, Option<NoRoute>> {
        let (query, mut overlay) =
            query::of_ldk(&self.graph, payer, asked, first_hops, &self.beliefs()).ok_or(None)?;
        query::reserve(&mut overlay, in_flight);
        let plan = self.plan(&query, &overlay)?;
        route::of_plan(&self.graph, asked, first_hops, &plan)
            .ok_or(Some(NoRoute::Malformed("the plan names a key that is no point of the curve")))
    }

    /// Plans for anyone: the newest view is tried again before it is said that there is no route.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is none.
    pub fn plan(&self, query: &Query, overlay: &fulmen_routing::Overlay) -> Result<Plan, NoRoute> {
        let (view, fresh) = self.views.current();
        match self.plan_over(&view, query, overlay) {
            Err(_) if !fresh => self.plan_over(&self.views.rebuild(), query, overlay),
            done => done,
        }
    }

    /// Learns from what became of an HTLC.
    pub fn learn(&self, lesson: &Lesson) {
        beliefs::learn(&mut self.beliefs(), lesson, now_secs());
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
