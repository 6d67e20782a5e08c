//! Edges and what they ask, wherever they stand: in a row of the view, or among the extra edges of a query.

use crate::graph::view::Slot;

/// A directed edge with all that is said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub source: u32,
    pub target: u32,
    pub base_msat: u32,
    pub ppm: u32,
    pub cltv_delta: u32,
    pub htlc_min_msat: u64,
    pub htlc_max_msat: u64,
    pub capacity_msat: u64,
    /// Where knowledge is kept: channel and direction, or beyond them for extra edges.
    pub link: u32,
    pub scid: u64,
}

/// What an edge asks, and where what is known of it is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub base_msat: u32,
    pub ppm: u32,
    pub cltv_delta: u32,
    /// As a slot has it: where it does not fit, `Field::least` looks it up.
    pub htlc_min_msat: u64,
    pub htlc_max_msat: u64,
    pub link: u32,
    /// `None` for a channel of the graph.
    pub(super) capacity_msat: Option<u64>,
}

impl Terms {
    #[inline]
    pub(crate) fn of_slot(slot: &Slot) -> Self {
        Self {
            base_msat: slot.base_msat,
            ppm: slot.ppm,
            cltv_delta: u32::from(slot.cltv_delta),
            htlc_min_msat: u64::from(slot.htlc_min_msat),
            htlc_max_msat: slot.htlc_max_msat,
            link: slot.link,
            capacity_msat: None,
        }
    }

    #[inline]
    pub(crate) fn of_edge(edge: &Edge) -> Self {
        Self {
            base_msat: edge.base_msat,
            ppm: edge.ppm,
            cltv_delta: edge.cltv_delta,
            htlc_min_msat: edge.htlc_min_msat,
            htlc_max_msat: edge.htlc_max_msat,
            link: edge.link,
            capacity_msat: Some(edge.capacity_msat),
        }
    }
}
