//! What each of the brothers (`peers channels invoices payments forwards`) is built from.

use std::sync::Arc;

use crate::admission::AdmissionCheck;
use crate::clock::Clock;
use crate::feerates::Feerates;
use crate::journal::Journal;
use crate::node::Node;
use crate::storage::Store;
use crate::tasks::Tasks;

/// The rooms below the brothers; clones share them.
#[derive(Clone)]
pub struct Parts {
    /// LDK.
    pub node: Arc<Node>,
    /// On-chain fee estimates.
    pub feerates: Arc<Feerates>,
    /// Records.
    pub store: Store,
    /// The log of what happened, written in one batch with the record that it is about.
    pub journal: Journal,
    /// Spawns tasks and stops them in stages.
    pub tasks: Tasks,
    /// Asked before the node takes on an obligation: a payment, a channel.
    pub admission: AdmissionCheck,
    /// Stamps records and decides what has expired.
    pub clock: Clock,
}
