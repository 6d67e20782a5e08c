//! Balances of closed channels on their way back to the wallet, each counted once.

use std::collections::HashSet;

use bitcoin::Txid;
use lightning::chain::channelmonitor::{Balance, BalanceSource};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use lightning::util::sweep::{OutputSpendStatus, TrackedSpendableOutput};

use crate::node::Node;

/// All balances of closed channels.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClosingBalances {
    /// What becomes ours whatever others do, in satoshis and before the fees of sweeping.
    pub sure_sat: u64,
    /// Each balance, also those that only may become ours.
    pub balances: Vec<ClosingBalance>,
}

/// One output of a closed channel that is not in the wallet yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingBalance {
    /// The channel; none for outputs swept by releases that did not record it.
    pub channel_id: Option<ChannelId>,
    /// Before the fees of sweeping.
    pub amount_sat: u64,
    /// Whether it becomes ours whatever others do.
    pub is_sure: bool,
    /// What it waits for.
    pub kind: ClosingKind,
    /// The height at which it becomes spendable or is decided; 0 where that is not known.
    pub claimable_height: u32,
}

/// What a balance of a closed channel waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingKind {
    /// Confirmations of the closing transaction or of ours that claims an HTLC.
    AwaitingConfirmations,
    /// The delay of our own commitment (BOLT 5).
    Timelocked,
    /// We have the preimage, and the peer may claim the HTLC after its timeout.
    ContentiousHtlc,
    /// An outgoing HTLC: ours after its timeout unless the peer shows the preimage.
    MaybeTimeoutHtlc,
    /// An incoming HTLC: ours if we learn the preimage before its timeout.
    MaybePreimageHtlc,
    /// The peer published a revoked commitment: all of it is ours.
    CounterpartyRevoked,
    /// The sweep to the wallet.
    Sweeping,
}

/// Collects the balances of channels that are not `open` from LDK's monitors and the sweeper; `agreed` returns whether
/// a channel was closed in agreement with the peer.
pub fn closing_balances(
    node: &Node,
    open: &[ChannelDetails],
    agreed: impl Fn(ChannelId) -> bool,
) -> ClosingBalances {
    let open: HashSet<ChannelId> = open.iter().map(|channel| channel.channel_id).collect();
    let mut closing = ClosingBalances::default();
    for channel_id in node.chain_monitor.list_monitors() {
        // An agreed close pays the wallet, which counts it from the moment it is broadcast.
        if open.contains(&channel_id) || agreed(channel_id) {
            continue;
        }
        // The monitor may be archived between the two calls.
        let Ok(monitor) = node.chain_monitor.get_monitor(channel_id) else { continue };
        for balance in monitor.get_claimable_balances() {
            if let Some((kind, height)) = describe(&balance) {
                let sure_sat = balance.claimable_amount_satoshis();
                closing.add(Some(channel_id), amount_sat(&balance), sure_sat, kind, height);
            }
        }
    }
    let in_wallet: HashSet<Txid> =
        node.wallet.unspent().into_iter().map(|unspent| unspent.outpoint.txid).collect();
    for tracked in node.sweeper.tracked_spendable_outputs() {
        if is_swept(&tracked, &in_wallet) {
            continue;
        }
        let amount_sat = output_sat(&tracked.descriptor);
        let height = match tracked.status {
            OutputSpendStatus::PendingInitialBroadcast { delayed_until_height } => {
                delayed_until_height.unwrap_or(0)
            }
            OutputSpendStatus::PendingFirstConfirmation { .. }
            | OutputSpendStatus::PendingThresholdConfirmations { .. } => 0,
        };
        closing.add(tracked.channel_id, amount_sat, amount_sat, ClosingKind::Sweeping, height);
    }
    closing
}

impl ClosingBalances {
    fn add(
        &mut self,
        channel_id: Option<ChannelId>,
        amount_sat: u64,
        sure_sat: u64,
        kind: ClosingKind,
        claimable_height: u32,
    ) {
        self.sure_sat += sure_sat;
        let is_sure = sure_sat > 0;
        self.balances.push(ClosingBalance {
            channel_id,
            amount_sat,
            is_sure,
            kind,
            claimable_height,
        });
    }
}

