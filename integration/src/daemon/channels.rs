//! A daemon's channels, looked up and waited for.
use anyhow::{Context as _, Result, ensure};
use fulmen_proto::v1::{Channel, ListChannelsRequest, PageRequest};

use super::Node;
use crate::cli::hex;
use crate::poll::{self, Look};

/// The open and pending channels of a node.
pub async fn all(node: &Node) -> Result<Vec<Channel>> {
    let mut all = Vec::new();
    let mut page = None;
    loop {
        let request = ListChannelsRequest { page, ..ListChannelsRequest::default() };
        let answer = node.channels().list(request).await;
        let answer = answer.with_context(|| format!("{}: listing channels", node.name()))?;
        let answer = answer.into_inner();
        all.extend(answer.channels);
        if answer.next_page_token.is_empty() {
            return Ok(all);
        }
        page = Some(PageRequest { page_size: 1_000, page_token: answer.next_page_token });
    }
}

/// The one channel that a node has with a peer.
pub async fn between(node: &Node, peer: &Node) -> Result<Channel> {
    let request = ListChannelsRequest { node_id: peer.id(), ..Default::default() };
    let mut channels = node.channels().list(request).await?.into_inner().channels;
    ensure!(
        channels.len() == 1,
        "{} has {} channels with {}",
        node.name(),
        channels.len(),
        peer.name()
    );
    Ok(channels.remove(0))
}

/// A channel by its id.
pub async fn by_id(node: &Node, channel_id: &[u8]) -> Result<Channel> {
    all(node)
        .await?
        .into_iter()
        .find(|channel| channel.channel_id == channel_id)
        .with_context(|| format!("{} has no channel {}", node.name(), hex(channel_id)))
}

/// Waits until a node can use a channel.
pub async fn usable(node: &Node, channel_id: &[u8]) -> Result<Channel> {
    poll::eventually(&format!("{} can use the channel", node.name()), async || {
        let channel = by_id(node, channel_id).await?;
        Ok(if channel.usable {
            Look::Done(channel)
        } else {
            Look::NotYet(channel.state().as_str_name().to_owned())
        })
    })
    .await
}

/// Waits until a node's channel carries this many HTLCs.
pub async fn carries_htlcs(node: &Node, channel_id: &[u8], count: usize) -> Result<Channel> {
    poll::eventually(&format!("{}'s channel carries {count} HTLCs", node.name()), async || {
        let channel = by_id(node, channel_id).await?;
        Ok(if channel.htlcs.len() == count {
            Look::Done(channel)
        } else {
            Look::NotYet(format!("{:?}", channel.htlcs))
        })
    })
    .await
}
