//! Opening, finding, watching and closing channels.
use anyhow::{Context as _, Result, bail};
use fulmen_proto::v1::close_channel_update::State as CloseState;
use fulmen_proto::v1::open_channel_update::State as OpenState;
use fulmen_proto::v1::{
    Channel, ChannelRef, CloseChannelRequest, CloseChannelUpdate, ClosedChannel,
    ListClosedChannelsRequest, OpenChannelRequest, channel_ref, open_channel_request,
};

use super::chain;
use crate::daemon::Node;
pub use crate::daemon::channels::{all, between, by_id, carries_htlcs, usable};
use crate::network::Network;
use crate::network::funding::{ANNOUNCE_DEPTH, follow_open};
use crate::poll::{self, Look};

/// The request that opens a public channel with default policy.
pub fn open_request(accepter: &Node, capacity_sat: u64, push_msat: u64) -> OpenChannelRequest {
    OpenChannelRequest {
        node_id: accepter.id(),
        address: accepter.address(),
        amount: Some(open_channel_request::Amount::CapacitySat(capacity_sat)),
        push_msat,
        announce: true,
        ..OpenChannelRequest::default()
    }
}

/// Opens a channel, mines, and returns when it is usable on both sides.
pub async fn open(
    network: &Network,
    opener: usize,
    accepter: usize,
    request: OpenChannelRequest,
) -> Result<Channel> {
    let stream = network.nodes[opener].channels().open(request).await.context("opening")?;
    let mut stream = stream.into_inner();
    network.follow_to_mempool(&mut stream).await?;
    network.mine(ANNOUNCE_DEPTH).await?;
    let ready = follow_open(&mut stream, OpenState::Ready).await?;
    for node in [opener, accepter] {
        usable(&network.nodes[node], &ready.channel_id).await?;
    }
    by_id(&network.nodes[opener], &ready.channel_id).await
}

/// How requests name a channel.
pub fn reference(channel_id: &[u8]) -> ChannelRef {
    ChannelRef { by: Some(channel_ref::By::ChannelId(channel_id.to_vec())) }
}

/// The request that closes a channel by agreement.
pub fn close_request(channel_id: &[u8]) -> CloseChannelRequest {
    CloseChannelRequest { channel: Some(reference(channel_id)), ..CloseChannelRequest::default() }
}

/// Closes a channel by agreement, and mines the closing transaction.
pub async fn close(network: &Network, closer: usize, channel_id: &[u8]) -> Result<()> {
    let node = &network.nodes[closer];
    follow_close(node, close_request(channel_id)).await?;
    closed(node, channel_id).await?;
    chain::mempool_holds_some(network).await?;
    network.mine(1).await
}

/// Publishes the closer's commitment transaction.
pub async fn force_close(node: &Node, channel_id: &[u8]) -> Result<CloseChannelUpdate> {
    follow_close(node, CloseChannelRequest { force: true, ..close_request(channel_id) }).await
}

/// Closes and follows the stream to its end, which may come before the channel is closed.
pub async fn follow_close(node: &Node, request: CloseChannelRequest) -> Result<CloseChannelUpdate> {
    let what = format!("{} closes a channel", node.name());
    poll::bounded(&what, async {
        let mut stream = node.channels().close(request).await?.into_inner();
        let mut last = None;
        while let Some(update) = stream.message().await? {
            if update.state() == CloseState::Failed {
                bail!("the close failed: {}", update.reason);
            }
            last = Some(update);
        }
        last.context("the stream said nothing")
    })
    .await
}

/// Waits until a node lists a channel as closed.
pub async fn closed(node: &Node, channel_id: &[u8]) -> Result<ClosedChannel> {
    poll::eventually(&format!("{} lists the channel as closed", node.name()), async || {
        let answer = node.channels().list_closed(ListClosedChannelsRequest::default()).await?;
        let mut channels = answer.into_inner().channels.into_iter();
        Ok(match channels.find(|channel| channel.channel_id == channel_id) {
            Some(channel) => Look::Done(channel),
            None => Look::NotYet("not among the closed ones".to_owned()),
        })
    })
    .await
}
