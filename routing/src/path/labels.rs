//! Labels of a search: one per node, stamped with the search they belong to, so that none is ever cleared.

/// No edge: the node is where the search began.
pub(crate) const ROOT: u32 = u32::MAX;

/// The best known way from a node to the payee.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Label {
    pub stamp: u32,
    /// Cost from here to the payee, msat.
    pub cost: f32,
    /// What has to arrive here, msat.
    pub amount_msat: u64,
    /// The edge to go by.
    pub via: u32,
    /// The node that edge leads to.
    pub next: u32,
    /// Time lock of the HTLC that arrives here, blocks.
    pub cltv: u32,
    pub hops: u8,
    pub settled: bool,
}

/// The labels of all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    all: Vec<Label>,
    stamp: u32,
}

impl Labels {
    /// Begins a new search over `nodes` nodes: every label of earlier ones is void.
    pub(crate) fn begin(&mut self, nodes: usize) {
        if self.stamp == u32::MAX {
            self.all.clear();
            self.stamp = 0;
        }
        if self.all.len() < nodes {
            self.all.resize(nodes, Label::default());
        }
        self.stamp += 1;
    }

    #[inline]
    pub(crate) fn get(&self, node: u32) -> Option<&Label> {
        let label = &self.all[node as usize];
        (label.stamp == self.stamp).then_some(label)
    }

    /// Returns the cost that a way from the node has to beat: nothing beats a settled one.
    #[inline]
    pub(crate) fn to_beat(&self, node: u32) -> f32 {
        let label = &self.all[node as usize];
        match (label.stamp == self.stamp, label.settled) {
            (false, _) => f32::INFINITY,
            (true, false) => label.cost,
            (true, true) => 0.0,
        }
    }

    /// Returns the edges by which a node leads to where the search began, `end`.
    pub(crate) fn trace(&self, mut node: u32, end: u32) -> Vec<u32> {
        let mut edges = Vec::new();
        while node != end {
            let Some(label) = self.get(node).filter(|label| label.via != ROOT) else { break };
            edges.push(label.via);
            node = label.next;
        }
        edges
    }

    #[inline]
    pub(crate) fn set(&mut self, node: u32, label: Label) {
        self.all[node as usize] = Label { stamp: self.stamp, ..label };
    }

    #[inline]
    pub(crate) fn settle(&mut self, node: u32) {
        self.all[node as usize].settled = true;
    }
}
