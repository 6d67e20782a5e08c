//! LDK's `ChannelMessageHandler` whose outgoing messages wait at the gate.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    AcceptChannel, AcceptChannelV2, AnnouncementSignatures, BaseMessageHandler,
    ChannelMessageHandler, ChannelReady, ChannelReestablish, ChannelUpdate, ClosingSigned,
    CommitmentSigned, ErrorMessage, FundingCreated, FundingSigned, Init, MessageSendEvent,
    OpenChannel, OpenChannelV2, PeerStorage, PeerStorageRetrieval, RevokeAndACK, Shutdown,
    SpliceAck, SpliceInit, SpliceLocked, Stfu, TxAbort, TxAckRbf, TxAddInput, TxAddOutput,
    TxComplete, TxInitRbf, TxRemoveInput, TxRemoveOutput, TxSignatures, UpdateAddHTLC,
    UpdateFailHTLC, UpdateFailMalformedHTLC, UpdateFee, UpdateFulfillHTLC,
};
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};

use tokio::time::Instant;

use super::buckets::Buckets;
use super::gate::{OutputGate, Waiting};
use crate::admission::AdmissionCheck;
use crate::clock::Clock;
use crate::node::ldk::keys::Keys;
use crate::node::negotiation::closes::Closes;
use crate::node::negotiation::opens::Opens;
use crate::node::stale::{OnStale, StaleProof};

/// Passes messages in at once, and out when the gate releases them.
pub struct HeldMessages<M> {
    manager: Arc<M>,
    gate: Arc<OutputGate>,
    waiting: Mutex<Waiting<MessageSendEvent>>,
    admission: AdmissionCheck,
    buckets: Mutex<Buckets>,
    opens: Opens,
    closes: Arc<Closes>,
    keys: Arc<Keys>,
    clock: Clock,
    on_stale: OnStale,
}

/// What [`HeldMessages`] consults on the way in.
pub struct Consulted {
    /// HTLCs are refused while it refuses.
    pub admission: AdmissionCheck,
    /// HTLCs are refused beyond these.
    pub buckets: Buckets,
    /// Narrows the fees of closes.
    pub closes: Arc<Closes>,
    /// Learns which peers take only old shutdown scripts.
    pub keys: Arc<Keys>,
    /// Stamps what is found.
    pub clock: Clock,
    /// Hears that a peer has proved our state stale.
    pub on_stale: OnStale,
}

impl<M> HeldMessages<M> {
    /// Puts `gate` in front of `manager`.
    pub fn new(manager: Arc<M>, gate: Arc<OutputGate>, consulted: Consulted) -> Self {
        let Consulted { admission, buckets, closes, keys, clock, on_stale } = consulted;
        let (waiting, buckets) = (Mutex::default(), Mutex::new(buckets));
        let opens = Opens::default();
        Self { manager, gate, waiting, admission, buckets, opens, closes, keys, clock, on_stale }
    }

    /// Returns why a new HTLC on a channel is to be failed back, if so.
    fn refusal(&self, channel_id: &ChannelId) -> Option<String> {
        if let Err(obstacle) = (self.admission)() {
            return Some(obstacle.to_string());
        }
        let mut buckets = self.buckets.lock().expect("no panic while held");
        let is_empty = !buckets.take(channel_id, Instant::now());
        is_empty.then(|| "too many HTLCs on this channel within a minute".to_owned())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<MessageSendEvent>> {
        self.waiting.lock().expect("no panic while held")
    }
}

impl<M: BaseMessageHandler> BaseMessageHandler for HeldMessages<M> {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        // In order: LDK calls this from one thread at a time, and drops no connection meanwhile.
        let mut messages = self.manager.get_and_clear_pending_msg_events();
        messages.iter_mut().for_each(withhold_release_paths);
        messages.retain(|message| self.opens.allows(message));
        messages.iter_mut().for_each(|message| self.closes.outgoing(message));
        let mut waiting = self.waiting();
        waiting.join(&self.gate, messages);
        waiting.released(&self.gate)
    }

    fn peer_disconnected(&self, their_node_id: PublicKey) {
        // Meant for a connection that is gone; on the next one `channel_reestablish` says where both sides stand (BOLT 2).
        self.waiting().retain(|message| recipient(message) != Some(their_node_id));
        self.opens.disconnected(their_node_id);
        self.manager.peer_disconnected(their_node_id);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        let mut features = self.manager.provided_node_features();
        // LDK offers these and this node refuses them: a peer that sees them waits for an answer that never comes.
        features.clear_provide_storage();
        features.clear_splicing_production();
        features
    }

