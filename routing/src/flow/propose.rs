//! Proposes plans: one path, and a flow in parts.

use crate::cost::tune;
use crate::path::dijkstra::cheapest;
use crate::path::field::Field;
use crate::path::walk::Workspace;
use crate::query::Query;

use super::assemble::assemble;
use super::draft::Draft;
use super::few_parts::few_parts;
use super::quanta::Quanta;
use super::solve::{Sent, send};
use super::task::{Task, bounds, terms};

/// Returns drafts to choose from, none of them on the field; or a proof that no more than so many msat can
/// be delivered.
pub(crate) fn propose(
    field: &mut Field<'_>,
    task: &Task<'_>,
    workspace: &mut Workspace,
    quanta: &mut Quanta,
) -> Result<Vec<Draft>, u64> {
    let query = task.query;
    let single = |field: &Field<'_>, cached, workspace: &mut Workspace| {
        cheapest(field, &task.weights, query.amount_msat, task.limits, cached, workspace)
    };
    if task.cached.is_some()
        && let Some(edges) = single(field, task.cached, workspace)
        && let Some(draft) = whole(field, task, &edges)
    {
        return Ok(vec![draft]);
    }
    if query.max_parts < 2 {
        let edges = single(field, None, workspace);
        return Ok(edges.and_then(|edges| whole(field, task, &edges)).into_iter().collect());
    }
    let mut drafts = Vec::new();
    let count = tune::QUANTA.min((query.max_parts as f32 * tune::FIRST_PARTS).ceil() as u64).max(1);
    let quantum = query.amount_msat.div_ceil(count);
    if let Some(edges) = single(field, None, workspace) {
        if let Some(draft) = whole(field, task, &edges) {
            return Ok(vec![draft]);
        }
        let mut draft = Draft::default();
        draft.add(field, &edges, query.amount_msat, task.limits);
        draft.lift(field);
        drafts.push(draft);
    }
    if query.max_parts < tune::FEW_PARTS {
        drafts.extend(few_parts(field, task, workspace, quanta)?);
        if drafts.iter().any(|draft| draft.delivered() >= query.amount_msat) {
            return Ok(drafts);
        }
    }
    let bounds = bounds(field, task, quantum, workspace);
    // First spread over many channels, so that one round tries many; then as it has to be.
    let mut spread = false;
    if let Some(mut bounds) =
        bounds.clone().filter(|_| task.spread && query.max_parts >= tune::FEW_PARTS)
    {
        begin(field, query, quantum, quanta);
        quanta.spread = tune::SPREAD;
        spread = send(field, &terms(task), count, &mut bounds, quanta, workspace) == Sent::All;
    }
    if spread {
        drafts.clear();
    } else {
        begin(field, query, quantum, quanta);
        refined(field, task, count, bounds, workspace, quanta)?;
    }
    let quantum = quanta.size_msat;
    let paths = quanta.cut(field);
    drafts.push(assemble(field, task, workspace, paths, quantum));
    Ok(drafts)
}

/// Returns the path as a plan of one part where that need not be compared with any other.
fn whole(field: &mut Field<'_>, task: &Task<'_>, edges: &[u32]) -> Option<Draft> {
    let mut draft = Draft::default();
    let delivered = draft.add(field, edges, task.query.amount_msat, task.limits);
    draft.lift(field);
    if delivered < task.query.amount_msat {
        return None;
    }
    let (_, nats) = draft.judge(field);
    (nats < tune::SAFE_NATS || task.query.max_parts < 2).then_some(draft)
}

fn begin(field: &Field<'_>, query: &Query, quantum: u64, quanta: &mut Quanta) {
    quanta.begin(field.edges(), quantum);
    if field.caution > 0.0 {
        // Many small HTLCs over one edge would use up the parts.
        quanta.htlcs = (query.max_parts as u64 / 8).clamp(1, 12);
    }
}

/// Sends the flow, in finer quanta where coarser ones find no way.
fn refined(
    field: &mut Field<'_>,
    task: &Task<'_>,
    mut count: u64,
    mut bounds: Option<Vec<f32>>,
    workspace: &mut Workspace,
    quanta: &mut Quanta,
) -> Result<(), u64> {
    for _ in 0..tune::REFINEMENTS {
        if let Some(bounds) = &mut bounds {
            match send(field, &terms(task), count, bounds, quanta, workspace) {
                Sent::All => return Ok(()),
                Sent::Part(sent) => count -= sent,
                Sent::Cut(most) => {
                    quanta.cut(field);
                    return Err(most);
                }
            }
        }
        if quanta.size_msat < tune::LEAST_QUANTUM_MSAT || workspace.visits >= task.query.max_visits
        {
            return Ok(());
        }
        // What found no way in one piece is sent in four, with what is under way still rerouted.
        quanta.refine(4);
        count *= 4;
        bounds = super::task::bounds(field, task, quanta.size_msat, workspace);
    }
    Ok(())
}
