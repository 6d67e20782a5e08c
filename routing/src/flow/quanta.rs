//! A flow in whole quanta: how many each edge carries.

use crate::path::field::{CARRIES, Field};
use crate::path::terms::Edge;

/// A flow on the field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quanta {
    /// Size of a quantum, msat.
    pub size_msat: u64,
    /// The most HTLCs that a plan should put on an edge: many small ones would use up the parts.
    pub htlcs: u64,
    /// The most quanta that a link carries which may well fail.
    pub spread: u64,
    /// Quanta by edge number.
    on: Vec<u16>,
    /// Edges that carry something: their ends and number.
    carrying: Vec<([u32; 2], u32)>,
}

impl Quanta {
    /// Begins with no flow.
    pub(crate) fn begin(&mut self, edges: usize, size_msat: u64) {
        for &(_, edge) in &self.carrying {
            self.on[edge as usize] = 0;
        }
        self.carrying.clear();
        self.on.resize(edges, 0);
        self.size_msat = size_msat;
        self.spread = u64::MAX;
        self.htlcs = u64::MAX;
    }

    /// Cuts every quantum into `pieces`.
    pub(crate) fn refine(&mut self, pieces: u16) {
        for &(_, edge) in &self.carrying {
            let on = &mut self.on[edge as usize];
            *on = on.saturating_mul(pieces);
        }
        self.size_msat /= u64::from(pieces);
        self.spread = self.spread.saturating_mul(u64::from(pieces));
    }

    #[inline]
    pub(crate) fn on(&self, edge: u32) -> u16 {
        self.on[edge as usize]
    }

    /// Returns the edges that carry something out of a node.
    pub(crate) fn out_of(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.carrying.iter().filter(move |(ends, _)| ends[0] == node).map(|&(_, edge)| edge)
    }

    /// Returns the edges that carry something to a node.
    pub(crate) fn into(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.carrying.iter().filter(move |(ends, _)| ends[1] == node).map(|&(_, edge)| edge)
    }

    /// Puts one more quantum on an edge.
    pub(crate) fn add(&mut self, field: &mut Field<'_>, edge: u32) {
        if self.on[edge as usize] == 0 {
            let Edge { source, target, .. } = field.edge(edge);
            let ends = [source, target];
            self.carrying.push((ends, edge));
            ends.iter().for_each(|&end| field.scratch.flags[end as usize] |= CARRIES);
        }
        self.on[edge as usize] += 1;
    }

    /// Takes quanta off an edge; more than it carries takes all.
    pub(crate) fn take(&mut self, edge: u32, count: u16) {
        let left = self.on[edge as usize].saturating_sub(count);
        self.on[edge as usize] = left;
        if left == 0 {
            self.carrying.retain(|&(_, e)| e != edge);
        }
    }

    /// Cuts the flow into paths from payer to payee with their quanta, the widest way first at each node,
    /// and leaves no flow behind.
    pub(crate) fn cut(&mut self, field: &mut Field<'_>) -> Vec<(Vec<u32>, u16)> {
        let mut paths = Vec::new();
        while let Some((path, nodes)) = self.walk(field) {
            // A walk that meets itself ends in a circle, which carries nothing to anyone.
            let (last, before) = (nodes[nodes.len() - 1], &nodes[..nodes.len() - 1]);
            let circle = before.iter().position(|&node| node == last);
            let edges = &path[circle.unwrap_or(0)..];
            let width = edges.iter().map(|&edge| self.on(edge)).min().unwrap_or(0);
            edges.iter().for_each(|&edge| self.take(edge, width));
            if circle.is_none() && last == field.payee {
                paths.push((path, width));
            }
        }
        let left = self.carrying.clone();
        left.iter().for_each(|&(_, edge)| self.take(edge, u16::MAX));
        field.scratch.flags.iter_mut().for_each(|flags| *flags &= !CARRIES);
        paths
    }

    /// Walks from the payer along what carries most, to the payee, a dead end, or a node met before.
    fn walk(&self, field: &Field<'_>) -> Option<(Vec<u32>, Vec<u32>)> {
        let mut path = Vec::new();
        let mut nodes = vec![field.payer];
        let mut node = field.payer;
        while node != field.payee {
            let Some(edge) = self.out_of(node).max_by_key(|&edge| (self.on(edge), edge)) else {
                break;
            };
            node = field.edge(edge).target;
            path.push(edge);
            let met = nodes.contains(&node);
            nodes.push(node);
            if met {
                break;
            }
        }
        if path.is_empty() { None } else { Some((path, nodes)) }
    }
}