    fn provided_init_features(&self, their_node_id: PublicKey) -> InitFeatures {
        let mut features = self.manager.provided_init_features(their_node_id);
        // LDK offers these and this node refuses them: a peer that sees them waits for an answer that never comes.
        features.clear_provide_storage();
        features.clear_splicing_production();
        features
    }

    fn peer_connected(
        &self,
        their_node_id: PublicKey,
        init: &Init,
        inbound: bool,
    ) -> Result<(), ()> {
        self.keys.shutdown.learn(their_node_id, &init.features);
        self.manager.peer_connected(their_node_id, init, inbound)
    }
}

macro_rules! pass_in {
    ($($handle:ident: $message:ty;)*) => {
        $(fn $handle(&self, their_node_id: PublicKey, message: $message) {
            self.manager.$handle(their_node_id, message);
        })*
    };
}

impl<M: ChannelMessageHandler> ChannelMessageHandler for HeldMessages<M> {
    pass_in! {
        handle_open_channel: &OpenChannel;
        handle_open_channel_v2: &OpenChannelV2;
        handle_accept_channel_v2: &AcceptChannelV2;
        handle_funding_created: &FundingCreated;
        handle_funding_signed: &FundingSigned;
        handle_channel_ready: &ChannelReady;
        handle_peer_storage: PeerStorage;
        handle_peer_storage_retrieval: PeerStorageRetrieval;
        handle_stfu: &Stfu;
        handle_splice_init: &SpliceInit;
        handle_splice_ack: &SpliceAck;
        handle_splice_locked: &SpliceLocked;
        handle_tx_add_input: &TxAddInput;
        handle_tx_add_output: &TxAddOutput;
        handle_tx_remove_input: &TxRemoveInput;
        handle_tx_remove_output: &TxRemoveOutput;
        handle_tx_complete: &TxComplete;
        handle_tx_signatures: &TxSignatures;
        handle_tx_init_rbf: &TxInitRbf;
        handle_tx_ack_rbf: &TxAckRbf;
        handle_tx_abort: &TxAbort;
        handle_update_fulfill_htlc: UpdateFulfillHTLC;
        handle_update_fail_htlc: &UpdateFailHTLC;
        handle_update_fail_malformed_htlc: &UpdateFailMalformedHTLC;
        handle_commitment_signed: &CommitmentSigned;
        handle_revoke_and_ack: &RevokeAndACK;
        handle_update_fee: &UpdateFee;
        handle_announcement_signatures: &AnnouncementSignatures;
        handle_channel_update: &ChannelUpdate;
    }

    fn handle_accept_channel(&self, their_node_id: PublicKey, message: &AcceptChannel) {
        self.opens.accepted(their_node_id, message.common_fields.temporary_channel_id);
        self.manager.handle_accept_channel(their_node_id, message);
    }

    /// Unwinds on when the peer has proved our state stale: LDK's locks are poisoned, and nothing of it may act again.
    fn handle_channel_reestablish(&self, their_node_id: PublicKey, message: &ChannelReestablish) {
        let handle = || self.manager.handle_channel_reestablish(their_node_id, message);
        let Err(panic) = catch_unwind(AssertUnwindSafe(handle)) else { return };
        if StaleProof::is_told_by(&*panic) {
            let unix_secs = self.clock.unix_secs();
            let channel_id = message.channel_id;
            (self.on_stale)(StaleProof { peer: their_node_id, channel_id, unix_secs });
        }
        resume_unwind(panic);
    }

    fn handle_shutdown(&self, their_node_id: PublicKey, message: &Shutdown) {
        self.closes.shutdown(message.channel_id, message.scriptpubkey.len());
        // LDK answers with a `shutdown` of ours, and forces the close where the peer does not know our script's type.
        self.keys
            .shutdown
            .for_peer(&their_node_id, || self.manager.handle_shutdown(their_node_id, message));
    }

    fn handle_closing_signed(&self, their_node_id: PublicKey, message: &ClosingSigned) {
        if let Some(message) = self.closes.incoming(their_node_id, message) {
            self.manager.handle_closing_signed(their_node_id, &message);
        }
    }

    fn handle_error(&self, their_node_id: PublicKey, message: &ErrorMessage) {
        for _ in 0..self.opens.hearings(their_node_id, message.channel_id) {
            self.manager.handle_error(their_node_id, message);
        }
    }

