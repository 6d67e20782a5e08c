//! One end of a search: the labels it set, what it settled, and where it goes on.

use super::field::Field;
use super::heap::Heap;
use super::labels::{Label, Labels, ROOT};

/// Memory of a search from one end, kept for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    pub labels: Labels,
    pub heap: Heap,
    /// Nodes whose labels are final.
    pub settled: Vec<u32>,
    /// Edges looked at, about.
    pub work: usize,
}

impl Reach {
    /// Begins anew at a node.
    pub(crate) fn begin(&mut self, nodes: usize, node: u32, root: Label) {
        self.labels.begin(nodes);
        self.heap.clear();
        self.settled.clear();
        self.work = 0;
        self.labels.set(node, Label { via: ROOT, ..root });
        self.heap.push(0.0, node);
    }

    /// Returns the least cost at which it goes on.
    pub(crate) fn radius(&self) -> f32 {
        self.heap.least().unwrap_or(f32::INFINITY)
    }

    /// Settles the next node, unless it was settled before.
    pub(crate) fn settle_next(&mut self, field: &Field<'_>) -> Option<u32> {
        let (_, node) = self.heap.pop()?;
        if self.labels.settled(node) {
            return None;
        }
        self.labels.settle(node);
        self.settled.push(node);
        self.work += field.degree(node);
        Some(node)
    }

    /// Visits every node within a radius, with how much of the radius is left there.
    pub(crate) fn within(&self, radius: f32, mut tell: impl FnMut(u32, f32)) {
        for &node in &self.settled {
            let rest = radius - self.labels.get(node).cost;
            if rest > 0.0 {
                tell(node, rest);
            }
        }
    }
}
