//! Which outputs may be spent, and for what.

pub(super) mod build;
pub mod reserve;
mod split;

use bdk_wallet::chain::ConfirmationBlockTime;
use bdk_wallet::chain::{Anchor as _, CanonicalizationParams, FullTxOut};
use bdk_wallet::{LocalOutput, Wallet};
use bitcoin::{OutPoint, Transaction, Txid};

/// Whether the output belongs to the wallet, spent or not.
pub(super) fn is_ours(bdk: &Wallet, outpoint: OutPoint) -> bool {
    bdk.spk_index().txout(outpoint).is_some()
}

/// Whether only we can have signed this transaction: then nobody can replace it.
pub(super) fn is_by_us_alone(bdk: &Wallet, tx: &Transaction) -> bool {
    tx.input.iter().all(|input| is_ours(bdk, input.previous_output))
}

/// Whether the transaction pays the wallet or spends from it.
pub(super) fn concerns_us(bdk: &Wallet, tx: &Transaction) -> bool {
    let txid = tx.compute_txid();
    tx.input.iter().any(|input| is_ours(bdk, input.previous_output))
        || (0..tx.output.len()).any(|vout| is_ours(bdk, OutPoint::new(txid, vout as u32)))
}

/// Whether a block of the wallet's chain holds the transaction.
pub(super) fn is_confirmed(bdk: &Wallet, txid: Txid) -> bool {
    let Some(anchors) = bdk.tx_graph().all_anchors().get(&txid) else { return false };
    anchors.iter().map(|anchor| anchor.anchor_block()).any(|block| {
        bdk.local_chain().get(block.height).is_some_and(|known| known.hash() == block.hash)
    })
}

/// Unspent outputs that a send or a funding may take: mature, not locked, and confirmed or the change of
/// a transaction that nobody else can replace.
///
/// An unconfirmed payment from others, or the change of a bump or a sweep, may vanish, and with it a
/// channel that is funded from it.
pub(super) fn spendable(bdk: &Wallet) -> Vec<LocalOutput> {
    let height = bdk.latest_checkpoint().height();
    bdk.list_unspent()
        .filter(|output| !bdk.is_outpoint_locked(output.outpoint))
        .filter(|output| match output.chain_position.confirmation_height_upper_bound() {
            Some(confirmed_at) => is_mature(bdk, output.outpoint.txid, confirmed_at, height),
            None => is_irreplaceable(bdk, output.outpoint.txid),
        })
        .collect()
}

/// Outputs for bumping commitments and HTLC claims (LDK's `WalletSource`): confirmed ones, and where there are none
/// the unconfirmed change of our own transactions.
///
/// Those that an unconfirmed bump spends are listed too: the next, dearer bump of the same claim must be
/// able to spend them again, or a wallet with one coin could bump only once and lose the HTLCs. Change that only we
/// have signed is better than no bump at all: nobody can replace it, and a bump pays for it as well.
pub(super) fn for_bumping(bdk: &Wallet) -> Vec<FullTxOut<ConfirmationBlockTime>> {
    let tip = bdk.latest_checkpoint().block_id();
    let ours = bdk.spk_index().outpoints().iter().cloned();
    let free: Vec<_> = bdk
        .tx_graph()
        .filter_chain_txouts(bdk.local_chain(), tip, CanonicalizationParams::default(), ours)
        .map(|(_, output)| output)
        .filter(|output| !bdk.is_outpoint_locked(output.outpoint))
        .collect();
    let confirmed: Vec<_> = free
        .iter()
        .filter(|output| output.chain_position.is_confirmed() && output.is_mature(tip.height))
        .filter(|output| match &output.spent_by {
            None => true,
            Some((position, spender)) => !position.is_confirmed() && is_bump(bdk, *spender),
        })
        .cloned()
        .collect();
    if !confirmed.is_empty() {
        return confirmed;
    }
    free.into_iter()
        .filter(|output| !output.chain_position.is_confirmed() && output.spent_by.is_none())
        .filter(|output| is_irreplaceable(bdk, output.outpoint.txid))
        .collect()
}

fn is_bump(bdk: &Wallet, txid: Txid) -> bool {
    bdk.tx_graph().get_tx(txid).is_some_and(|tx| !is_by_us_alone(bdk, &tx))
}

fn is_mature(bdk: &Wallet, txid: Txid, confirmed_at: u32, height: u32) -> bool {
    let age = height.saturating_sub(confirmed_at) + 1;
    let is_coinbase = || bdk.tx_graph().get_tx(txid).is_none_or(|tx| tx.is_coinbase());
    age >= bitcoin::constants::COINBASE_MATURITY || !is_coinbase()
}

/// Unconfirmed, but all of its unconfirmed ancestors were signed by us alone.
fn is_irreplaceable(bdk: &Wallet, txid: Txid) -> bool {
    let mut unvisited = vec![txid];
    while let Some(txid) = unvisited.pop() {
        if is_confirmed(bdk, txid) {
            continue;
        }
        match bdk.tx_graph().get_tx(txid) {
            Some(tx) if is_by_us_alone(bdk, &tx) => {
                unvisited.extend(tx.input.iter().map(|input| input.previous_output.txid));
            }
            _ => return false,
        }
    }
    true
}