/// Returns what a balance waits for and its height; none for what the wallet counts already.
fn describe(balance: &Balance) -> Option<(ClosingKind, u32)> {
    match balance {
        Balance::ClaimableOnChannelClose { .. } => Some((ClosingKind::AwaitingConfirmations, 0)),
        Balance::ClaimableAwaitingConfirmations { confirmation_height, source, .. } => {
            match source {
                // It pays the wallet, which counts it.
                BalanceSource::CoopClose => None,
                BalanceSource::HolderForceClosed => {
                    Some((ClosingKind::Timelocked, *confirmation_height))
                }
                BalanceSource::CounterpartyForceClosed | BalanceSource::Htlc => {
                    Some((ClosingKind::AwaitingConfirmations, *confirmation_height))
                }
            }
        }
        Balance::ContentiousClaimable { timeout_height, .. } => {
            Some((ClosingKind::ContentiousHtlc, *timeout_height))
        }
        Balance::MaybeTimeoutClaimableHTLC { claimable_height, .. } => {
            Some((ClosingKind::MaybeTimeoutHtlc, *claimable_height))
        }
        Balance::MaybePreimageClaimableHTLC { expiry_height, .. } => {
            Some((ClosingKind::MaybePreimageHtlc, *expiry_height))
        }
        Balance::CounterpartyRevokedOutputClaimable { .. } => {
            Some((ClosingKind::CounterpartyRevoked, 0))
        }
    }
}

fn amount_sat(balance: &Balance) -> u64 {
    match balance {
        Balance::ClaimableOnChannelClose { .. } => balance.claimable_amount_satoshis(),
        Balance::ClaimableAwaitingConfirmations { amount_satoshis, .. }
        | Balance::ContentiousClaimable { amount_satoshis, .. }
        | Balance::MaybeTimeoutClaimableHTLC { amount_satoshis, .. }
        | Balance::MaybePreimageClaimableHTLC { amount_satoshis, .. }
        | Balance::CounterpartyRevokedOutputClaimable { amount_satoshis } => *amount_satoshis,
    }
}

fn output_sat(descriptor: &SpendableOutputDescriptor) -> u64 {
    match descriptor {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.value.to_sat(),
        SpendableOutputDescriptor::DelayedPaymentOutput(descriptor) => {
            descriptor.output.value.to_sat()
        }
        SpendableOutputDescriptor::StaticPaymentOutput(descriptor) => {
            descriptor.output.value.to_sat()
        }
    }
}

/// Whether the wallet counts the output of the sweep, confirmed or not.
fn is_swept(tracked: &TrackedSpendableOutput, in_wallet: &HashSet<Txid>) -> bool {
    match &tracked.status {
        OutputSpendStatus::PendingInitialBroadcast { .. } => false,
        OutputSpendStatus::PendingFirstConfirmation { latest_spending_tx, .. } => {
            in_wallet.contains(&latest_spending_tx.compute_txid())
        }
        OutputSpendStatus::PendingThresholdConfirmations { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaiting(source: BalanceSource) -> Balance {
        Balance::ClaimableAwaitingConfirmations {
            amount_satoshis: 7,
            confirmation_height: 9,
            source,
        }
    }

    #[test]
    fn a_balance_is_named_by_what_it_waits_for() {
        assert_eq!(
            describe(&awaiting(BalanceSource::HolderForceClosed)),
            Some((ClosingKind::Timelocked, 9))
        );
        assert_eq!(
            describe(&awaiting(BalanceSource::CounterpartyForceClosed)),
            Some((ClosingKind::AwaitingConfirmations, 9))
        );
        assert_eq!(describe(&awaiting(BalanceSource::CoopClose)), None, "the wallet has it");
        let revoked = Balance::CounterpartyRevokedOutputClaimable { amount_satoshis: 7 };
        assert_eq!(describe(&revoked), Some((ClosingKind::CounterpartyRevoked, 0)));
        assert_eq!(amount_sat(&revoked), 7);
    }
}
