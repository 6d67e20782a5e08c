//! Shortest paths on a query's field: the search for one path, and lower bounds from the payer.

pub(crate) mod dijkstra;
pub(crate) mod field;
pub(crate) mod heap;
pub(crate) mod labels;
pub(crate) mod layer;
pub(crate) mod potential_cache;
pub(crate) mod potentials;
pub(crate) mod reach;
pub(crate) mod terms;
pub(crate) mod walk;
pub(crate) mod widest;
