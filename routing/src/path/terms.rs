//! What an edge asks, wherever it stands: in a row of the view, or among the extra edges of a query.

use crate::graph::view::Slot;

use super::field::{Edge, Field};

/// What an edge asks, and where what is known of it is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub base_msat: u32,
    pub ppm: u32,
    pub cltv_delta: u32,
    /// As a slot has it: where it does not fit, [`Terms::least`] looks it up.
    pub htlc_min_msat: u64,
    pub htlc_max_msat: u64,
    pub link: u32,
    /// `None` for a channel of the graph.
    capacity_msat: Option<u64>,
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

    /// Returns the least HTLC, msat.
    #[inline]
    pub(crate) fn least(&self, field: &Field<'_>) -> u64 {
        let known = self.capacity_msat.is_some() || self.htlc_min_msat < u64::from(u32::MAX);
        let slot = || &field.view.slots[field.view.slot_of_link(self.link) as usize];
        if known { self.htlc_min_msat } else { field.view.htlc_min_msat(slot()) }
    }

    /// Returns the capacity, looked up only when it is needed.
    #[inline]
    pub(crate) fn capacity(&self, field: &Field<'_>) -> u64 {
        self.capacity_msat.unwrap_or_else(|| field.view.capacity_msat(self.link >> 1))
    }
}
