//! Brings outputs of closed channels back to the wallet.

use bitcoin::{Amount, Txid};
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use lightning::util::sweep::OutputSpendStatus;

use super::Node;

/// An output on its way to the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The channel it comes from, where that is known.
    pub channel_id: Option<ChannelId>,
    /// What it is worth before the fee of the sweep.
    pub amount: Amount,
    /// The sweep, once it was broadcast.
    pub txid: Option<Txid>,
    /// The height at which the sweep was confirmed.
    pub confirmed_at: Option<u32>,
}

/// Takes over outputs that LDK says are ours.
///
/// Static outputs already belong to the wallet, whose scripts they pay.
///
/// # Errors
/// The store refused; LDK is to tell again.
pub fn track(
    node: &Node,
    outputs: Vec<SpendableOutputDescriptor>,
    channel_id: Option<ChannelId>,
) -> Result<(), StoreRefused> {
    node.sweeper
        .track_spendable_outputs(outputs, channel_id, true, None)
        .map_err(|()| StoreRefused)?;
    retry(node);
    Ok(())
}

/// The store did not take the outputs.
#[derive(Debug, thiserror::Error)]
#[error("could not store outputs to sweep")]
pub struct StoreRefused;

/// Broadcasts sweeps that are due, with today's fees.
pub fn retry(node: &Node) {
    if node.sweeper.regenerate_and_broadcast_spend_if_necessary().is_err() {
        tracing::warn!("could not make a sweep of closed channels; it is tried again");
    }
}

/// Returns all outputs that the sweeper still follows.
pub fn pending(node: &Node) -> Vec<Sweep> {
    node.sweeper
        .tracked_spendable_outputs()
        .into_iter()
        .map(|output| {
            let (txid, confirmed_at) = match &output.status {
                OutputSpendStatus::PendingInitialBroadcast { .. } => (None, None),
                OutputSpendStatus::PendingFirstConfirmation { latest_spending_tx, .. } => {
                    (Some(latest_spending_tx.compute_txid()), None)
                }
                OutputSpendStatus::PendingThresholdConfirmations {
                    latest_spending_tx,
                    confirmation_height,
                    ..
                } => (Some(latest_spending_tx.compute_txid()), Some(*confirmation_height)),
            };
            Sweep {
                channel_id: output.channel_id,
                amount: amount(&output.descriptor),
                txid,
                confirmed_at,
            }
        })
        .collect()
}

fn amount(descriptor: &SpendableOutputDescriptor) -> Amount {
    match descriptor {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.value,
        SpendableOutputDescriptor::DelayedPaymentOutput(output) => output.output.value,
        SpendableOutputDescriptor::StaticPaymentOutput(output) => output.output.value,
    }
}
