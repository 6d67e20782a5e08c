//! Announces our node to the network (BOLT 7, `node_announcement`).

use std::time::Duration;

use lightning::ln::msgs::SocketAddress;
use lightning::routing::gossip::NodeId;
use tokio::time::Instant;

use crate::node::{Node, address};

/// Peers forget nodes after two weeks; new nodes should hear of us sooner.
const REPEAT: Duration = Duration::from_secs(6 * 3600);

/// Remembers the last announcement: when, and with how many announced channels.
#[derive(Default)]
pub struct NodeAnnouncer {
    last: Option<(Instant, usize)>,
}

impl NodeAnnouncer {
    /// Announces the node when it first has announced channels, when their number changes, and every six hours.
    ///
    /// BOLT 7: everyone ignores the announcement of a node without announced channels.
    pub fn announce_if_due(&mut self, node: &Node) {
        let announced = announced_channels(node);
        if !is_due(self.last.map(|(at, channels)| (at.elapsed(), channels)), announced) {
            return;
        }
        self.last = Some((Instant::now(), announced));
        let addresses: Vec<SocketAddress> = node
            .config
            .announce_addresses
            .iter()
            .filter_map(|address| address::parse(address).ok())
            .collect();
        let rgb = node.config.rgb().unwrap_or_default();
        node.peer_manager.broadcast_node_announcement(rgb, node.config.alias_bytes(), addresses);
    }
}

fn announced_channels(node: &Node) -> usize {
    let graph = node.graph.read_only();
    let id = NodeId::from_pubkey(&node.id());
    graph.node(&id).map_or(0, |node| node.channels.len())
}

fn is_due(last: Option<(Duration, usize)>, announced: usize) -> bool {
    match last {
        _ if announced == 0 => false,
        None => true,
        Some((age, before)) => before != announced || age >= REPEAT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_at_first_channel_at_each_change_and_every_six_hours() {
        let minute = Duration::from_secs(60);
        assert!(!is_due(None, 0));
        assert!(is_due(None, 1));
        assert!(!is_due(Some((minute, 1)), 1));
        assert!(is_due(Some((minute, 1)), 2));
        assert!(is_due(Some((REPEAT, 1)), 1));
        assert!(!is_due(Some((REPEAT, 1)), 0));
    }
}
