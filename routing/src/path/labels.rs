//! Labels of a search, one per node. What each costs stands apart: it is what a search asks for first, of every
//! neighbour, and all nodes' fit into the nearest cache.

/// No edge: the node is where the search began.
pub(crate) const ROOT: u32 = u32::MAX;

/// The cost to beat where a node is settled: nothing does.
const SETTLED: f32 = f32::NEG_INFINITY;

/// The best known way from a node to the payee.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Label {
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
}

/// The labels of all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    /// What a way from a node has to cost less than.
    to_beat: Vec<f32>,
    /// Meaningful where a label was set since the search began.
    all: Vec<Label>,
}

impl Labels {
    /// Begins a new search over `nodes` nodes.
    pub(crate) fn begin(&mut self, nodes: usize) {
        self.to_beat.clear();
        self.to_beat.resize(nodes, f32::INFINITY);
        self.all.resize(nodes.max(self.all.len()), Label::default());
    }

    /// Returns the label of a node that has one.
    #[inline]
    pub(crate) fn get(&self, node: u32) -> &Label {
        &self.all[node as usize]
    }

    /// Returns the cost that a way from the node has to beat.
    #[inline]
    pub(crate) fn to_beat(&self, node: u32) -> f32 {
        self.to_beat[node as usize]
    }

    #[inline]
    pub(crate) fn settled(&self, node: u32) -> bool {
        self.to_beat[node as usize] == SETTLED
    }

    /// Returns whether the node has a label.
    #[inline]
    pub(crate) fn reached(&self, node: u32) -> bool {
        self.to_beat[node as usize] < f32::INFINITY
    }

    /// Returns the edges by which a node with a label leads to where the search began.
    pub(crate) fn trace(&self, mut node: u32) -> Vec<u32> {
        let mut edges = Vec::new();
        while self.get(node).via != ROOT {
            edges.push(self.get(node).via);
            node = self.get(node).next;
        }
        edges
    }

    #[inline]
    pub(crate) fn set(&mut self, node: u32, label: Label) {
        self.to_beat[node as usize] = label.cost;
        self.all[node as usize] = label;
    }

    #[inline]
    pub(crate) fn settle(&mut self, node: u32) {
        self.to_beat[node as usize] = SETTLED;
    }
}
