//! A coin that an application has reserved for a time.

use std::collections::BTreeMap;

use bitcoin::OutPoint;

/// A reserved coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The coin.
    pub outpoint: OutPoint,
    /// The name under which it is reserved; who knows it renews or ends the lease.
    pub name: String,
    /// Unix time at which the lease ends by itself.
    pub expires_at: u64,
}

/// Leases by coin; those that have ended are among them until somebody looks.
pub(super) type Leases = BTreeMap<OutPoint, Lease>;
