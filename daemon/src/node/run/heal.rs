//! Repairs gossip about our own channels, and asks peers for what our graph lacks.

use std::collections::HashMap;
use std::time::Duration;

use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use lightning::util::config::ChannelConfigUpdate;
use tokio::time::Instant;

use crate::node::Node;
use crate::node::gossip::ask::{Lacking, Worth};

/// How often [`Healer::heal`] wants to be called; it is cheap.
pub const TICK: Duration = Duration::from_secs(1);

/// How long our own policy may be missing from the graph before it is repeated.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a repeated policy has to take effect.
const BETWEEN_REMEDIES: Duration = Duration::from_secs(20);

/// Scanning the graph costs a tenth of a microsecond a channel; a pause of a millisecond a channel keeps it at a
/// ten-thousandth of the time.
const PAUSE_FOR_EACH_CHANNEL: Duration = Duration::from_millis(1);

/// Remembers what was repeated, and when to scan the graph again.
#[derive(Default)]
pub struct Healer {
    scan_at: Option<Instant>,
    unpriced: HashMap<ChannelId, Instant>,
    repeat_at: HashMap<ChannelId, Option<Instant>>,
}

impl Healer {
    /// Queries peers for what our graph lacks, and repeats what peers may lack of our channels.
    pub fn heal(&mut self, node: &Node) {
        node.ordered_gossip.refill_answers();
        let channels = due_in_graph(node);
        let ours = |id: &ChannelId| channels.iter().any(|channel| channel.channel_id == *id);
        self.unpriced.retain(|id, _| ours(id));
        self.repeat_at.retain(|id, _| ours(id));
        for channel in &channels {
            match known(node, channel) {
                // LDK keeps the peer's signatures if they arrive before our sixth block, and announces
                // then; if the announcement was lost all the same, the peer has it and is queried below.
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
        if self.scan_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let height = node.channel_manager.current_best_block().height;
        let (lacking, scanned) = lacking(node, ours, height);
        self.scan_at = Some(Instant::now() + PAUSE_FOR_EACH_CHANNEL * scanned);
        node.ordered_gossip.ask_for(lacking, height);
    }

    /// Without our policy nobody can route through us, and nobody else has it to give it back.
    fn repeat_policy_if_due(&mut self, node: &Node, channel: &ChannelDetails) {
        let in_a_moment = || Instant::now() + PATIENCE;
        let at = self.unpriced.entry(channel.channel_id).or_insert_with(in_a_moment);
        if *at <= Instant::now() {
            *at = Instant::now() + BETWEEN_REMEDIES;
            tracing::info!(channel = %channel.channel_id, "repeating our channel_update, which our own graph lacks");
            repeat_policy(node, channel);
        }
    }

    /// Repeats, a moment later, what a peer may have dropped of a young channel while it was still looking up the
    /// funding output; not all peers query for what they miss.
    fn repeat_once(&mut self, node: &Node, channel: &ChannelDetails) {
        let Some(scid) = channel.short_channel_id else { return };
        let height = node.channel_manager.current_best_block().height;
        let first = || (Worth::of(scid, height) == Worth::Young).then(|| Instant::now() + PATIENCE);
        let due = self.repeat_at.entry(channel.channel_id).or_insert_with(first);
        if due.is_some_and(|due| due <= Instant::now()) {
            *due = None;
            node.ordered_gossip.repeat(scid);
        }
    }
}

/// Returns our channels that everyone should know: public, and with the six confirmations of BOLT 7.
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

/// Returns the channels that the graph lacks something of, and how many were scanned.
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
                false => Worth::of(*scid, height),
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

/// Makes LDK broadcast a policy, which it does when it changes: one millisatoshi more, and back again.
fn repeat_policy(node: &Node, channel: &ChannelDetails) {
    let Some(config) = channel.config else { return };
    let with_base = |base_msat| ChannelConfigUpdate {
        forwarding_fee_base_msat: Some(base_msat),
        ..ChannelConfigUpdate::default()
    };
    let base_msat = config.forwarding_fee_base_msat;
    for base_msat in [base_msat.saturating_add(1), base_msat] {
        let peer = &channel.counterparty.node_id;
        let updated = node.channel_manager.update_partial_channel_config(
            peer,
            &[channel.channel_id],
            &with_base(base_msat),
        );
        if let Err(error) = updated {
            tracing::debug!(?error, "could not repeat the policy of a closed channel");
        }
    }
}
