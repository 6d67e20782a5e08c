//! A four-ary heap of nodes by cost, each entry one 64-bit word.
//!
//! A non-negative `f32` orders like its bits, so cost and node pack into one integer that compares in one
//! instruction. Entries are never decreased in place: a better one is added, the worse is skipped later.

/// A minimum heap of (cost, node). Costs must not be negative or NaN.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<u64>,
}

impl Heap {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the least cost.
    pub(crate) fn least(&self) -> Option<f32> {
        self.entries.first().map(|&entry| f32::from_bits((entry >> 32) as u32))
    }

    #[inline]
    pub(crate) fn push(&mut self, cost: f32, node: u32) {
        debug_assert!(cost >= 0.0);
        let entry = u64::from(cost.max(0.0).to_bits()) << 32 | u64::from(node);
        let mut hole = self.entries.len();
        self.entries.push(entry);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if self.entries[parent] <= entry {
                break;
            }
            self.entries[hole] = self.entries[parent];
            hole = parent;
        }
        self.entries[hole] = entry;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(f32, u32)> {
        let top = *self.entries.first()?;
        let last = self.entries.pop()?;
        let len = self.entries.len();
        if len > 0 {
            let mut hole = 0;
            loop {
                let first = hole * 4 + 1;
                if first >= len {
                    break;
                }
                let mut least = first;
                for child in first + 1..(first + 4).min(len) {
                    if self.entries[child] < self.entries[least] {
                        least = child;
                    }
                }
                if self.entries[least] >= last {
                    break;
                }
                self.entries[hole] = self.entries[least];
                hole = least;
            }
            self.entries[hole] = last;
        }
        Some((f32::from_bits((top >> 32) as u32), top as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pops_in_order(costs in proptest::collection::vec(0.0f32..1e12, 0..200)) {
            let mut heap = Heap::default();
            for (node, &cost) in costs.iter().enumerate() {
                heap.push(cost, node as u32);
            }
            let mut sorted = costs.clone();
            sorted.sort_by(f32::total_cmp);
            let popped: Vec<f32> = std::iter::from_fn(|| heap.pop()).map(|(cost, _)| cost).collect();
            prop_assert_eq!(popped, sorted);
        }
    }
}
