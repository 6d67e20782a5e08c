//! Views of the graph that follow gossip without stopping payments.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fulmen_routing::{Builder, Policy, View};
use lightning::routing::gossip::{ChannelInfo, ChannelUpdateInfo};

use crate::node::ldk::types::Graph;

/// How long a view is used, as a multiple of the time it took to build: building takes at most a fiftieth of one core,
/// whatever the size of the graph.
const SERVES_BUILD_TIMES: u32 = 50;
const SERVES_AT_LEAST: Duration = Duration::from_millis(200);

/// The newest view and when it has to be replaced.
pub(super) struct Views {
    graph: Arc<Graph>,
    newest: Mutex<Option<Built>>,
}

struct Built {
    view: Arc<View>,
    at: Instant,
    serves: Duration,
}

impl Views {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        Self { graph, newest: Mutex::new(None) }
    }

    /// Returns a view, and whether it was built just now.
    pub(super) fn current(&self) -> (Arc<View>, bool) {
        let newest = self.newest.lock().expect("no panic while held");
        match newest.as_ref() {
            Some(built) if built.at.elapsed() < built.serves => (built.view.clone(), false),
            _ => {
                drop(newest);
                (self.rebuild(), true)
            }
        }
    }

    /// Builds a view of the graph as it is now.
    pub(super) fn rebuild(&self) -> Arc<View> {
        let at = Instant::now();
        let view = Arc::new(build(&self.graph));
        let serves = (at.elapsed() * SERVES_BUILD_TIMES).max(SERVES_AT_LEAST);
        let built = Built { view: view.clone(), at: Instant::now(), serves };
        *self.newest.lock().expect("no panic while held") = Some(built);
        view
    }
}

fn build(graph: &Graph) -> View {
    let graph = graph.read_only();
    let mut builder = Builder::new();
    for (&scid, channel) in graph.channels().unordered_iter() {
        let capacity_sat = capacity_sat(channel);
        let capacity_msat = capacity_sat.saturating_mul(1_000);
        builder.channel(
            scid,
            [*channel.node_one.as_array(), *channel.node_two.as_array()],
            capacity_sat,
            [
                policy(channel.one_to_two.as_ref(), capacity_msat),
                policy(channel.two_to_one.as_ref(), capacity_msat),
            ],
        );
    }
    builder.build()
}

/// Estimates an unknown capacity by the greatest HTLC that either side accepts.
fn capacity_sat(channel: &ChannelInfo) -> u64 {
    let htlc_max_msat = |side: &Option<ChannelUpdateInfo>| {
        side.as_ref().map_or(0, |update| update.htlc_maximum_msat)
    };
    channel.capacity_sats.unwrap_or_else(|| {
        htlc_max_msat(&channel.one_to_two).max(htlc_max_msat(&channel.two_to_one)).div_ceil(1_000)
    })
}

fn policy(update: Option<&ChannelUpdateInfo>, capacity_msat: u64) -> Option<Policy> {
    let update = update.filter(|update| update.enabled)?;
    Some(Policy {
        base_msat: update.fees.base_msat,
        ppm: update.fees.proportional_millionths,
        cltv_delta: update.cltv_expiry_delta,
        htlc_min_msat: update.htlc_minimum_msat,
        htlc_max_msat: update.htlc_maximum_msat.min(capacity_msat),
    })
}
