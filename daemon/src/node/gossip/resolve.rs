//! Gives LDK's gossip the outcomes of checks against the chain.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::chain::{UtxoOutcome, UtxoOutcomes};
use crate::node::Node;
use crate::tasks::Outcome;

/// Takes outcomes into the graph, and on to peers, until the daemon stops.
///
/// No message is read meanwhile, so that none meets a check that is half done; then the node wakes, because the peer
/// manager has something to send.
///
/// # Errors
/// None.
pub async fn run(
    node: Arc<Node>,
    mut outcomes: UtxoOutcomes,
    stopping: CancellationToken,
) -> Outcome {
    loop {
        let outcome = tokio::select! {
            outcome = outcomes.recv() => outcome,
            () = stopping.cancelled() => return Ok(()),
        };
        let Some(UtxoOutcome { future, output }) = outcome else { return Ok(()) };
        {
            let _alone = node.resolving.write().unwrap_or_else(PoisonError::into_inner);
            future.resolve(node.gossip.network_graph(), &*node.gossip, output);
        }
        node.wake();
    }
}
