//! The network graph.

use fulmen_lnd_proto::lnrpc;
use lightning::ln::msgs::SocketAddress;
use lightning::routing::gossip::{ChannelInfo, ChannelUpdateInfo, NodeId, NodeInfo};

use super::channel::signed;
use super::features::features;

/// The transaction of a funding output that is not ours: gossip does not carry it.
const UNKNOWN_TXID: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Writes a channel; `funding` is its output as `txid:index`, where it is ours and so known.
pub fn edge(scid: u64, info: &ChannelInfo, funding: Option<String>) -> lnrpc::ChannelEdge {
    let policies = [info.one_to_two.as_ref(), info.two_to_one.as_ref()];
    let newest = policies.into_iter().flatten().map(|update| update.last_update).max();
    lnrpc::ChannelEdge {
        channel_id: scid,
        chan_point: funding.unwrap_or_else(|| format!("{UNKNOWN_TXID}:{}", scid & 0xffff)),
        last_update: newest.unwrap_or(0),
        node1_pub: info.node_one.to_string(),
        node2_pub: info.node_two.to_string(),
        capacity: signed(info.capacity_sats.unwrap_or(0)),
        node1_policy: info.one_to_two.as_ref().map(policy),
        node2_policy: info.two_to_one.as_ref().map(policy),
        ..Default::default()
    }
}

/// Writes a node.
pub fn node(node_id: &NodeId, info: &NodeInfo) -> lnrpc::LightningNode {
    let bare = lnrpc::LightningNode {
        pub_key: node_id.to_string(),
        color: "#000000".to_owned(),
        ..Default::default()
    };
    let Some(announced) = &info.announcement_info else { return bare };
    let [red, green, blue] = announced.rgb();
    lnrpc::LightningNode {
        last_update: announced.last_update(),
        // `Display` of an alias leaves out what could harm a terminal.
        alias: announced.alias().to_string(),
        addresses: announced.addresses().iter().map(address).collect(),
        color: format!("#{red:02x}{green:02x}{blue:02x}"),
        features: features(announced.features().le_flags()),
        ..bare
    }
}

fn address(address: &SocketAddress) -> lnrpc::NodeAddress {
    lnrpc::NodeAddress { network: "tcp".to_owned(), addr: address.to_string() }
}

fn policy(update: &ChannelUpdateInfo) -> lnrpc::RoutingPolicy {
    lnrpc::RoutingPolicy {
        time_lock_delta: update.cltv_expiry_delta.into(),
        min_htlc: signed(update.htlc_minimum_msat),
        fee_base_msat: update.fees.base_msat.into(),
        fee_rate_milli_msat: update.fees.proportional_millionths.into(),
        disabled: !update.enabled,
        max_htlc_msat: update.htlc_maximum_msat,
        last_update: update.last_update,
        ..Default::default()
    }
}
