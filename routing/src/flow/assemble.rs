//! Makes a draft of a flow: its paths made exact, repaired, and split where they are risky.

use crate::cost::tune;
use crate::path::field::Field;
use crate::path::walk::Workspace;

use super::draft::{Draft, Seek};
use super::task::Task;

/// Returns the draft, not on the field, that the paths of a flow in such quanta make.
pub(super) fn assemble(
    field: &mut Field<'_>,
    task: &Task<'_>,
    workspace: &mut Workspace,
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
    draft.complete(field, task, Seek::Cheapest, rest, workspace);
    draft.join(field, limits);
    let most = (query.max_parts as f32 * tune::SPLIT_PARTS) as usize;
    draft.split(field, limits, most, tune::SPLIT_NATS, tune::LEAST_SPLIT_MSAT);
    draft.lift(field);
    draft
}
