//! `fulmen channel policy`: what is charged for forwarding, now and by new channels.
use std::str::FromStr;

use clap::Args;
use fulmen_proto::v1::set_policy_request::{Scope, Which};
use fulmen_proto::v1::{
    ChannelRef, ChannelRefs, ListChannelsRequest, ListNewPoliciesRequest, SetPolicyRequest,
};

use super::{base_fee, get};
use crate::commands::options::names;
use crate::failure::Failure;
use crate::ids::{ChannelName, NodeId};
use crate::render::channels;
use crate::session::Session;

/// One channel, or all.
#[derive(Debug, Clone)]
enum OneOrAll {
    One(ChannelName),
    All,
}

impl FromStr for OneOrAll {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

#[derive(Debug, Args)]
pub struct Policy {
    /// Short ids, channel ids, TXID:VOUT, or `all`
    #[arg(value_name = "CHANNEL", default_value = "all")]
    which: Vec<OneOrAll>,
    /// The channels with this peer
    #[arg(long, value_name = "NODE_ID", conflicts_with = "which")]
    peer: Option<NodeId>,
    /// Also what channels charge that are opened or accepted later, with --peer or all
    #[arg(long, conflicts_with = "only_new")]
    also_new: bool,
    /// Only what channels charge that are opened or accepted later; without a change, show that
    #[arg(long)]
    only_new: bool,
    /// Charge this per forwarded payment: 1sat, 0sat
    #[arg(long, value_name = "AMOUNT", value_parser = base_fee)]
    base_fee: Option<u32>,
    /// And this per million of its amount
    #[arg(long)]
    ppm: Option<u32>,
    /// How many blocks our incoming HTLC outlives the outgoing one
    #[arg(long, value_name = "BLOCKS")]
    cltv_delta: Option<u32>,
    /// Charge what the configuration says again
    #[arg(long, conflicts_with_all = ["base_fee", "ppm", "cltv_delta"])]
    reset: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Policy {
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let sets = self.base_fee.is_some() || self.ppm.is_some() || self.cltv_delta.is_some();
        if sets || self.reset { self.set(session).await } else { self.show(session).await }
    }

    async fn show(self, session: &Session) -> Result<(), Failure> {
        if self.only_new || self.also_new {
            let known = session.channels().list_new_policies(ListNewPoliciesRequest {}).await?;
            return session.screen.show(&known.into_inner(), channels::new_policies);
        }
        if let [OneOrAll::One(ChannelName(channel))] = &self.which[..] {
            let channel = get(session, channel.clone()).await?;
            return session.screen.show(&channel, channels::one_policy);
        }
        let node_id = self.peer.map(|NodeId(id)| id).unwrap_or_default();
        let request = ListChannelsRequest { node_id, ..Default::default() };
        let list = session.channels().list(request).await?.into_inner();
        let peers = list.channels.iter().map(|channel| channel.node_id.clone());
        let names = names::names(session, peers).await;
        session.screen.show(&list, |list, look| channels::policies(&list.channels, &names, look))
    }

    async fn set(self, session: &Session) -> Result<(), Failure> {
        let scope = match (self.also_new, self.only_new) {
            (_, true) => Scope::New,
            (true, false) => Scope::OpenAndNew,
            (false, false) => Scope::Unspecified,
        };
        let (dry_run, only_new) = (self.dry_run, self.only_new);
        let request = SetPolicyRequest {
            which: Some(which(self.which, self.peer)),
            base_fee_msat: self.base_fee,
            proportional_millionths: self.ppm,
            cltv_expiry_delta: self.cltv_delta,
            scope: scope.into(),
            reset: self.reset,
            dry_run,
        };
        let set = session.channels().set_policy(request).await?.into_inner();
        session.screen.show(&set, |set, look| channels::set_policy(set, dry_run, only_new, look))
    }
}

fn which(named: Vec<OneOrAll>, peer: Option<NodeId>) -> Which {
    if let Some(NodeId(id)) = peer {
        return Which::NodeId(id);
    }
    let mut channels: Vec<ChannelRef> = Vec::new();
    for one in named {
        match one {
            OneOrAll::All => return Which::All(true),
            OneOrAll::One(ChannelName(channel)) => channels.push(channel),
        }
    }
    match channels.len() {
        1 => Which::Channel(channels.remove(0)),
        _ => Which::Channels(ChannelRefs { channels }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_a_peer_or_all_are_named() {
        let one = |text: &str| text.parse::<OneOrAll>().expect("a name");
        assert!(matches!(which(vec![one("1x2x3")], None), Which::Channel(_)));
        assert!(matches!(which(vec![one("1x2x3"), one("all")], None), Which::All(true)));
        let two = which(vec![one("1x2x3"), one("4x5x6")], None);
        assert!(matches!(two, Which::Channels(refs) if refs.channels.len() == 2));
        let peer = Some(NodeId(vec![2; 33]));
        assert!(matches!(which(vec![one("all")], peer), Which::NodeId(_)));
    }
}
