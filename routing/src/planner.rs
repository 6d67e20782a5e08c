//! The front door: from a query to an exact, checked plan.

use crate::amount::MAX_MSAT;
use crate::check::check;
use crate::cost::Weights;
use crate::cost::tune::{self, Attempt};
use crate::explain::{NoRoute, Progress, explain, hopeless_ends};
use crate::flow::draft::Draft;
use crate::flow::propose::propose;
use crate::flow::quanta::Quanta;
use crate::flow::refine::Route;
use crate::flow::task::Task;
use crate::graph::overlay::Overlay;
use crate::graph::view::View;
use crate::liquidity::Beliefs;
use crate::path::field::{Field, Scratch};
use crate::path::layer;
use crate::path::potential_cache::PotentialCache;
use crate::path::walk::{Limits, Workspace};
use crate::plan::{Hop, Part, Plan};
use crate::query::{MAX_HOPS, Query};

/// Plans a payment once; see [`Planner`] for a payer that pays again and again.
///
/// # Errors
/// [`NoRoute`] says why there is no plan.
pub fn plan(
    view: &View,
    overlay: &Overlay,
    beliefs: &Beliefs,
    now: u64,
    query: &Query,
) -> Result<Plan, NoRoute> {
    Planner::new().plan(view, overlay, beliefs, now, query)
}

/// Plans payments, keeping memory between them.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    scratch: Scratch,
    workspace: Workspace,
    quanta: Quanta,
    cache: PotentialCache,
}

impl Planner {
    /// Starts with no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many nodes the last plan visited.
    pub fn visits(&self) -> u64 {
        self.workspace.visits
    }

    /// Plans a payment at the time `now`, in seconds of the clock that the beliefs were learnt by.
    ///
    /// # Errors
    /// [`NoRoute`] says why there is no plan.
    pub fn plan(
        &mut self,
        view: &View,
        overlay: &Overlay,
        beliefs: &Beliefs,
        now: u64,
        query: &Query,
    ) -> Result<Plan, NoRoute> {
        if let Some(fault) = query.fault() {
            return Err(NoRoute::Malformed(fault));
        }
        let mut field =
            layer::field(std::mem::take(&mut self.scratch), view, overlay, beliefs, now, query);
        self.workspace.visits = 0;
        let found =
            search(&mut field, query, &mut self.workspace, &mut self.quanta, &mut self.cache);
        self.scratch = field.into_scratch();
        let plan = found?;
        check(view, overlay, query, &plan).map_err(NoRoute::Unsound)?;
        Ok(plan)
    }
}

fn search(
    field: &mut Field<'_>,
    query: &Query,
    workspace: &mut Workspace,
    quanta: &mut Quanta,
    cache: &mut PotentialCache,
) -> Result<Plan, NoRoute> {
    let limits = Limits {
        max_fee_msat: query.max_fee_msat.min(MAX_MSAT),
        max_cltv: query.max_cltv,
        max_hops: query.max_hops.min(MAX_HOPS),
        final_cltv: query.final_cltv,
    };
    let mut progress = Progress::default();
    if let Some(reason) = hopeless_ends(field, query) {
        return Err(reason);
    }
    // The cheapest complete plan that is within the limit but not within an attempt's share of it.
    let mut spare: Option<(u64, Draft)> = None;
    let mut dear = false;
    let mut cached = None;
    if query.round == 0 {
        let weights = Weights::of(query, 1.0);
        let (side, visits) = (&mut workspace.sides[0], &mut workspace.visits);
        cached = cache.bounds(field, &query.payer, &weights, query.amount_msat, side, visits);
    }
    for attempt in tune::ATTEMPTS {
        // One part needs no reserve for others: its risk and its fee are what they are.
        let attempt = match query.max_parts {
            1 => Attempt { caution: 0.0, budget: 1.0, ..attempt },
            _ => attempt,
        };
        if attempt.caution > 0.0 && !dear && progress.deliverable_msat > 0 {
            // Fees were not in the way, so thrift will not help.
            continue;
        }
        if attempt.caution == 0.0 && spare.is_some() {
            break;
        }
        field.caution = attempt.caution;
        let task = Task {
            query,
            limits: &limits,
            weights: Weights::of(query, attempt.lambda),
            spread: attempt.spread,
            cached: cached.take(),
        };
        let drafts = match propose(field, &task, workspace, quanta) {
            Ok(drafts) => drafts,
            Err(most) => {
                progress.deliverable_msat = most;
                break;
            }
        };
        let share_msat = (query.max_fee_msat as f64 * f64::from(attempt.budget)) as u64;
        let mut best: Option<(f32, Draft)> = None;
        for draft in drafts {
            progress.hear(&draft, query);
            if draft.delivered() < query.amount_msat || draft.routes.len() > query.max_parts {
                continue;
            }
            let (fee, nats) = draft.judge(field);
            if fee > share_msat {
                dear = true;
                if fee <= query.max_fee_msat && spare.as_ref().is_none_or(|(f, _)| fee < *f) {
                    spare = Some((fee, draft));
                }
                continue;
            }
            let cost = task.weights.sum(fee, nats, draft.routes.len(), query.max_parts);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, draft));
            }
        }
        if let Some((_, draft)) = best {
            return Ok(hand_out(field, query, &draft.routes));
        }
    }
    if let Some((_, draft)) = spare {
        return Ok(hand_out(field, query, &draft.routes));
    }
    progress.visits = workspace.visits;
    Err(explain(field, query, &limits, &progress))
}

/// Turns routes into the plan that leaves.
fn hand_out(field: &mut Field<'_>, query: &Query, routes: &[Route]) -> Plan {
    let mut parts = Vec::with_capacity(routes.len());
    let mut all_nats = 0.0;
    for route in routes {
        let nats = route.nats(field);
        all_nats += nats;
        parts.push(part(field, query, route, nats));
        route.occupy(field);
    }
    routes.iter().for_each(|route| route.vacate(field));
    Plan {
        amount_msat: parts.iter().map(|p| p.amount_msat).sum(),
        fee_msat: parts.iter().map(|p| p.fee_msat).sum(),
        chance: (-all_nats).exp(),
        parts,
    }
}

fn part(field: &Field<'_>, query: &Query, route: &Route, nats: f32) -> Part {
    let mut hops: Vec<Hop> = Vec::with_capacity(route.edges.len());
    let mut cltv = query.final_cltv;
    for (&number, &amount_msat) in route.edges.iter().zip(&route.amounts).rev() {
        let edge = field.edge(number);
        let node = *field.key(edge.target);
        let direction = u8::from(*field.key(edge.source) > node);
        hops.push(Hop { scid: edge.scid, node, direction, amount_msat, cltv });
        cltv = cltv.saturating_add(edge.cltv_delta);
    }
    hops.reverse();
    Part { hops, amount_msat: route.delivered(), fee_msat: route.fee(), chance: (-nats).exp() }
}
