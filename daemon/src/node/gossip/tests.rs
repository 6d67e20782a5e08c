//! Gossip as peers see it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lightning::ln::msgs::{BaseMessageHandler as _, MessageSendEvent, RoutingMessageHandler as _};

use super::answer::QueryResponder;
use super::fake;
use super::order::{OrderedGossip, Resolving};
use crate::node::ldk::logger::Logger;
use crate::node::ldk::types::GossipSync;

const SCID: u64 = (5 << 40) | (1 << 16);
const NODES: [u8; 2] = [1, 2];

fn gossip() -> OrderedGossip {
    let graph = fake::graph();
    // Without a look-up, as of a bitcoind that has proved the channel at once.
    let sync = Arc::new(GossipSync::new(graph.clone(), None, Arc::new(Logger::default())));
    OrderedGossip::new(sync, Resolving::default(), Arc::new(QueryResponder::new(graph)))
}

/// LDK takes no update that is older than two weeks.
fn now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u32::try_from(now.as_secs()).expect("before 2106")
}

/// What goes out to everybody, in order.
fn sent(gossip: &OrderedGossip) -> Vec<&'static str> {
    let events = gossip.get_and_clear_pending_msg_events().into_iter();
    let word = |event| match event {
        MessageSendEvent::BroadcastChannelAnnouncement { .. } => "announcement",
        MessageSendEvent::BroadcastChannelUpdate { .. } => "update",
        other => panic!("{other:?}"),
    };
    events.map(word).collect()
}

#[test]
fn an_announcement_goes_out_with_the_first_update() {
    let gossip = gossip();
    let announcement = fake::announcement(SCID, NODES);
    let is_relayed = gossip.handle_channel_announcement(Some(fake::key(9)), &announcement);
    assert_eq!(is_relayed.ok(), Some(false));
    assert!(sent(&gossip).is_empty());
    assert!(gossip.get_next_channel_announcement(0).is_none(), "nor to those who ask for all");

    let update = |timestamp| fake::update(SCID, NODES, timestamp);
    let is_relayed = gossip.handle_channel_update(Some(fake::key(9)), &update(now() - 10));
    assert_eq!(is_relayed.ok(), Some(false), "it goes out after the announcement");
    assert_eq!(sent(&gossip), ["announcement", "update"]);
    assert!(gossip.get_next_channel_announcement(0).is_some());

    let is_relayed = gossip.handle_channel_update(Some(fake::key(9)), &update(now()));
    assert_eq!(is_relayed.ok(), Some(true));
    assert!(sent(&gossip).is_empty());
}

#[test]
fn channels_of_pruned_blocks_are_taken_by_their_signatures() {
    let gossip = gossip();
    gossip.set_pruned_below(6);
    let mut forged = fake::announcement(SCID, NODES);
    forged.bitcoin_signature_1 = forged.bitcoin_signature_2;
    assert!(gossip.handle_channel_announcement(Some(fake::key(9)), &forged).is_err());
    let genuine = fake::announcement(SCID, NODES);
    assert!(gossip.handle_channel_announcement(Some(fake::key(9)), &genuine).is_ok());
}
