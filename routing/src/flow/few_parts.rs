//! Proposes plans for when few parts are left, so that each of them has to be large.
//!
//! Parts that arrive count for good: one that is smaller than its share leaves more to the others. Two kinds
//! of plans keep parts large. A flow of `n` quanta is cut into `n` parts at most, so flows of few quanta
//! are tried, the coarsest first. Where the channels differ much in width no such flow is complete, and
//! the widest paths are taken one by one, first as wide as they are likely to be, then as they may be. In
//! either, parts narrower than most are spared where the others can carry what they do: of a plan that fails
//! in part it is the narrow ones that arrive, and they use parts up for little.

use crate::cost::tune;
use crate::path::field::Field;
use crate::path::walk::Workspace;

use super::assemble::assemble;
use super::draft::{Draft, Seek};
use super::quanta::Quanta;
use super::solve::{Sent, send};
use super::task::{Task, bounds, terms};

/// Flows are sought for this share more than is needed, which leaves room for fees on the way.
const MARGIN: u64 = 256;

/// Returns drafts, none of them on the field; or a proof that no more than so many msat can be delivered.
pub(super) fn few_parts(
    field: &mut Field<'_>,
    task: &Task<'_>,
    workspace: &mut Workspace,
    quanta: &mut Quanta,
) -> Result<Vec<Draft>, u64> {
    if let Some(draft) = coarse(field, task, workspace, quanta)? {
        return Ok(vec![draft]);
    }
    let usual = field.caution;
    let mut drafts = Vec::new();
    for caution in tune::FEW_CAUTIONS {
        field.caution =
            if usual > 0.0 { caution.max(usual) } else { caution - tune::FEW_CAUTIONS[3] };
        let mut draft = Draft::default();
        let rest = draft.complete(field, task, Seek::Widest, task.query.amount_msat, workspace);
        draft.join(field, task.limits);
        draft.lift(field);
        drafts.push(draft);
        if rest == 0 {
            field.caution = usual;
            if let Some(draft) = drafts.last_mut() {
                spare(field, task, draft);
            }
            break;
        }
    }
    field.caution = usual;
    Ok(drafts)
}

/// Plans by the coarsest flow that is complete.
fn coarse(
    field: &mut Field<'_>,
    task: &Task<'_>,
    workspace: &mut Workspace,
    quanta: &mut Quanta,
) -> Result<Option<Draft>, u64> {
    let query = task.query;
    let mut last = 0;
    for share in tune::FEW_SHARES {
        let count = ((query.max_parts as f32 * share).ceil() as u64).max(1);
        if count == last {
            continue;
        }
        last = count;
        let quantum = (query.amount_msat + query.amount_msat / MARGIN).div_ceil(count);
        let Some(mut bounds) = bounds(field, task, quantum, workspace) else { continue };
        quanta.begin(field.edges(), quantum);
        let sent = send(field, &terms(task), count, &mut bounds, quanta, workspace);
        let paths = quanta.cut(field);
        match sent {
            Sent::All => {
                let mut draft = assemble(field, task, workspace, paths, quantum);
                spare(field, task, &mut draft);
                return Ok(Some(draft));
            }
            Sent::Part(_) => {}
            Sent::Cut(most) => return Err(most),
        }
    }
    Ok(None)
}

/// Spares the narrowest parts of a draft that is not on the field, one by one.
fn spare(field: &mut Field<'_>, task: &Task<'_>, draft: &mut Draft) {
    let usual = field.caution;
    field.caution = usual.min(tune::SPARE_CAUTION);
    let even = task.query.amount_msat as f32 / task.query.max_parts as f32;
    let narrow = (even * tune::SPARE_WIDTH) as u64;
    while let Some(fewer) = draft.without_narrowest(field, narrow, task.limits) {
        *draft = fewer;
    }
    field.caution = usual;
}
