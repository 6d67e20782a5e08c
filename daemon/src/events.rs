//! Each LDK event becomes one call into one room.

use std::sync::Arc;

use bitcoin::OutPoint;
use lightning::chain::transaction::OutPoint as LdkOutPoint;
use lightning::events::bump_transaction::BumpTransactionEvent;
use lightning::events::{Event, HTLCHandlingFailureType, ReplayEvent};
use lightning::sign::HTLCDescriptor;
use tokio::sync::Notify;

use crate::chain::Source;
use crate::channels::{ChannelClosed, Channels, OpenRequest};
use crate::forwards::{Forwards, Settled};
use crate::invoices::{Claimable, Invoices};
use crate::node::Node;
use crate::node::run::process::Outlet;
use crate::node::run::{learn, sweep};
use crate::payments::{Payments, ProbeOutcome};
use crate::peers::Peers;
use crate::storage;
use crate::tasks::{Stage, Tasks};

/// The rooms that events go to.
pub struct EventHandlers {
    /// LDK.
    pub node: Arc<Node>,
    /// Tells whether an output is unspent.
    pub source: Source,
    /// Channels.
    pub channels: Channels,
    /// Receiving.
    pub invoices: Invoices,
    /// Sending.
    pub payments: Payments,
    /// Forwarding.
    pub forwards: Forwards,
    /// Connections.
    pub peers: Peers,
    /// Keeps the reason of its failure.
    pub store: storage::Store,
    /// For connections that LDK asks for.
    pub tasks: Tasks,
    /// Notified when LDK has replayed the events that it had not forgotten at the start.
    pub replayed: Arc<Notify>,
}

/// Returns what the processing loop hands events to.
pub fn outlet(rooms: EventHandlers) -> Outlet {
    let rooms = Arc::new(rooms);
    let (stored, replayed) = (rooms.clone(), rooms.clone());
    Outlet {
        event: Box::new(move |event| {
            let rooms = rooms.clone();
            Box::pin(async move { rooms.handle(event).await })
        }),
        manager_stored: Box::new(move || stored.forwards.forgotten_by_ldk()),
        replay_ended: Box::new(move || {
            replayed.forwards.replay_ended();
            replayed.invoices.replay_ended();
            if let Err(error) = replayed.invoices.resume_held() {
                replayed.tasks.fail(format!("held invoices cannot be read: {error}"));
            }
            replayed.replayed.notify_one();
        }),
    }
}

impl EventHandlers {
    async fn handle(&self, event: Event) -> Result<(), ReplayEvent> {
        learn::learn(&self.node, &event, self.node.clock.since_epoch());
        self.dispatch(event).await.map_err(|error| {
            tracing::error!(%error, "could not handle an event; LDK replays it");
            ReplayEvent()
        })
    }

