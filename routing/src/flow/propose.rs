//! Proposes plans: one path, and a flow in parts.

use crate::cost::{Weights, tune};
use crate::path::dijkstra::cheapest;
use crate::path::field::Field;
use crate::path::potentials::{Bars, Scope, build};
use crate::path::walk::{Limits, Workbench};
use crate::query::Query;

use super::draft::{Draft, Seek};
use super::few::few;
use super::quanta::Quanta;
use super::solve::{Sent, Terms, send};

/// What is to be planned, and at which prices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'q> {
    pub query: &'q Query,
    pub limits: &'q Limits,
    pub weights: Weights,
    /// Whether the flow is first spread over many channels.
    pub spread: bool,
    /// Bounds kept for the whole amount and their scale, if there are any.
    pub kept: Option<(&'q [f32], f32)>,
}

/// Returns drafts to choose from, none of them on the field; or a proof that no more than so many msat can
/// be delivered.
pub(crate) fn propose(
    field: &mut Field<'_>,
    task: &Task<'_>,
    bench: &mut Workbench,
    quanta: &mut Quanta,
) -> Result<Vec<Draft>, u64> {
    let query = task.query;
    let single = |field: &Field<'_>, kept, bench: &mut Workbench| {
        cheapest(field, &task.weights, query.amount_msat, task.limits, kept, bench)
    };
    if task.kept.is_some()
        && let Some(edges) = single(field, task.kept, bench)
        && let Some(draft) = whole(field, task, &edges)
    {
        return Ok(vec![draft]);
    }
    if query.max_parts < 2 {
        let edges = single(field, None, bench);
        return Ok(edges.and_then(|edges| whole(field, task, &edges)).into_iter().collect());
    }
    let mut drafts = Vec::new();
    let count = tune::QUANTA.min((query.max_parts as f32 * tune::FIRST_PARTS).ceil() as u64).max(1);
    let quantum = query.amount_msat.div_ceil(count);
    if let Some(edges) = single(field, None, bench) {
        if let Some(draft) = whole(field, task, &edges) {
            return Ok(vec![draft]);
        }
        let mut draft = Draft::default();
        draft.add(field, &edges, query.amount_msat, task.limits);
        draft.lift(field);
        drafts.push(draft);
    }
    if query.max_parts < tune::FEW_PARTS {
        drafts.extend(few(field, task, bench, quanta)?);
        if drafts.iter().any(|draft| draft.delivered() >= query.amount_msat) {
            return Ok(drafts);
        }
    }
    let bounds = bounds(field, task, quantum, bench);
    // First spread over many channels, so that one round tries many; then as it has to be.
    let mut spread = false;
    if let Some(mut bounds) =
        bounds.clone().filter(|_| task.spread && query.max_parts >= tune::FEW_PARTS)
    {
        begin(field, query, quantum, quanta);
        quanta.spread = tune::SPREAD;
        spread = send(field, &terms(task), count, &mut bounds, quanta, bench) == Sent::All;
    }
    if spread {
        drafts.clear();
    } else {
        begin(field, query, quantum, quanta);
        refined(field, task, count, bounds, bench, quanta)?;
    }
    let quantum = quanta.size_msat;
    let paths = quanta.cut(field);
    drafts.push(parts(field, task, bench, paths, quantum));
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
    bench: &mut Workbench,
) -> Option<Vec<f32>> {
    let scope = Scope { least_msat: quantum, most_msat: quantum, bars: Bars::Caution };
    build(field, &task.weights, scope, &mut bench.sides, &mut bench.visits)
}

/// Sends the flow, in finer quanta where coarser ones find no way.
fn refined(
    field: &mut Field<'_>,
    task: &Task<'_>,
    mut count: u64,
    mut bounds: Option<Vec<f32>>,
    bench: &mut Workbench,
    quanta: &mut Quanta,
) -> Result<(), u64> {
    for _ in 0..tune::REFINEMENTS {
        if let Some(bounds) = &mut bounds {
            match send(field, &terms(task), count, bounds, quanta, bench) {
                Sent::All => return Ok(()),
                Sent::Part(sent) => count -= sent,
                Sent::Cut(most) => {
                    quanta.cut(field);
                    return Err(most);
                }
            }
        }
        if quanta.size_msat < tune::LEAST_QUANTUM_MSAT || bench.visits >= task.query.max_visits {
            return Ok(());
        }
        // What found no way in one piece is sent in four, with what is under way still rerouted.
        quanta.refine(4);
        count *= 4;
        bounds = self::bounds(field, task, quanta.size_msat, bench);
    }
    Ok(())
}

/// Plans in parts: the paths of a flow, made exact, repaired, and split where they are risky.
pub(super) fn parts(
    field: &mut Field<'_>,
    task: &Task<'_>,
    bench: &mut Workbench,
    mut paths: Vec<(Vec<u32>, u16)>,
    quantum: u64,
) -> Draft {
    let (query, limits) = (task.query, task.limits);
    paths.sort_by_key(|(edges, width)| (std::cmp::Reverse(*width), edges.len()));
    let mut draft = Draft::default();
    let mut rest = query.amount_msat;
    for (edges, width) in &paths {
        // One HTLC may not carry all that the path does.
        let mut want = rest.min(quantum.saturating_mul(u64::from(*width)));
        while want > 0 && draft.routes.len() < query.max_parts {
            let added = draft.add(field, edges, want, limits);
            (want, rest) = (want - added, rest - added);
            if added == 0 {
                break;
            }
        }
    }
    if rest < quantum * 2 {
        rest = draft.top_up(field, rest, limits);
    }
    draft.complete(field, task, Seek::Cheapest, rest, bench);
    draft.join(field, limits);
    let most = (query.max_parts as f32 * tune::SPLIT_PARTS) as usize;
    draft.split(field, limits, most, tune::SPLIT_NATS, tune::LEAST_SPLIT_MSAT);
    draft.lift(field);
    draft
}
