//! Publishes how much on-chain money must stay for bumping commitments.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::tasks::Outcome;
use crate::wallet::reserve::reserve_sat;

/// How often the reserve is computed anew; opens compute their own in between.
const INTERVAL: Duration = Duration::from_secs(1);

/// Publishes the anchor reserve of now, in satoshis.
pub fn publish(node: &Node, reserve: &watch::Sender<Option<u64>>) {
    let now = Some(reserve_sat(node.channels_to_defend()));
    reserve.send_if_modified(|last| std::mem::replace(last, now) != now);
}

/// Publishes the anchor reserve again and again until `stopping`.
pub async fn keep_publishing(
    node: Arc<Node>,
    reserve: watch::Sender<Option<u64>>,
    stopping: CancellationToken,
) -> Outcome {
    while stopping.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        publish(&node, &reserve);
    }
    Ok(())
}
