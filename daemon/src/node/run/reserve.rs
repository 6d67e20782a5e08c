//! Publishes how much on-chain money must stay for bumping commitments.

use std::sync::Arc;
use std::time::Duration;

use lightning::ln::channel_state::ChannelDetails;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::feerates::Feerates;
use crate::node::Node;
use crate::tasks::Outcome;
use crate::wallet::reserve::{self, AnchorReserve, AtStake};

/// How often the reserve is computed anew; opens compute their own in between.
const INTERVAL: Duration = Duration::from_secs(1);

/// The anchor reserve of now: for open channels, and for closed ones that somebody else may still claim from.
pub fn of(node: &Node, feerates: &Feerates) -> AnchorReserve {
    let open = node.channel_manager.list_channels();
    let closed = node.contested_sat(&open).into_iter().map(|htlcs_sat| AtStake {
        capacity_sat: htlcs_sat.iter().sum(),
        htlcs_sat,
        confirmed: true,
    });
    reserve::needed(open.iter().map(at_stake).chain(closed), feerates.for_anchor_reserve())
}

/// Publishes the anchor reserve of now.
pub fn publish(node: &Node, feerates: &Feerates, published: &watch::Sender<Option<AnchorReserve>>) {
    let now = Some(of(node, feerates));
    published.send_if_modified(|last| std::mem::replace(last, now) != now);
}

/// Publishes the anchor reserve again and again until `stopping`.
pub async fn keep_publishing(
    node: Arc<Node>,
    feerates: Feerates,
    published: watch::Sender<Option<AnchorReserve>>,
    stopping: CancellationToken,
) -> Outcome {
    let mut changes = node.watch_channels();
    loop {
        publish(&node, &feerates, &published);
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => (),
            Ok(()) = changes.changed() => (),
            () = stopping.cancelled() => return Ok(()),
        }
    }
}

fn at_stake(channel: &ChannelDetails) -> AtStake {
    let inbound = channel.pending_inbound_htlcs.iter().map(|htlc| htlc.amount_msat / 1_000);
    let outbound = channel.pending_outbound_htlcs.iter().map(|htlc| htlc.amount_msat / 1_000);
    AtStake {
        capacity_sat: channel.channel_value_satoshis,
        htlcs_sat: inbound.chain(outbound).collect(),
        confirmed: channel.is_channel_ready || channel.confirmations.is_some_and(|depth| depth > 0),
    }
}
