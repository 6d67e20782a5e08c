//! Sees that the network knows our node and our channels, and that we know the network.

pub mod answer;
pub mod ask;
pub mod order;
pub mod survey;

use std::collections::HashMap;
use std::time::Duration;

use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::SocketAddress;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use lightning::util::config::ChannelConfigUpdate;
use tokio::time::Instant;

use super::Node;
use ask::{Lacking, Worth};

/// How often the question is asked; asking is cheap.
pub const TICK: Duration = Duration::from_secs(1);
/// Peers forget nodes after two weeks; newcomers want to hear of us sooner.
const REPEAT: Duration = Duration::from_secs(6 * 3600);

/// How long our own policy may be missing before something is done.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what was done has to take effect.
const BETWEEN_REMEDIES: Duration = Duration::from_secs(20);

/// Blocks in which a channel counts as young: about a day.
const YOUNG: u32 = 144;
/// Looking through the graph costs a tenth of a microsecond a channel; so long a pause for each keeps it
/// at a ten-thousandth of the time.
const PAUSE_FOR_EACH_CHANNEL: Duration = Duration::from_millis(1);

/// Remembers what was announced last, and what does not seem to be known.
#[derive(Default)]
pub struct Announcer {
    last: Option<(Instant, usize)>,
    look_at: Option<Instant>,
    unpriced: HashMap<ChannelId, Instant>,
    repeat_at: HashMap<ChannelId, Option<Instant>>,
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
    /// Asks for what our graph lacks, and says again what peers may lack of our channels.
    pub fn heal(&mut self, node: &Node) {
        node.ordered_gossip.refill_answers();
        let channels = due_in_graph(node);
        let ours = |id: &ChannelId| channels.iter().any(|channel| channel.channel_id == *id);
        self.unpriced.retain(|id, _| ours(id));
        self.repeat_at.retain(|id, _| ours(id));
        for channel in &channels {
            match known(node, channel) {
                // LDK keeps the peer's half if it comes before our sixth block, and announces then; if
                // our proof was lost all the same, the peer has it and is asked for it below.
                Known::Nothing => (),
                Known::WithoutOwnPolicy => self.repeat_policy_if_due(node, channel),
                Known::WithOwnPolicy => {
                    self.unpriced.remove(&channel.channel_id);
                    self.repeat_once(node, channel);
                }
            }
        }
        self.ask_if_due(node, &channels);
    }

    fn ask_if_due(&mut self, node: &Node, ours: &[ChannelDetails]) {
        if self.look_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let height = node.channel_manager.current_best_block().height;
        let (lacking, looked_at) = lacking(node, ours, height);
        self.look_at = Some(Instant::now() + PAUSE_FOR_EACH_CHANNEL * looked_at);
        node.ordered_gossip.ask_for(lacking, height);
    }

    /// Without it nobody can route through us; nobody else has it to give it back.
    fn repeat_policy_if_due(&mut self, node: &Node, channel: &ChannelDetails) {
        let in_a_moment = || Instant::now() + PATIENCE;
        let at = self.unpriced.entry(channel.channel_id).or_insert_with(in_a_moment);
        if *at <= Instant::now() {
            *at = Instant::now() + BETWEEN_REMEDIES;
            tracing::info!(channel = %channel.channel_id, "gossip lost what we charge: once more");
            repeat_policy(node, channel);
        }
    }

    /// Says once more, a moment later, what a peer may have dropped of a young channel while it was still
    /// proving it; not all peers ask for what they miss.
    fn repeat_once(&mut self, node: &Node, channel: &ChannelDetails) {
        let Some(scid) = channel.short_channel_id else { return };
        let height = node.channel_manager.current_best_block().height;
        let first = || (worth(scid, height) == Worth::Young).then(|| Instant::now() + PATIENCE);
        let due = self.repeat_at.entry(channel.channel_id).or_insert_with(first);
        if due.is_some_and(|due| due <= Instant::now()) {
            *due = None;
            node.ordered_gossip.repeat(scid);
        }
    }
}

/// Our channels that everyone should know of: public, and as deep in the chain as BOLT 7 asks for.
fn due_in_graph(node: &Node) -> Vec<ChannelDetails> {
    let mut channels = node.channel_manager.list_usable_channels();
    channels.retain(|channel| {
        channel.is_announced && channel.confirmations.is_some_and(|depth| depth >= 6)
    });
    channels
}

/// What our own graph knows of one of our channels.
enum Known {
    Nothing,
    WithoutOwnPolicy,
    WithOwnPolicy,
}

fn known(node: &Node, channel: &ChannelDetails) -> Known {
    let graph = node.graph.read_only();
    let Some(known) = channel.short_channel_id.and_then(|scid| graph.channel(scid)) else {
        return Known::Nothing;
    };
    let ours = match known.node_one == NodeId::from_pubkey(&node.id()) {
        true => &known.one_to_two,
        false => &known.two_to_one,
    };
    match ours {
        Some(_) => Known::WithOwnPolicy,
        None => Known::WithoutOwnPolicy,
    }
}

/// Returns the channels of which the graph lacks something, and how many were looked at.
fn lacking(node: &Node, ours: &[ChannelDetails], height: u32) -> (Vec<Lacking>, u32) {
    let own_id = NodeId::from_pubkey(&node.id());
    let graph = node.graph.read_only();
    let one_sided = graph
        .channels()
        .unordered_iter()
        .filter(|(_, channel)| channel.one_to_two.is_none() || channel.two_to_one.is_none())
        .map(|(scid, channel)| {
            let known_to = [channel.node_one, channel.node_two];
            let worth = match known_to.contains(&own_id) {
                true => Worth::Ours,
                false => worth(*scid, height),
            };
            Lacking { short_channel_id: *scid, known_to, worth }
        });
    let absent = ours.iter().filter_map(|channel| {
        let short_channel_id = channel.short_channel_id?;
        let peer = NodeId::from_pubkey(&channel.counterparty.node_id);
        graph.channel(short_channel_id).is_none().then_some(Lacking {
            short_channel_id,
            known_to: [peer, peer],
            worth: Worth::Ours,
        })
    });
    let lacking = one_sided.chain(absent).collect();
    (lacking, u32::try_from(graph.channels().len()).unwrap_or(u32::MAX))
}

/// A short channel id begins with the height of the block that holds the funding (BOLT 7).
fn worth(short_channel_id: u64, height: u32) -> Worth {
    match short_channel_id >> 40 >= u64::from(height.saturating_sub(YOUNG)) {
        true => Worth::Young,
        false => Worth::Old,
    }
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
    fn channels_of_the_last_day_are_young() {
        let at = |block: u64| (block << 40) | (7 << 16) | 1;
        for (block, height, expected) in [
            (1_000, 1_006, Worth::Young),
            (1_000, 1_144, Worth::Young),
            (1_000, 1_145, Worth::Old),
            (1_000, 999, Worth::Young),
            (3, 100, Worth::Young),
        ] {
            assert_eq!(worth(at(block), height), expected, "{block} at {height}");
        }
    }

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
