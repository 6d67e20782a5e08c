//! Feeds LDK's scorer, the graph and our beliefs with the outcomes of payments and probes.

use std::time::Duration;

use lightning::events::{Event, PathFailure};
use lightning::routing::gossip::NetworkUpdate;
use lightning::routing::router::Path;
use lightning::routing::scoring::ScoreUpdate;

use crate::node::Node;
use crate::node::planner::{Fate, Lesson};

/// Learns from `event` at time `now` (since the epoch); ignores events without a path.
///
/// A replayed event is learnt twice, which at worst makes a belief about a channel slightly too strong.
pub fn learn(node: &Node, event: &Event, now: Duration) {
    if let Event::PaymentPathFailed { failure, .. } = event
        && let PathFailure::OnPath { network_update: Some(update) } = failure
    {
        node.graph.handle_network_update(update);
    }
    let Some((path, fate)) = fate(event) else { return };
    let lesson = Lesson { payer: node.id(), path: path.clone(), fate };
    node.router.planner().learn(&lesson);
    let mut scorer = node.scorer.write().expect("no panic while held");
    if let Event::ProbeFailed { short_channel_id: Some(scid), .. } = event {
        scorer.probe_failed(path, *scid, now);
        return;
    }
    match fate {
        Fate::Settled => scorer.payment_path_successful(path, now),
        Fate::Reached => scorer.probe_successful(path, now),
        Fate::FailedAt(scid) | Fate::BrokenAt(scid) => scorer.payment_path_failed(path, scid, now),
    }
}

fn is_on(path: &Path, scid: u64) -> bool {
    path.hops.iter().any(|hop| hop.short_channel_id == scid)
}

fn fate(event: &Event) -> Option<(&Path, Fate)> {
    if let Event::PaymentPathSuccessful { path, .. } = event {
        return Some((path, Fate::Settled));
    }
    if let Event::ProbeSuccessful { path, .. } = event {
        return Some((path, Fate::Reached));
    }
    if let Event::ProbeFailed { path, short_channel_id: Some(scid), .. } = event {
        return Some((path, Fate::FailedAt(*scid)));
    }
    if let Event::PaymentPathFailed {
        path,
        failure: PathFailure::OnPath { network_update },
        short_channel_id,
        payment_failed_permanently,
        ..
    } = event
    {
        let broken = match network_update {
            Some(NetworkUpdate::ChannelFailure { short_channel_id, is_permanent: true }) => {
                Some(*short_channel_id)
            }
            Some(NetworkUpdate::ChannelFailure { .. } | NetworkUpdate::NodeFailure { .. })
            | None => None,
        };
        if let Some(scid) = broken.filter(|scid| is_on(path, *scid)) {
            return Some((path, Fate::BrokenAt(scid)));
        }
        return match short_channel_id {
            Some(scid) => Some((path, Fate::FailedAt(*scid))),
            // The payee itself refused: every hop on the way carried the HTLC.
            None if *payment_failed_permanently => Some((path, Fate::Reached)),
            None => None,
        };
    }
    None
}
