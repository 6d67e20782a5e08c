//! Money of closed channels on its way back to the wallet, counted once.

use std::collections::HashSet;

use bitcoin::Txid;
use fulmen_proto::v1;
use lightning::chain::channelmonitor::{Balance, BalanceSource};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use lightning::util::sweep::{OutputSpendStatus, TrackedSpendableOutput};

use crate::node::Node;

/// What comes back.
#[derive(Debug, Default)]
pub struct Closing {
    /// What will be ours whatever others do, in satoshis and before the fees of sweeping.
    pub sure_sat: u64,
    /// Each part of it, and what may become ours.
    pub balances: Vec<v1::ClosingBalance>,
}

/// Collects what monitors and sweeper tell of channels that are not `open`; `agreed` tells which of
/// them were closed in agreement with the peer.
pub fn closing_balances(
    node: &Node,
    open: &[ChannelDetails],
    agreed: impl Fn(ChannelId) -> bool,
) -> Closing {
    let open: HashSet<ChannelId> = open.iter().map(|channel| channel.channel_id).collect();
    let mut closing = Closing::default();
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
        closing.add(tracked.channel_id, amount_sat, amount_sat, "sweeping", height);
    }
    closing
}

impl Closing {
    fn add(
        &mut self,
        channel_id: Option<ChannelId>,
        amount_sat: u64,
        sure_sat: u64,
        kind: &str,
        claimable_height: u32,
    ) {
        self.sure_sat += sure_sat;
        self.balances.push(v1::ClosingBalance {
            channel_id: channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
            amount_sat,
            kind: kind.to_owned(),
            claimable_height,
        });
    }
}

/// The kind of a balance and when it can be had; none for what the wallet counts already.
fn describe(balance: &Balance) -> Option<(&'static str, u32)> {
    match balance {
        Balance::ClaimableOnChannelClose { .. } => Some(("awaiting_confirmations", 0)),
        Balance::ClaimableAwaitingConfirmations { confirmation_height, source, .. } => {
            match source {
                // It pays the wallet, which counts it.
                BalanceSource::CoopClose => None,
                BalanceSource::HolderForceClosed => Some(("timelocked", *confirmation_height)),
                BalanceSource::CounterpartyForceClosed | BalanceSource::Htlc => {
                    Some(("awaiting_confirmations", *confirmation_height))
                }
            }
        }
        Balance::ContentiousClaimable { timeout_height, .. } => {
            Some(("contentious_htlc", *timeout_height))
        }
        Balance::MaybeTimeoutClaimableHTLC { claimable_height, .. } => {
            Some(("maybe_timeout_htlc", *claimable_height))
        }
        Balance::MaybePreimageClaimableHTLC { expiry_height, .. } => {
            Some(("maybe_preimage_htlc", *expiry_height))
        }
        Balance::CounterpartyRevokedOutputClaimable { .. } => Some(("counterparty_revoked", 0)),
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
        assert_eq!(describe(&awaiting(BalanceSource::HolderForceClosed)), Some(("timelocked", 9)));
        assert_eq!(
            describe(&awaiting(BalanceSource::CounterpartyForceClosed)),
            Some(("awaiting_confirmations", 9))
        );
        assert_eq!(describe(&awaiting(BalanceSource::CoopClose)), None, "the wallet has it");
        let revoked = Balance::CounterpartyRevokedOutputClaimable { amount_satoshis: 7 };
        assert_eq!(describe(&revoked), Some(("counterparty_revoked", 0)));
        assert_eq!(amount_sat(&revoked), 7);
    }
}
