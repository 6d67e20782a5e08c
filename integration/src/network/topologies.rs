//! The shapes of networks: which nodes have channels with which.

/// A shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Daemons without channels.
    Apart(usize),
    /// Two nodes, one channel.
    Pair,
    /// Each node with the next.
    Line(usize),
    /// A line whose ends meet.
    Ring(usize),
    /// A ring with one more channel straight across, where that is not a side already.
    ChordedRing(usize),
    /// The first node with every other.
    Star(usize),
    /// The first and the last of four over either of the two between.
    Diamond,
}

impl Topology {
    /// How many daemons it takes.
    pub fn nodes(self) -> usize {
        match self {
            Self::Pair => 2,
            Self::Diamond => 4,
            Self::Apart(nodes)
            | Self::Line(nodes)
            | Self::Ring(nodes)
            | Self::ChordedRing(nodes)
            | Self::Star(nodes) => nodes,
        }
    }

    /// The channels, as (opener, accepter).
    pub fn edges(self) -> Vec<(usize, usize)> {
        match self {
            Self::Apart(_) => Vec::new(),
            Self::Pair => vec![(0, 1)],
            Self::Line(nodes) => (1..nodes).map(|node| (node - 1, node)).collect(),
            Self::Ring(nodes) => ring(nodes),
            Self::ChordedRing(nodes) => {
                let mut edges = ring(nodes);
                let across = nodes / 2;
                if across >= 2 {
                    edges.push((0, across));
                }
                edges
            }
            Self::Star(nodes) => (1..nodes).map(|node| (0, node)).collect(),
            Self::Diamond => vec![(0, 1), (0, 2), (1, 3), (2, 3)],
        }
    }

    /// Hops of the shortest way between two nodes; None where there is no way.
    pub fn distance(self, from: usize, to: usize) -> Option<usize> {
        let edges = self.edges();
        let mut distances = vec![None; self.nodes()];
        distances[from] = Some(0);
        for hops in 1..=self.nodes() {
            for &(a, b) in &edges {
                for (near, far) in [(a, b), (b, a)] {
                    if distances[near] == Some(hops - 1) && distances[far].is_none() {
                        distances[far] = Some(hops);
                    }
                }
            }
        }
        distances[to]
    }
}

fn ring(nodes: usize) -> Vec<(usize, usize)> {
    let mut edges: Vec<_> = (1..nodes).map(|node| (node - 1, node)).collect();
    if nodes > 2 {
        edges.push((nodes - 1, 0));
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_each_shape() {
        for (topology, edges) in [
            (Topology::Apart(3), vec![]),
            (Topology::Pair, vec![(0, 1)]),
            (Topology::Line(3), vec![(0, 1), (1, 2)]),
            (Topology::Ring(2), vec![(0, 1)]),
            (Topology::Ring(3), vec![(0, 1), (1, 2), (2, 0)]),
            (Topology::ChordedRing(3), vec![(0, 1), (1, 2), (2, 0)]),
            (Topology::ChordedRing(4), vec![(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
            (Topology::Star(3), vec![(0, 1), (0, 2)]),
            (Topology::Diamond, vec![(0, 1), (0, 2), (1, 3), (2, 3)]),
        ] {
            assert_eq!(topology.edges(), edges, "{topology:?}");
        }
    }

    #[test]
    fn distances_are_shortest_ways() {
        assert_eq!(Topology::ChordedRing(5).distance(0, 3), Some(2));
        assert_eq!(Topology::ChordedRing(5).distance(4, 2), Some(2));
        assert_eq!(Topology::Line(5).distance(4, 0), Some(4));
        assert_eq!(Topology::Apart(2).distance(0, 1), None);
    }
}
