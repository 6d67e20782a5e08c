//! What the daemon tells of its rooms to watching programs: gathered when they ask, by what the rooms tell anyway.

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

/// How often the journal is counted though nobody asks, so that whoever asks does not wait for a week of it.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// The rooms that have something to tell.
pub struct Rooms {
    /// LDK.
    pub node: Arc<Node>,
    /// The last block that all listeners have seen.
    pub tip: watch::Receiver<Tip>,
    /// Whether anything new may be taken on.
    pub admission: Admission,
    /// Channels.
    pub channels: Channels,
    /// Outgoing payments.
    pub payments: Payments,
    /// What passed through.
    pub forwards: Forwards,
    /// What happened.
    pub journal: Journal,
    /// Where all is kept.
    pub store: Store,
    /// Unix time of the start.
    pub started_at: u64,
}

/// Hands everything to the registry; what happens from now on is counted.
pub fn tell(rooms: Rooms, registry: &Registry, tasks: &Tasks) {
    let admission = rooms.admission.clone();
    registry.report_health(move || admission.obstacles().iter().map(ToString::to_string).collect());
    let counted = Arc::new(Counted::from_now(rooms.journal.clone()));
    let counting = counted.clone();
    tasks.spawn(Stage::Work, "count what happened", |stopping| async move {
        loop {
            counting.catch_up();
            tokio::select! {
                () = tokio::time::sleep(COUNT_EVERY) => (),
                () = stopping.cancelled() => return Ok(()),
            }
        }
    });
    registry.tell(move || {
        counted.catch_up();
        let mut figures = rooms.figures();
        figures.extend(counted.figures());
        figures
    });
}
