//! The widest path: the one that can carry most, when parts are few and each has to be large.

use super::field::Field;
use super::labels::Label;
use super::terms::{Edge, Terms};
use super::walk::{Limits, Measure, Workspace, walk};

/// What a hop costs beside narrowness: a path of as many more hops may be this share narrower.
const HOP: f32 = 0.02;
/// The same for a nat of risk.
const NAT: f32 = 0.2;

/// Returns the edges of a path from payer to payee that carries as much of `want_msat` as any can, leaving
/// out what the field's caution keeps away from; among those about as wide, a short and safe one.
///
/// Fees are left out: they narrow a path by little, and the caller that makes it exact sees by how much.
pub(crate) fn widest(
    field: &Field<'_>,
    want_msat: u64,
    limits: &Limits,
    workspace: &mut Workspace,
) -> Option<Vec<u32>> {
    // No path is wider than the payer's widest channel: what is wider on the way is all the same.
    let own = field.scratch.extra.iter().filter(|edge| edge.source == field.payer);
    let width = |edge: &Edge| {
        let room = field.room(edge.link, edge.capacity_msat);
        room.min(field.htlc_max(edge.link, edge.htlc_max_msat))
    };
    let most = own.map(width).max().unwrap_or(0);
    walk(field, &Narrowness { field, want_msat }, want_msat.min(most), limits, workspace)
}

struct Narrowness<'a, 'v> {
    field: &'a Field<'v>,
    want_msat: u64,
}

impl Measure for Narrowness<'_, '_> {
    fn bound(&self, _: u32) -> f32 {
        0.0
    }

    fn admits(&self, _: u64, _: u64, htlc_max_msat: u64) -> bool {
        htlc_max_msat > 0
    }

    /// The amount of a label is how wide its way is.
    fn extend(&self, label: &Label, terms: &Terms, best: f32) -> Option<(f32, u64)> {
        if label.cost + HOP >= best {
            return None;
        }
        let capacity = self.field.capacity(terms);
        let htlc_max_msat = self.field.htlc_max(terms.link, terms.htlc_max_msat);
        let room = self.field.room(terms.link, capacity).min(htlc_max_msat);
        let width = label.amount_msat.min(room);
        if width == 0 || width < self.field.least(terms) {
            return None;
        }
        let narrow = |width: u64| (self.want_msat as f64 / width as f64) as f32;
        let sure = label.cost + narrow(width) - narrow(label.amount_msat) + HOP;
        if sure >= best {
            return None;
        }
        let cost = sure + NAT * self.field.nats(terms.link, capacity, width);
        (cost < best).then_some((cost, width))
    }
}
