//! What a payer asks for.

use crate::amount::MAX_MSAT;
use crate::graph::NodeKey;

/// Hops that fit into an onion (BOLT 4: 1,300 bytes, at most 65 for a hop that only forwards).
pub const MAX_HOPS: u8 = 20;

/// A payment to be planned, with its limits.
#[derive(Clone, Debug)]
pub struct Query {
    /// Who pays.
    pub payer: NodeKey,
    /// Who is paid; may be the payer (a circular payment, as for rebalancing).
    pub payee: NodeKey,
    /// What has to arrive, msat: on a retry, what is still missing.
    pub amount_msat: u64,
    /// Greatest sum of all routing fees, msat: on a retry, what is left of the budget.
    pub max_fee_msat: u64,
    /// Greatest time lock of the first hop, blocks from now.
    pub max_cltv: u32,
    /// Time lock that the payee asks for, blocks.
    pub final_cltv: u32,
    /// Greatest number of parts.
    pub max_parts: usize,
    /// Greatest number of hops of a part, at most [`MAX_HOPS`].
    pub max_hops: u8,
    /// Only these of the payer's channels may be used; all when empty.
    pub out_through: Vec<u64>,
    /// Only these channels may be the last hop; all when empty.
    pub in_through: Vec<u64>,
    /// The node before the payee, when it has to be this one.
    pub last_hop: Option<NodeKey>,
    /// Nodes that must not forward.
    pub avoid_nodes: Vec<NodeKey>,
    /// Channels that must not be used.
    pub avoid_channels: Vec<u64>,
    /// Rounds already tried for this payment: the later, the more a plan pays for certainty.
    pub round: u32,
    /// What the payment as a whole has to deliver, msat, when `amount_msat` is only the rest of it; 0
    /// otherwise. Sets the price of risk and the size of parts, so that retries go on in the same terms.
    pub total_msat: u64,
    /// Whether a channel's greatest HTLC also bounds all HTLCs on it together, reserved ones included.
    ///
    /// What a peer lets be in flight at one moment (BOLT 2, `max_htlc_value_in_flight_msat`) is not gossiped, but
    /// implementations announce at most that much as `htlc_maximum_msat`. A part beyond it is failed while the others
    /// wait at the payee, which holds them until its time-out for multi-part payments.
    pub htlc_max_in_all: bool,
    /// Greatest number of node visits; a plan that needs more ends in [`NoRoute::Effort`](crate::NoRoute).
    pub max_visits: u64,
}

impl Query {
    /// Returns a query with usual limits: 1 % and 50 sat of fees, 2,016 blocks, 100 parts.
    pub fn new(payer: NodeKey, payee: NodeKey, amount_msat: u64) -> Self {
        Self {
            payer,
            payee,
            amount_msat,
            max_fee_msat: amount_msat / 100 + 50_000,
            max_cltv: 2_016,
            final_cltv: 18,
            max_parts: 100,
            max_hops: MAX_HOPS,
            out_through: Vec::new(),
            in_through: Vec::new(),
            last_hop: None,
            avoid_nodes: Vec::new(),
            avoid_channels: Vec::new(),
            round: 0,
            total_msat: 0,
            htlc_max_in_all: false,
            max_visits: 5_000_000,
        }
    }

    /// Returns what cannot be meant seriously in this query, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.amount_msat == 0 {
            return Some("the amount is zero");
        }
        if self.amount_msat > MAX_MSAT {
            return Some("the amount is more than all bitcoin");
        }
        if self.max_parts == 0 {
            return Some("no part is allowed");
        }
        if self.max_hops == 0 {
            return Some("no hop is allowed");
        }
        if self.avoid_nodes.contains(&self.payee) && self.payee != self.payer {
            return Some("the payee is among the nodes to avoid");
        }
        if self.max_cltv < self.final_cltv {
            return Some("the time lock allowed is less than the payee's own");
        }
        None
    }
}
