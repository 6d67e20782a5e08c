//! Feeds LDK's scorer, the graph and our beliefs with the outcomes of payments and probes.

use std::time::Duration;

use lightning::events::{Event, PathFailure};
use lightning::routing::gossip::NetworkUpdate;
use lightning::routing::router::Path;
use lightning::routing::scoring::ScoreUpdate;

use crate::node::Node;
use crate::node::planner::{HtlcOutcome, PathOutcome};

/// Learns from `event` at time `now` (since the epoch); ignores events without a path.
///
/// A replayed event is learnt twice, which at worst makes a belief about a channel slightly too strong.
pub fn learn(node: &Node, event: &Event, now: Duration) {
    if let Event::PaymentPathFailed { failure, .. } = event
        && let PathFailure::OnPath { network_update: Some(update) } = failure
    {
        node.graph.handle_network_update(update);
    }
    let Some((path, outcome)) = outcome(event) else { return };
    let path_outcome = PathOutcome { payer: node.id(), path: path.clone(), outcome };
    node.router.planner().learn(&path_outcome);
    let mut scorer = node.scorer.write().expect("no panic while held");
    if let Event::ProbeFailed { short_channel_id: Some(scid), .. } = event {
        scorer.probe_failed(path, *scid, now);
        return;
    }
    match outcome {
        HtlcOutcome::Settled => scorer.payment_path_successful(path, now),
        HtlcOutcome::Reached => scorer.probe_successful(path, now),
        HtlcOutcome::FailedAt(scid) | HtlcOutcome::BrokenAt(scid) => {
            scorer.payment_path_failed(path, scid, now)
        }
    }
}

fn is_on(path: &Path, scid: u64) -> bool {
    path.hops.iter().any(|hop| hop.short_channel_id == scid)
}

fn outcome(event: &Event) -> Option<(&Path, HtlcOutcome)> {
    if let Event::PaymentPathSuccessful { path, .. } = event {
        return Some((path, HtlcOutcome::Settled));
    }
    if let Event::ProbeSuccessful { path, .. } = event {
        return Some((path, HtlcOutcome::Reached));
    }
    if let Event::ProbeFailed { path, short_channel_id: Some(scid), .. } = event {
        return Some((path, HtlcOutcome::FailedAt(*scid)));
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
            return Some((path, HtlcOutcome::BrokenAt(scid)));
        }
        return match short_channel_id {
            Some(scid) => Some((path, HtlcOutcome::FailedAt(*scid))),
            // The payee itself refused: every hop on the way carried the HTLC.
            None if *payment_failed_permanently => Some((path, HtlcOutcome::Reached)),
            None => None,
        };
    }
    None
}
