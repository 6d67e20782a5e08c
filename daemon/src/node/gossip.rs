//! Sees that the network knows our node and our channels.

use std::collections::HashMap;
use std::time::Duration;

use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::SocketAddress;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use lightning::util::config::ChannelConfigUpdate;
use tokio::time::Instant;

use super::Node;

/// How often the question is asked; asking is cheap.
pub const ANNOUNCE_TICK: Duration = Duration::from_secs(1);
/// Peers forget nodes after two weeks; newcomers want to hear of us sooner.
const REPEAT: Duration = Duration::from_secs(6 * 3600);

/// How long a channel that everyone should know of may be missing before something is done.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what was done has to take effect.
const BETWEEN_REMEDIES: Duration = Duration::from_secs(20);

/// Remembers what was announced last, and what the network does not seem to know.
#[derive(Default)]
pub struct Announcer {
    last: Option<(Instant, usize)>,
    missing: HashMap<ChannelId, Instant>,
    repeat_at: HashMap<ChannelId, Option<Instant>>,
}

/// What our own graph lacks of one of our announced channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// The channel.
    Channel,
    /// What we charge for it.
    OwnPolicy,
}

impl Announcer {
    /// Announces the node when it first has public channels, when their number or the peers changed, and
    /// every six hours.
    ///
    /// BOLT 7: an announcement of a node without announced channels is ignored by everyone.
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
            .filter_map(|address| super::net::parse_address(address).ok())
            .collect();
        let rgb = node.config.rgb().unwrap_or_default();
        node.peer_manager.broadcast_node_announcement(rgb, node.config.alias_bytes(), addresses);
    }
}

impl Announcer {
    /// Does again what gossip lost for one of our channels.
    ///
    /// A peer that saw the sixth block before us sends its half of the announcement too early; LDK drops
    /// it, and neither side repeats it before the next connection. Without the announcement our side never
    /// says what it charges, so nobody can route through us.
    pub fn heal(&mut self, node: &Node) {
        let channels = node.channel_manager.list_usable_channels();
        let ours = |id: &ChannelId| channels.iter().any(|channel| channel.channel_id == *id);
        self.missing.retain(|id, _| ours(id));
        self.repeat_at.retain(|id, _| ours(id));
        for channel in channels.iter().filter(|channel| is_due_in_graph(channel)) {
            let Some(lack) = lack(node, channel) else {
                self.missing.remove(&channel.channel_id);
                self.repeat_once(node, channel);
                continue;
            };
            let at =
                self.missing.entry(channel.channel_id).or_insert_with(|| Instant::now() + PATIENCE);
            if *at > Instant::now() {
                continue;
            }
            *at = Instant::now() + BETWEEN_REMEDIES;
            tracing::info!(channel = %channel.channel_id, ?lack, "gossip lost a part of our channel");
            match lack {
                Lack::Channel => {
                    node.peer_manager.disconnect_by_node_id(channel.counterparty.node_id);
                }
                Lack::OwnPolicy => repeat_policy(node, channel),
            }
        }
    }
}

impl Announcer {
    /// Says once more, a moment later, what a peer may have dropped while it was still proving the channel.
    fn repeat_once(&mut self, node: &Node, channel: &ChannelDetails) {
        let due =
            self.repeat_at.entry(channel.channel_id).or_insert(Some(Instant::now() + PATIENCE));
        if due.is_some_and(|due| due <= Instant::now()) {
            *due = None;
            if let Some(scid) = channel.short_channel_id {
                node.ordered_gossip.repeat(scid);
            }
        }
    }
}

/// Public, and as deep in the chain as BOLT 7 asks for.
fn is_due_in_graph(channel: &ChannelDetails) -> bool {
    channel.is_announced && channel.confirmations.is_some_and(|depth| depth >= 6)
}

fn lack(node: &Node, channel: &ChannelDetails) -> Option<Lack> {
    let graph = node.graph.read_only();
    let Some(known) = channel.short_channel_id.and_then(|scid| graph.channel(scid)) else {
        return Some(Lack::Channel);
    };
    let ours = match known.node_one == NodeId::from_pubkey(&node.id()) {
        true => &known.one_to_two,
        false => &known.two_to_one,
    };
    ours.is_none().then_some(Lack::OwnPolicy)
}

/// LDK broadcasts a policy when it changes: one millisatoshi more, and back again.
fn repeat_policy(node: &Node, channel: &ChannelDetails) {
    let Some(config) = channel.config else { return };
    let with_base = |base_msat| ChannelConfigUpdate {
        forwarding_fee_base_msat: Some(base_msat),
        ..ChannelConfigUpdate::default()
    };
    let base_msat = config.forwarding_fee_base_msat;
    for base_msat in [base_msat.saturating_add(1), base_msat] {
        let peer = &channel.counterparty.node_id;
        let told = node.channel_manager.update_partial_channel_config(
            peer,
            &[channel.channel_id],
            &with_base(base_msat),
        );
        if let Err(error) = told {
            tracing::debug!(?error, "the channel is gone");
        }
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
