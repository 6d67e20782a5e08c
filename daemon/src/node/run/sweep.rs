//! Sweeps outputs of closed channels to the wallet.

use bitcoin::{Amount, OutPoint, Txid};
use lightning::chain::BestBlock;
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use lightning::util::sweep::OutputSpendStatus;

use crate::chain::ChainSource;
use crate::node::Node;

/// An output on its way to the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The channel it comes from, if known.
    pub channel_id: Option<ChannelId>,
    /// The output.
    pub outpoint: OutPoint,
    /// Its value, before the fee of the sweep.
    pub amount: Amount,
    /// The sweep, once broadcast.
    pub txid: Option<Txid>,
    /// The height at which the sweep was confirmed.
    pub confirmed_at: Option<u32>,
}

/// Hands spendable outputs to the sweeper.
///
/// Static outputs already belong to the wallet, whose scripts they pay; except for those of closes with peers that take
/// only old script types, which pay a key of LDK's.
///
/// # Errors
/// The store failed; LDK has to replay the event.
pub fn track(
    node: &Node,
    outputs: Vec<SpendableOutputDescriptor>,
    channel_id: Option<ChannelId>,
) -> Result<(), StoreRefused> {
    let plain = node.keys.plain_shutdown_script();
    let is_plain = |output: &SpendableOutputDescriptor| match output {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.script_pubkey == plain,
        SpendableOutputDescriptor::DelayedPaymentOutput(_)
        | SpendableOutputDescriptor::StaticPaymentOutput(_) => false,
    };
    let (plain, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_plain);
    for (outputs, exclude_static) in [(plain, false), (others, true)] {
        node.sweeper
            .track_spendable_outputs(outputs, channel_id, exclude_static, None)
            .map_err(|()| StoreRefused)?;
    }
    retry(node);
    Ok(())
}

/// Removes outputs that a block has spent already: after a node with an old store has published a revoked commitment, a
/// penalty takes what LDK still believes to be its own, and no sweep of it can ever confirm.
///
/// Keeps everything if bitcoind does not answer, is behind us, or stands on another branch.
pub async fn without_spent(
    node: &Node,
    source: &impl ChainSource,
    outputs: Vec<SpendableOutputDescriptor>,
) -> Vec<SpendableOutputDescriptor> {
    if !knows_the_chain(node, source).await {
        return outputs;
    }
    let left = still_there(source, outputs.clone()).await;
    // The chain may have moved while it answered.
    if knows_the_chain(node, source).await { left } else { outputs }
}

/// Returns whether a block has spent one of these outputs of confirmed transactions: then a claim of them all can never
/// confirm. If bitcoind does not answer or is behind us, none counts as spent, since a claim in vain costs less than
/// one that comes too late.
pub async fn is_any_spent(
    node: &Node,
    source: &impl ChainSource,
    outpoints: impl Iterator<Item = OutPoint> + Send,
) -> bool {
    if !knows_the_chain(node, source).await {
        return false;
    }
    for outpoint in outpoints {
        if let Ok(None) = source.unspent(outpoint).await {
            if !knows_the_chain(node, source).await {
                return false;
            }
            tracing::debug!(%outpoint, "not claiming an output that is spent already");
            return true;
        }
    }
    false
}

/// Returns whether bitcoind is on our branch: its outputs are spent or not on the branch that it stands on, and one
/// that another branch has spent would be lost to a sweep for good.
async fn knows_the_chain(node: &Node, source: &impl ChainSource) -> bool {
    is_on_branch_of(source, node.channel_manager.current_best_block()).await
}

async fn is_on_branch_of(source: &impl ChainSource, ours: BestBlock) -> bool {
    match source.tip().await {
        Ok(tip) if !tip.initial_download => {
            source.block_hash(ours.height).await.is_ok_and(|hash| hash == Some(ours.block_hash))
        }
        Ok(_) | Err(_) => false,
    }
}

async fn still_there(
    source: &impl ChainSource,
    outputs: Vec<SpendableOutputDescriptor>,
) -> Vec<SpendableOutputDescriptor> {
    let mut left = Vec::new();
    for output in outputs {
        let outpoint = output.spendable_outpoint().into_bitcoin_outpoint();
        match source.unspent(outpoint).await {
            Ok(None) => {
                tracing::warn!(%outpoint, amount = %amount(&output), "not sweeping an output that is spent already");
            }
            Ok(Some(_)) | Err(_) => left.push(output),
        }
    }
    left
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("could not store outputs to sweep")]
pub struct StoreRefused;

/// Broadcasts sweeps that are due, at current feerates.
pub fn retry(node: &Node) {
    if node.sweeper.regenerate_and_broadcast_spend_if_necessary().is_err() {
        tracing::warn!("could not sweep closed channels; retrying");
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
                outpoint: output.descriptor.spendable_outpoint().into_bitcoin_outpoint(),
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

#[cfg(test)]
mod tests {
    use bitcoin::TxOut;
    use lightning::chain::transaction::OutPoint;

    use super::*;
    use crate::chain::fake::{self, FakeChain};

    #[tokio::test]
    async fn spent_outputs_are_not_swept_unless_bitcoind_is_silent() {
        let chain = FakeChain::new();
        let commitment = fake::transaction(7, &[]);
        chain.mine_with(vec![commitment.clone()]);
        let descriptor = |txid| SpendableOutputDescriptor::StaticOutput {
            outpoint: OutPoint { txid, index: 0 },
            output: TxOut { value: Amount::from_sat(7), script_pubkey: Default::default() },
            channel_keys_id: None,
        };
        let there = descriptor(commitment.compute_txid());
        let gone = descriptor(fake::transaction(8, &[]).compute_txid());
        let both = vec![there.clone(), gone];
        assert_eq!(still_there(&chain, both.clone()).await, [there]);
        chain.go_away();
        assert_eq!(still_there(&chain, both.clone()).await, both);
    }

    #[tokio::test]
    async fn a_source_on_another_branch_of_the_same_height_does_not_know_our_chain() {
        let chain = FakeChain::new();
        chain.mine(5);
        let ours = chain.best_at(5);
        assert!(is_on_branch_of(&chain, ours).await);
        chain.mine(2);
        assert!(is_on_branch_of(&chain, ours).await, "ahead of us on our branch");
        let elsewhere = BestBlock::new(chain.best_at(4).block_hash, 5);
        assert!(!is_on_branch_of(&chain, elsewhere).await);
        let behind = BestBlock::new(ours.block_hash, 50);
        assert!(!is_on_branch_of(&chain, behind).await);
        chain.go_away();
        assert!(!is_on_branch_of(&chain, ours).await);
    }
}
