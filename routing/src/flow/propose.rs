//! Proposes plans: one path, and a flow in parts.

use crate::cost::{Weights, tune};
use crate::path::dijkstra::{Limits, Workbench, cheapest};
use crate::path::field::Field;
use crate::path::potentials;
use crate::query::Query;

use super::draft::Draft;
use super::quanta::Quanta;
use super::solve::{Sent, Terms, send};

/// Returns drafts to choose from, none of them on the field; or a proof that no more than so many msat can
/// be delivered.
pub(crate) fn propose(
    field: &mut Field<'_>,
    query: &Query,
    limits: &Limits,
    weights: &Weights,
    bench: &mut Workbench,
    quanta: &mut Quanta,
) -> Result<Vec<Draft>, u64> {
    let mut drafts = Vec::new();
    let quantum = query.amount_msat.div_ceil(tune::QUANTA);
    let bounds = potentials::build(field, weights, quantum, &mut bench.heap, &mut bench.visits);
    if let Some(edges) = single(field, query, limits, weights, bounds.as_deref(), quantum, bench) {
        let mut draft = Draft::default();
        draft.add(field, &edges, query.amount_msat, limits);
        draft.lift(field);
        let (_, nats) = draft.judge(field);
        let safe = nats < tune::env("T_SAFE", 0.1) && draft.delivered() == query.amount_msat;
        drafts.push(draft);
        if safe {
            return Ok(drafts);
        }
    }
    if query.max_parts < 2 {
        return Ok(drafts);
    }
    // First spread over many channels, so that one round tries many; then as it has to be.
    quanta.begin(field.edges(), quantum);
    quanta.spread = (tune::QUANTA as f32 / tune::env("T_DIV", 3.0)).ceil() as u64;
    let spread = match bounds.clone() {
        Some(mut bounds) => {
            flow(field, query, limits, weights, &mut bounds, tune::QUANTA, bench, quanta)
                == Sent::All
        }
        None => false,
    };
    if !spread {
        quanta.begin(field.edges(), quantum);
        refined(field, query, limits, weights, bounds, bench, quanta)?;
    }
    let quantum = quanta.size_msat;
    let paths = quanta.cut(field);
    if tune::env("T_KEEP", 0.0) == 0.0 && spread {
        drafts.clear();
    }
    drafts.push(parts(field, query, limits, weights, bench, paths, quantum));
    Ok(drafts)
}

fn single(
    field: &Field<'_>,
    query: &Query,
    limits: &Limits,
    weights: &Weights,
    bounds: Option<&[f32]>,
    quantum: u64,
    bench: &mut Workbench,
) -> Option<Vec<u32>> {
    // Costs of the whole are about those of a quantum times their number; a little less is on the safe side.
    let scale = (query.amount_msat as f32 / quantum as f32) * 0.9;
    match bounds {
        Some(bounds) => cheapest(field, weights, query.amount_msat, limits, bounds, scale, bench),
        None => cheapest(field, weights, query.amount_msat, limits, &[], 1.0, bench),
    }
}

#[allow(clippy::too_many_arguments)]
fn flow(
    field: &mut Field<'_>,
    query: &Query,
    limits: &Limits,
    weights: &Weights,
    bounds: &mut [f32],
    count: u64,
    bench: &mut Workbench,
    quanta: &mut Quanta,
) -> Sent {
    let terms =
        Terms { weights, limits, max_visits: query.max_visits, amount_msat: query.amount_msat };
    send(field, &terms, count, bounds, quanta, bench)
}

/// Sends the flow, in finer quanta where coarser ones find no way.
fn refined(
    field: &mut Field<'_>,
    query: &Query,
    limits: &Limits,
    weights: &Weights,
    mut bounds: Option<Vec<f32>>,
    bench: &mut Workbench,
    quanta: &mut Quanta,
) -> Result<(), u64> {
    let mut count = tune::QUANTA;
    for _ in 0..tune::REFINEMENTS {
        if let Some(bounds) = &mut bounds {
            match flow(field, query, limits, weights, bounds, count, bench, quanta) {
                Sent::All => return Ok(()),
                Sent::Part(sent) => count -= sent,
                Sent::Cut(most) => {
                    quanta.cut(field);
                    return Err(most);
                }
            }
        }
        if quanta.size_msat < tune::LEAST_QUANTUM_MSAT || bench.visits >= query.max_visits {
            return Ok(());
        }
        // What found no way in one piece is sent in four, with what is under way still rerouted.
        quanta.refine(4);
        count *= 4;
        bounds =
            potentials::build(field, weights, quanta.size_msat, &mut bench.heap, &mut bench.visits);
    }
    Ok(())
}

/// Plans in parts: the paths of a flow, made exact, repaired, and split where they are risky.
fn parts(
    field: &mut Field<'_>,
    query: &Query,
    limits: &Limits,
    weights: &Weights,
    bench: &mut Workbench,
    mut paths: Vec<(Vec<u32>, u16)>,
    quantum: u64,
) -> Draft {
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
    draft.repair(field, weights, rest, limits, query.max_parts, bench, query.max_visits);
    draft.join(field, limits);
    draft.split(
        field,
        limits,
        query.max_parts,
        tune::env("T_SPLIT", 0.3),
        (tune::env("T_LEAST", 100_000.0) * 1e3) as u64,
    );
    draft.lift(field);
    draft
}
