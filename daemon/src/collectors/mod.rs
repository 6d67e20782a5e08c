//! The metrics of the rooms, collected for each scrape from the rooms' public methods.

mod rooms;
mod since_start;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use since_start::Counted;

use crate::admission::Admission;
use crate::chain::Tip;
use crate::channels::Channels;
use crate::forwards::Forwards;
use crate::journal::Journal;
use crate::metrics::Registry;
use crate::node::Node;
use crate::payments::Payments;
use crate::storage::Store;
use crate::tasks::{Stage, Tasks};

/// How often the journal is counted without a scrape, so that no scrape has to read a week of it.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// The rooms that are observed.
pub struct MeasuredRooms {
    /// LDK.
    pub node: Arc<Node>,
    /// The last block that all listeners have seen.
    pub tip: watch::Receiver<Tip>,
    /// Whether the node takes on new obligations.
    pub admission: Admission,
    /// Channels.
    pub channels: Channels,
    /// Outgoing payments.
    pub payments: Payments,
    /// Forwards.
    pub forwards: Forwards,
    /// The journal.
    pub journal: Journal,
    /// The store.
    pub store: Store,
    /// Unix time of the start.
    pub started_at: u64,
}

/// Registers the metrics and the health of all rooms; events are counted from now on.
pub fn register(rooms: MeasuredRooms, registry: &Registry, tasks: &Tasks) {
    let admission = rooms.admission.clone();
    registry.report_health(move || admission.obstacles().iter().map(ToString::to_string).collect());
    let counted = Arc::new(Counted::from_now(rooms.journal.clone()));
    let counting = counted.clone();
    tasks.spawn(Stage::Work, "count events for metrics", |stopping| async move {
        loop {
            counting.catch_up();
            tokio::select! {
                () = tokio::time::sleep(COUNT_EVERY) => (),
                () = stopping.cancelled() => return Ok(()),
            }
        }
    });
    registry.register(move || {
        counted.catch_up();
        let mut metrics = rooms.metrics();
        metrics.extend(counted.metrics());
        metrics
    });
}
