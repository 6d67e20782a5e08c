//! Answers a peer that wants to open a channel: by the rules at once, or when the operator's program has decided.

use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::events::InboundChannelFunds;
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId;
use lightning::types::features::ChannelTypeFeatures;
use lightning::util::config::ChannelHandshakeConfigUpdate;

use super::decider::{Answer, Decision, Proposal, Seated};
use super::{Rejection, Request, decide};
use crate::channels::Channels;
use crate::storage;
use crate::tasks::Stage;

/// The words of a program that rejects without giving a reason.
const NO_REASON: &str = "this node does not accept this channel";

/// A peer's wish to open a channel to us (`Event::OpenChannelRequest`).
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// LDK's name for it.
    pub temporary_channel_id: ChannelId,
    /// Who asks.
    pub node_id: PublicKey,
    /// How large.
    pub capacity_sat: u64,
    /// What the peer gives us, or that both are to fund it.
    pub funds: InboundChannelFunds,
    /// Its features.
    pub channel_type: ChannelTypeFeatures,
    /// Whether it is to be public.
    pub announced: bool,
}

impl Channels {
    /// Accepts or rejects a peer's wish; a program that decides is waited for in the background, so that other events go
    /// on. A kill meanwhile loses nothing: LDK forgets what it has not accepted, and so does the peer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_requested(&self, request: OpenRequest) -> Result<(), storage::Error> {
        let facts = self.inbound_facts(&request);
        if let Err(rejection) = decide(&self.0.config, &self.0.rules, &facts) {
            self.reject(&request, &rejection);
            return Ok(());
        }
        if !self.0.decider.is_seated() {
            match self.0.rules.needs_decision {
                true => self.reject(&request, &Rejection::Undecided),
                false => self.accept(&request, None)?,
            }
            return Ok(());
        }
        let channels = self.clone();
        // A stop does not wait for a person: the peer asks again.
        let stopping = self.0.tasks.stopping(Stage::Peers);
        self.0.tasks.spawn_once(Stage::Peers, "decision about a channel", async move {
            let asking = channels.ask(&request, &facts);
            if let Some(Err(error)) = stopping.run_until_cancelled(asking).await {
                // Not accepted: the peer gives up, or asks again.
                tracing::error!(%error, peer = %request.node_id, "could not accept a channel");
            }
        });
        Ok(())
    }

    /// Lets a program decide about channels that the rules would accept; none while another one does.
    pub fn decide_opens(&self) -> Option<Seated> {
        self.0.decider.sit()
    }

    async fn ask(&self, request: &OpenRequest, facts: &Request) -> Result<(), storage::Error> {
        let (peer_channels, peer_capacity_sat) = self.size_of(&request.node_id);
        let proposal = Proposal {
            id: 0,
            node_id: request.node_id,
            capacity_sat: request.capacity_sat,
            push_msat: facts.push_msat.unwrap_or(0),
            announced: request.announced,
            zero_conf: facts.trusted,
            channels_with_peer: facts.with_peer,
            peer_channels,
            peer_capacity_sat,
        };
        let patience = Duration::from_secs(self.0.rules.decision_timeout_secs);
        let confirmations = match self.0.decider.ask(proposal, patience).await {
            Answer::Decided(Decision { accept: true, confirmations, .. }) => confirmations,
            Answer::Decided(Decision { reason, .. }) => {
                let words = if reason.is_empty() { NO_REASON.to_owned() } else { reason };
                self.reject(request, &Rejection::Decided(words));
                return Ok(());
            }
            Answer::Undecided if self.0.rules.accept_undecided => None,
            Answer::Undecided => {
                self.reject(request, &Rejection::Undecided);
                return Ok(());
            }
        };
        // Others may have been accepted meanwhile.
        match decide(&self.0.config, &self.0.rules, &self.inbound_facts(request)) {
            Ok(()) => self.accept(request, confirmations),
            Err(rejection) => {
                self.reject(request, &rejection);
                Ok(())
            }
        }
    }

    fn inbound_facts(&self, request: &OpenRequest) -> Request {
        let (node, rules) = (&self.0.node, &self.0.rules);
        let peer = &request.node_id;
        let with_peer = node.channel_manager.list_channels_with_counterparty(peer);
        // LDK lists what is not accepted yet only after it was.
        let pending = with_peer.iter().filter(|of| !of.is_outbound && !of.is_channel_ready);
        Request {
            capacity_sat: request.capacity_sat,
            push_msat: match request.funds {
                InboundChannelFunds::PushMsat(msat) => Some(msat),
                InboundChannelFunds::DualFunded => None,
            },
            anchors: request.channel_type.supports_anchors_zero_fee_htlc_tx(),
            zero_conf: request.channel_type.requires_zero_conf(),
            announced: request.announced,
            admitted: rules.admits(peer),
            trusted: rules.trusts(peer),
            pending_with_peer: pending.count(),
            with_peer: with_peer.len(),
            size_of_peer: if rules.asks_for_size() { self.size_of(peer) } else { (0, 0) },
            wallet_sat: node.wallet.balance().confirmed_sat,
            needed_reserve_sat: self.reserve_with_another().total_sat,
            not_ready: (self.0.admission)().err(),
        }
    }

    /// The announced channels of a node, and what they hold together, in satoshis.
    fn size_of(&self, peer: &PublicKey) -> (usize, u64) {
        let graph = self.0.node.graph.read_only();
        let Some(node) = graph.node(&NodeId::from_pubkey(peer)) else { return (0, 0) };
        let capacity = |id: &u64| graph.channel(*id).and_then(|channel| channel.capacity_sats);
        (node.channels.len(), node.channels.iter().filter_map(capacity).sum())
    }

    fn accept(
        &self,
        request: &OpenRequest,
        confirmations: Option<u32>,
    ) -> Result<(), storage::Error> {
        let (node, peer) = (&self.0.node, &request.node_id);
        let mut overrides =
            self.0.config.for_inbound(request.capacity_sat, request.announced, node.network);
        overrides.update_overrides = self.policy_with(peer)?;
        if let Some(confirmations) = confirmations {
            let handshake = overrides.handshake_overrides.take().unwrap_or_default();
            overrides.handshake_overrides = Some(ChannelHandshakeConfigUpdate {
                minimum_depth: Some(confirmations),
                ..handshake
            });
        }
        let (id, own_id, manager) =
            (&request.temporary_channel_id, self.new_id(), &node.channel_manager);
        let trusted = self.0.rules.trusts(peer) && confirmations.is_none();
        let accepted = node.keys.shutdown.for_peer(peer, || match trusted {
            true => manager.accept_inbound_channel_from_trusted_peer_0conf(
                id,
                peer,
                own_id,
                Some(overrides),
            ),
            false => manager.accept_inbound_channel(id, peer, own_id, Some(overrides)),
        });
        if let Err(error) = accepted {
            // The peer has gone, or asked for something that LDK refuses by itself.
            tracing::info!(%peer, ?error, "could not accept a channel");
        }
        node.wake();
        Ok(())
    }

    fn reject(&self, request: &OpenRequest, rejection: &Rejection) {
        let (node, peer) = (&self.0.node, &request.node_id);
        tracing::info!(%peer, capacity_sat = request.capacity_sat, %rejection, "rejected a channel");
        let rejected = node.channel_manager.force_close_broadcasting_latest_txn(
            &request.temporary_channel_id,
            peer,
            rejection.to_string(),
        );
        if let Err(error) = rejected {
            tracing::info!(%peer, ?error, "could not reject a channel: the peer has gone");
        }
        node.wake();
    }
}
