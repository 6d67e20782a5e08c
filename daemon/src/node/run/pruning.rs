//! Tells gossip which blocks bitcoind has pruned.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::chain::ChainSource;
use crate::node::Node;
use crate::tasks::Outcome;

const PAUSE: Duration = Duration::from_secs(60);

/// Asks bitcoind every minute until `stopping`; a bitcoind that is away changes nothing.
pub async fn follow(
    node: Arc<Node>,
    source: impl ChainSource,
    stopping: CancellationToken,
) -> Outcome {
    while !stopping.is_cancelled() {
        tokio::select! {
            answer = source.pruned_below() => {
                if let Ok(height) = answer {
                    node.ordered_gossip.set_pruned_below(height.unwrap_or(0));
                }
            }
            () = stopping.cancelled() => (),
        }
        stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    Ok(())
}