    /// Marks an HTLC that is to be refused as one to be held. LDK fails such HTLCs back with `temporary_node_failure`
    /// once they are committed, since it holds none unless `UserConfig::enable_htlc_hold` is set; what is under way
    /// settles and fails as ever. A refusal by silence, or by leaving the channel, would cost the channel.
    fn handle_update_add_htlc(&self, their_node_id: PublicKey, message: &UpdateAddHTLC) {
        match self.refusal(&message.channel_id) {
            None => self.manager.handle_update_add_htlc(their_node_id, message),
            Some(why) => {
                tracing::debug!(peer = %their_node_id, channel = %message.channel_id, why, "refusing an HTLC");
                let refused = UpdateAddHTLC { hold_htlc: Some(()), ..message.clone() };
                self.manager.handle_update_add_htlc(their_node_id, &refused);
            }
        }
    }

    fn handle_commitment_signed_batch(
        &self,
        their_node_id: PublicKey,
        channel_id: ChannelId,
        batch: Vec<CommitmentSigned>,
    ) {
        self.manager.handle_commitment_signed_batch(their_node_id, channel_id, batch);
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.manager.get_chain_hashes()
    }

    fn message_received(&self) {
        self.manager.message_received();
    }
}

/// Takes out of a `revoke_and_ack` the paths by which the peer could have a held HTLC released, and so accepted: we hold
/// none but those that we refuse.
fn withhold_release_paths(message: &mut MessageSendEvent) {
    if let MessageSendEvent::SendRevokeAndACK { msg, .. } = message {
        msg.release_htlc_message_paths.clear();
    }
}

/// Returns the peer that a message is for; none if it is broadcast.
fn recipient(message: &MessageSendEvent) -> Option<PublicKey> {
    match message {
        MessageSendEvent::SendAcceptChannel { node_id, .. }
        | MessageSendEvent::SendAcceptChannelV2 { node_id, .. }
        | MessageSendEvent::SendOpenChannel { node_id, .. }
        | MessageSendEvent::SendOpenChannelV2 { node_id, .. }
        | MessageSendEvent::SendFundingCreated { node_id, .. }
        | MessageSendEvent::SendFundingSigned { node_id, .. }
        | MessageSendEvent::SendStfu { node_id, .. }
        | MessageSendEvent::SendSpliceInit { node_id, .. }
        | MessageSendEvent::SendSpliceAck { node_id, .. }
        | MessageSendEvent::SendSpliceLocked { node_id, .. }
        | MessageSendEvent::SendTxAddInput { node_id, .. }
        | MessageSendEvent::SendTxAddOutput { node_id, .. }
        | MessageSendEvent::SendTxRemoveInput { node_id, .. }
        | MessageSendEvent::SendTxRemoveOutput { node_id, .. }
        | MessageSendEvent::SendTxComplete { node_id, .. }
        | MessageSendEvent::SendTxSignatures { node_id, .. }
        | MessageSendEvent::SendTxInitRbf { node_id, .. }
        | MessageSendEvent::SendTxAckRbf { node_id, .. }
        | MessageSendEvent::SendTxAbort { node_id, .. }
        | MessageSendEvent::SendChannelReady { node_id, .. }
        | MessageSendEvent::SendAnnouncementSignatures { node_id, .. }
        | MessageSendEvent::UpdateHTLCs { node_id, .. }
        | MessageSendEvent::SendRevokeAndACK { node_id, .. }
        | MessageSendEvent::SendClosingSigned { node_id, .. }
        | MessageSendEvent::SendClosingComplete { node_id, .. }
        | MessageSendEvent::SendClosingSig { node_id, .. }
        | MessageSendEvent::SendShutdown { node_id, .. }
        | MessageSendEvent::SendChannelReestablish { node_id, .. }
        | MessageSendEvent::SendChannelAnnouncement { node_id, .. }
        | MessageSendEvent::SendChannelUpdate { node_id, .. }
        | MessageSendEvent::HandleError { node_id, .. }
        | MessageSendEvent::SendChannelRangeQuery { node_id, .. }
        | MessageSendEvent::SendShortIdsQuery { node_id, .. }
        | MessageSendEvent::SendReplyChannelRange { node_id, .. }
        | MessageSendEvent::SendGossipTimestampFilter { node_id, .. }
        | MessageSendEvent::SendPeerStorage { node_id, .. }
        | MessageSendEvent::SendPeerStorageRetrieval { node_id, .. } => Some(*node_id),
        MessageSendEvent::BroadcastChannelAnnouncement { .. }
        | MessageSendEvent::BroadcastChannelUpdate { .. }
        | MessageSendEvent::BroadcastNodeAnnouncement { .. } => None,
    }
}