    /// Exhaustive on purpose: the compiler demands a room for each new event of LDK.
    async fn dispatch(&self, event: Event) -> Result<(), storage::Error> {
        match event {
            Event::OpenChannelRequest {
                temporary_channel_id,
                counterparty_node_id,
                funding_satoshis,
                channel_negotiation_type,
                channel_type,
                is_announced,
                params: _,
            } => {
                self.channels.open_requested(&OpenRequest {
                    temporary_channel_id,
                    node_id: counterparty_node_id,
                    capacity_sat: funding_satoshis,
                    funds: &channel_negotiation_type,
                    channel_type: &channel_type,
                    announced: is_announced,
                });
                Ok(())
            }
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                user_channel_id,
            } => {
                self.channels
                    .funding_needed(
                        temporary_channel_id,
                        counterparty_node_id,
                        channel_value_satoshis,
                        output_script,
                        user_channel_id,
                    )
                    .await
            }
            Event::ChannelPending {
                channel_id,
                user_channel_id,
                counterparty_node_id,
                funding_txo,
                ..
            } => {
                self.channels
                    .pending(channel_id, user_channel_id, counterparty_node_id, funding_txo)
                    .await
            }
            Event::ChannelReady { channel_id, user_channel_id, counterparty_node_id, .. } => {
                self.channels.ready(channel_id, user_channel_id, counterparty_node_id).await
            }
            Event::ChannelClosed {
                channel_id,
                user_channel_id,
                reason,
                counterparty_node_id,
                channel_capacity_sats,
                channel_funding_txo,
                last_local_balance_msat,
            } => {
                let closing = ChannelClosed {
                    channel_id,
                    user_channel_id,
                    reason: &reason,
                    node_id: counterparty_node_id,
                    capacity_sat: channel_capacity_sats,
                    funding: channel_funding_txo.map(outpoint),
                    local_msat: last_local_balance_msat,
                };
                self.channels.closed(&closing).await
            }
            Event::DiscardFunding { channel_id: _, funding_info } => {
                self.channels.discard_funding(&funding_info)
            }
            Event::PaymentClaimable {
                payment_hash,
                onion_fields,
                amount_msat,
                purpose,
                payment_id,
                receiving_channel_ids,
                claim_deadline,
                ..
            } => self.invoices.claimable(&Claimable {
                payment_hash,
                onion_fields: onion_fields.as_ref(),
                amount_msat,
                purpose: &purpose,
                payment_id,
                parts: receiving_channel_ids.len(),
                claim_deadline_height: claim_deadline,
            }),
            Event::PaymentClaimed {
                payment_hash,
                amount_msat,
                purpose,
                htlcs,
                onion_fields,
                payment_id,
                ..
            } => self.invoices.claimed(
                payment_hash,
                onion_fields.as_ref(),
                amount_msat,
                &purpose,
                &htlcs,
                payment_id,
            ),
            Event::InvoiceReceived { payment_id, invoice, context, .. } => {
                self.payments.invoice_received(payment_id, &invoice, context.as_ref())
            }
            Event::PaymentSent {
                payment_id,
                payment_preimage,
                payment_hash,
                amount_msat,
                fee_paid_msat,
                ..
            } => self.payments.sent(
                payment_id,
                payment_hash,
                payment_preimage,
                amount_msat,
                fee_paid_msat,
            ),
            Event::PaymentFailed { payment_id, payment_hash, reason } => {
                self.payments.failed(payment_id, payment_hash, reason)
            }
            Event::PaymentPathSuccessful { payment_id, payment_hash, path, hold_times } => {
                self.payments.path_succeeded(payment_id, payment_hash, &path, &hold_times)
            }
            Event::PaymentPathFailed {
                payment_id,
                payment_hash,
                payment_failed_permanently,
                failure,
                path,
                short_channel_id,
                hold_times,
            } => self.payments.path_failed(
                payment_id,
                payment_hash,
                payment_failed_permanently,
                &failure,
                &path,
                short_channel_id,
                &hold_times,
            ),
            // The beliefs have learnt from it above.
            Event::ProbeSuccessful { payment_id, .. } => {
                self.payments.probe_ended(payment_id, ProbeOutcome::Reached);
                Ok(())
            }
            Event::ProbeFailed { payment_id, short_channel_id, .. } => {
                self.payments.probe_ended(payment_id, ProbeOutcome::Stuck(short_channel_id));
                Ok(())
            }
            Event::PaymentForwarded {
                prev_channel_id,
                next_channel_id,
                prev_node_id,
                next_node_id,
                total_fee_earned_msat,
                claim_from_onchain_tx,
                outbound_amount_forwarded_msat,
                ..
            } => self.forwards.settled(Settled {
                inbound_channel_id: prev_channel_id.map(|id| id.0),
                outbound_channel_id: next_channel_id.map(|id| id.0),
                inbound_node_id: prev_node_id,
                outbound_node_id: next_node_id,
                outbound_msat: outbound_amount_forwarded_msat,
                fee_msat: total_fee_earned_msat,
                claimed_onchain: claim_from_onchain_tx,
            }),
            Event::HTLCHandlingFailed {
                failure_type: HTLCHandlingFailureType::Receive { payment_hash },
                ..
            } => self.invoices.receive_failed(payment_hash),
            Event::HTLCHandlingFailed { prev_channel_id, failure_type, failure_reason } => {
                self.forwards.failed(prev_channel_id, &failure_type, failure_reason.as_ref());
                Ok(())
            }
            Event::SpendableOutputs { outputs, channel_id } => {
                let outputs = sweep::without_spent(&self.node, &self.source, outputs).await;
                if sweep::track(&self.node, outputs, channel_id).is_err() {
                    return Err(self.store_failure());
                }
                Ok(())
            }
            Event::BumpTransaction(bump) => self.bump(&bump).await,
            Event::ConnectionNeeded { node_id, addresses } => {
                let peers = self.peers.clone();
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                self.tasks.spawn_once(Stage::Peers, "connection for an onion message", async move {
                    if let Err(error) = peers.visit(node_id, &addresses).await {
                        tracing::debug!(%error, %node_id, "could not connect for an onion message");
                    }
                });
                Ok(())
            }
            // LDK sends these only if asked to, and splicing, interception of HTLCs and of onion messages,
            // manual funding broadcasts, and static invoices are all off.
            event @ (Event::SplicePending { .. }
            | Event::SpliceFailed { .. }
            | Event::FundingTransactionReadyForSigning { .. }
            | Event::HTLCIntercepted { .. }
            | Event::FundingTxBroadcastSafe { .. }
            | Event::OnionMessageIntercepted { .. }
            | Event::OnionMessagePeerConnected { .. }
            | Event::PersistStaticInvoice { .. }
            | Event::StaticInvoiceRequested { .. }) => {
                tracing::warn!(
                    ?event,
                    "ignored an LDK event that belongs to a feature which is off"
                );
                Ok(())
            }
        }
    }

    /// LDK repeats the event at each block and each rebroadcast until the claim is confirmed.
    ///
    /// If another commitment has closed the channel already, ours can never confirm: a child of it would only stay in
    /// the wallet as money that never arrives. The same holds for a claim of an HTLC that a block has resolved, which
    /// LDK repeats after a restart.
    async fn bump(&self, event: &BumpTransactionEvent) -> Result<(), storage::Error> {
        let is_pointless = match event {
            BumpTransactionEvent::ChannelClose { channel_id, commitment_tx, .. } => {
                self.channels.is_closed_otherwise(channel_id, &commitment_tx.compute_txid())?
            }
            BumpTransactionEvent::HTLCResolution { htlc_descriptors, .. } => {
                let htlcs = htlc_descriptors.iter().map(HTLCDescriptor::outpoint);
                sweep::is_any_spent(&self.node, &self.source, htlcs).await
            }
        };
        if !is_pointless {
            self.node.bumper.handle_event(event);
        }
        Ok(())
    }

    /// Returns the store's failure, which the sweeper hides.
    fn store_failure(&self) -> storage::Error {
        self.store.failed().borrow().clone().unwrap_or(storage::Error::Closed)
    }
}

fn outpoint(ldk: LdkOutPoint) -> OutPoint {
    OutPoint { txid: ldk.txid, vout: u32::from(ldk.index) }
}
