//! What a flow is asked for: the query, its limits and the prices of one attempt.

use crate::cost::Weights;
use crate::path::field::Field;
use crate::path::potentials::{Bars, Scope, build};
use crate::path::walk::{Limits, Workspace};
use crate::query::Query;

use super::solve::Terms;

/// What is to be planned, and at which prices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'q> {
    pub query: &'q Query,
    pub limits: &'q Limits,
    pub weights: Weights,
    /// Whether the flow is first spread over many channels.
    pub spread: bool,
    /// Cached bounds for the whole amount and their scale, if there are any.
    pub cached: Option<(&'q [f32], f32)>,
}

/// Returns what the solver needs of a task.
pub(super) fn terms<'t>(task: &'t Task<'_>) -> Terms<'t> {
    Terms {
        weights: &task.weights,
        limits: task.limits,
        max_visits: task.query.max_visits,
        amount_msat: task.query.amount_msat,
    }
}

/// Returns the potentials of a flow in such quanta, or `None` where not even one finds a way.
pub(super) fn bounds(
    field: &Field<'_>,
    task: &Task<'_>,
    quantum: u64,
    workspace: &mut Workspace,
) -> Option<Vec<f32>> {
    let scope = Scope { least_msat: quantum, most_msat: quantum, bars: Bars::Caution };
    build(field, &task.weights, scope, &mut workspace.sides, &mut workspace.visits)
}
